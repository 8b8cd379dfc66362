// Attention over a paged cache: one query token of each request attends to its own cached positions, in float32.
//
// A task is one request, one key head and one range of positions; the ranges' partial results are joined afterwards.
// Where a range ends depends on positions alone, so a request's answer depends on nothing but its own past.
#pragma once
#include "vectors.h"

namespace myna {
namespace {

constexpr int64_t kMaxWidth = 512;  // of a head; the Python side refuses more
constexpr int64_t kMaxVectors = kMaxWidth / kLanes;

// What a task leaves for each query head: the peak of its scores, the sum of their exponentials, and the sum of the
// values weighted by them.
struct Partial {
  float* at;
  float& peak() const { return at[0]; }
  float& total() const { return at[1]; }
  float* weighted() const { return at + 2; }
};

inline Partial partial(const PagedAttention& a, int64_t b, int64_t g, int64_t split, int64_t r) {
  return {a.scratch + (((b * a.g + g) * a.num_splits + split) * a.r + r) * (a.k + 2)};
}

// The address of a cached head: position `at` of request b.
template <class T>
inline const T* head(const void* store, const PagedAttention& a, int64_t b, int64_t at, int64_t g) {
  const int64_t block = a.tables[b * a.table_width + at / a.block_tokens];
  const int64_t slot = block * a.block_tokens + at % a.block_tokens;
  return static_cast<const T*>(store) + (slot * a.g + g) * a.k;
}

// A range of positions of one request and one key head.
template <class T>
struct Range {
  int64_t b, g, split, count;
  const void* queries;  // (R, K)
  const T* keys[kSplitTokens];
  const T* values[kSplitTokens];
};

// Turn scores into e^(score - peak), with zeros up to the next whole vector, and sum them.
inline float exponentials(float* scores, int64_t count, float peak) {
  for (int64_t t = count; t % kLanes; t++) scores[t] = 0;
  Floats totals = {};
  for (int64_t t = 0; t < count; t += kLanes) {
    Floats weights = exp_negative(load_floats(scores + t) - peak);
    if (t + kLanes > count) weights = load_floats(reinterpret_cast<const float*>(&weights), count - t);
    memcpy(scores + t, &weights, sizeof weights);
    totals += weights;
  }
  return sum(totals);
}

// Let query heads `first` to `first + kHeads` attend to a range. Q is the type of queries, T that of what is cached;
// kVectors is the head width in vectors where that is known at compile time, else 0.
template <class Q, class T, int kVectors, int kHeads>
void attend_heads(const PagedAttention& a, const Range<T>& range, int64_t first) {
  const int64_t whole = kVectors ? kVectors : a.k / kLanes;
  const int64_t rest = kVectors ? 0 : a.k % kLanes;
  const int64_t num_vectors = whole + (rest > 0);
  const auto load_part = [&](const auto* from, int64_t i) {
    return i < whole ? load_floats(from + i * kLanes) : load_floats(from + i * kLanes, rest);
  };

  Floats queries[kHeads][kVectors ? kVectors : kMaxVectors];
  for (int r = 0; r < kHeads; r++) {
    const Q* query = static_cast<const Q*>(range.queries) + (first + r) * a.k;
    for (int64_t i = 0; i < num_vectors; i++) queries[r][i] = load_part(query, i) * a.scale;
  }
  float scores[kHeads][kSplitTokens];
  float peaks[kHeads];
  for (int r = 0; r < kHeads; r++) peaks[r] = -__builtin_inff();
  for (int64_t t = 0; t < range.count; t++) {
    Floats products[kHeads] = {};
    for (int64_t i = 0; i < num_vectors; i++) {
      const Floats key = load_part(range.keys[t], i);
      for (int r = 0; r < kHeads; r++) products[r] += queries[r][i] * key;
    }
    for (int r = 0; r < kHeads; r++) {
      scores[r][t] = sum(products[r]);
      peaks[r] = scores[r][t] > peaks[r] ? scores[r][t] : peaks[r];
    }
  }
  Partial results[kHeads];
  for (int r = 0; r < kHeads; r++) {
    results[r] = partial(a, range.b, range.g, range.split, first + r);
    results[r].peak() = peaks[r];
    results[r].total() = exponentials(scores[r], range.count, peaks[r]);
  }
  for (int64_t i = 0; i < num_vectors; i++) {
    Floats weighted[kHeads] = {};
    for (int64_t t = 0; t < range.count; t++) {
      const Floats value = load_part(range.values[t], i);
      for (int r = 0; r < kHeads; r++) weighted[r] += scores[r][t] * value;
    }
    const size_t lanes = size_t(i < whole ? kLanes : rest);
    for (int r = 0; r < kHeads; r++) memcpy(results[r].weighted() + i * kLanes, &weighted[r], lanes * sizeof(float));
  }
}

template <class Q, class T, int kVectors>
void attend_range(const PagedAttention& a, const Range<T>& range) {
  int64_t r = 0;
  for (; r + 4 <= a.r; r += 4) attend_heads<Q, T, kVectors, 4>(a, range, r);
  switch (a.r - r) {
    case 3: return attend_heads<Q, T, kVectors, 3>(a, range, r);
    case 2: return attend_heads<Q, T, kVectors, 2>(a, range, r);
    case 1: return attend_heads<Q, T, kVectors, 1>(a, range, r);
  }
}

// Let the R query heads of one key head attend to one range of request b's positions.
template <class Q, class T>
void attend(const PagedAttention& a, int64_t b, int64_t g, int64_t split, const Q* queries) {
  const int64_t first = split * kSplitTokens;
  const int64_t left = a.lengths[b] - first;
  Range<T> range;
  range.b = b, range.g = g, range.split = split, range.queries = queries;
  range.count = left < kSplitTokens ? left : kSplitTokens;
  for (int64_t t = 0; t < range.count; t++) {
    range.keys[t] = head<T>(a.keys, a, b, first + t, g);
    range.values[t] = head<T>(a.values, a, b, first + t, g);
  }
  if (a.k == 4 * kLanes) return attend_range<Q, T, 4>(a, range);
  if (a.k == 8 * kLanes) return attend_range<Q, T, 8>(a, range);
  return attend_range<Q, T, 0>(a, range);
}

inline int64_t splits_of(const PagedAttention& a, int64_t b) {
  return (a.lengths[b] + kSplitTokens - 1) / kSplitTokens;
}

// Join the partial results of one query head: (K,).
template <class T>
void join(const PagedAttention& a, int64_t b, int64_t g, int64_t r, T* out) {
  const int64_t num_splits = splits_of(a, b);
  float peak = -__builtin_inff();
  for (int64_t s = 0; s < num_splits; s++) {
    const float other = partial(a, b, g, s, r).peak();
    peak = other > peak ? other : peak;
  }
  float shares[kMaxWidth] = {};
  float total = 0;
  for (int64_t s = 0; s < num_splits; s++) {
    const Partial part = partial(a, b, g, s, r);
    const float factor = exp_negative(part.peak() - peak);
    total += factor * part.total();
    for (int64_t i = 0; i < a.k; i++) shares[i] += factor * part.weighted()[i];
  }
  for (int64_t i = 0; i < a.k; i++) out[i] = round_to(total > 0 || total != total ? shares[i] / total : 0.0f, T{});
}

}  // namespace
}  // namespace myna
