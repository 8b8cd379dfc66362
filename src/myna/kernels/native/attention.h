// Attention over a paged cache: one query token of each request attends to its own cached positions, in float32.
//
// A task is one request, one key head and one range of positions; the ranges' partial results are joined afterwards.
// Where a range ends depends on positions alone, so a request's answer depends on nothing but its own past.
#pragma once
#include "rounding.h"
#include "wide.h"

namespace myna {
namespace {

constexpr int64_t kMaxWidth = 512;  // of a head; the Python side refuses more
constexpr int64_t kMaxVectors = kMaxWidth / kWide;
// Positions that are scored, and vectors of values that are added up, at a time; and query heads that are served at
// once. Their sums fill the registers.
#if defined(__AVX512F__)
constexpr int kTogether = 4, kMostHeads = 6;
#else
constexpr int kTogether = 2, kMostHeads = 4;
#endif
constexpr int64_t kAhead = 8;  // positions: how far ahead keys are asked for
constexpr int64_t kLineBytes = 64;

template <int N>
struct Count {
  static constexpr int value = N;
};

// A cached head may be whole blocks of 32 numbers: a scale, and steps of 8 bits.
struct Block8 {
  Bfloat16 scale;
  int8_t steps[kBlock];
};

// How many of T hold a head of k numbers.
template <class T>
inline int64_t parts_of(int64_t k) { return k; }
template <>
inline int64_t parts_of<Block8>(int64_t k) { return k / kBlock; }

// Vector i of a cached head; of the last one there may be only `count` numbers.
template <class T>
inline Wide cached(const T* head, int64_t i) { return load_wide(head + i * kWide); }
template <class T>
inline Wide cached(const T* head, int64_t i, int64_t count) { return load_wide(head + i * kWide, count); }

inline Wide cached(const Block8* head, int64_t i) {
  constexpr uint64_t kParts = kBlock / kWide;  // of a block
  const Block8& block = head[uint64_t(i) / kParts];
  return to_float(block.scale) * load_wide(block.steps + uint64_t(i) % kParts * kWide);
}
inline Wide cached(const Block8* head, int64_t i, int64_t) { return cached(head, i); }  // blocks are whole

// Write a head into the cache.
template <class T>
inline void keep(T* head, const float* values, int64_t k) {
  for (int64_t i = 0; i < k; i++) head[i] = round_to(values[i], T{});
}

inline void keep(Block8* head, const float* values, int64_t k) {
  for (int64_t i = 0; i < k / kBlock; i++) {
    const Floats first = load_floats(values + i * kBlock), second = load_floats(values + i * kBlock + kLanes);
    const float peak = largest_magnitude(first, second);
    head[i].scale = to_bfloat16(peak / kMaxStep);
    const float inverse = peak < kNothing ? 0 : 1 / to_float(head[i].scale);
    const Bytes steps[2] = {narrow(low_byte(nearest(first * inverse))), narrow(low_byte(nearest(second * inverse)))};
    memcpy(head[i].steps, steps, sizeof steps);
  }
}

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
  return static_cast<const T*>(store) + (slot * a.g + g) * parts_of<T>(a.k);
}

// A range of positions of one request and one key head.
template <class T>
struct Range {
  int64_t b, g, split, count;
  const void* queries;  // (R, K)
  const T* keys[kSplitTokens];    // up to a multiple of kTogether, the last repeated
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

// Add up the lanes of each vector: scores[r][t + j] is the sum of products[r][j].
template <int kHeads>
inline void add_up(const Wide (&products)[kHeads][kTogether], float (*scores)[kSplitTokens], int64_t t) {
#if defined(__AVX512F__)
  const auto halve = [](Wide a, Wide b) {
    return __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29) +
           __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
  };
  const auto join = [](Wide a, Wide b) {
    return __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29) +
           __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
  };
  const auto fold = [](Wide a, Wide b) {
    return __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
           __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
  };
  for (int first = 0; first < kHeads; first += 4) {  // four heads of four positions at once
    Wide parts[4] = {};
    for (int r = 0; r < 4 && first + r < kHeads; r++) {
      const Wide(&row)[kTogether] = products[first + r];
      parts[r] = join(halve(row[0], row[1]), halve(row[2], row[3]));
    }
    const Wide sums = fold(fold(parts[0], parts[1]), fold(parts[2], parts[3]));
    for (int r = 0; r < 4 && first + r < kHeads; r++)
      memcpy(scores[first + r] + t, reinterpret_cast<const float*>(&sums) + 4 * r, 4 * sizeof(float));
  }
#else
  for (int r = 0; r < kHeads; r++)
    for (int j = 0; j < kTogether; j++) scores[r][t + j] = sum(products[r][j]);
#endif
}

inline float largest_of(const float* values, int64_t count) {
  Floats most = Floats{} + values[0];
  for (int64_t i = 0; i + kLanes <= count; i += kLanes) {
    const Floats some = load_floats(values + i);
    most = some > most ? some : most;
  }
  float peak = most[0];
  for (int lane = 1; lane < kLanes; lane++) peak = most[lane] > peak ? most[lane] : peak;
  for (int64_t i = count / kLanes * kLanes; i < count; i++) peak = values[i] > peak ? values[i] : peak;
  return peak;
}

// Ask for a cached head, which lies apart from its neighbours.
template <class T>
inline void ask_for(const T* head, int64_t k) {
  const char* from = reinterpret_cast<const char*>(head);
  for (int64_t i = 0; i < parts_of<T>(k) * int64_t(sizeof(T)); i += kLineBytes) __builtin_prefetch(from + i);
}

// Let query heads `first` to `first + kHeads` attend to a range. Q is the type of queries, T that of what is cached;
// kVectors is the head width in vectors where that is known at compile time, else 0.
template <class Q, class T, int kVectors, int kHeads>
void attend_heads(const PagedAttention& a, const Range<T>& range, int64_t first) {
  const int64_t whole = kVectors ? kVectors : a.k / kWide;
  const int64_t rest = kVectors ? 0 : a.k % kWide;
  const int64_t num_vectors = whole + (rest > 0);
  const auto load_part = [&](const auto* from, int64_t i) {
    return i < whole ? cached(from, i) : cached(from, i, rest);
  };

  Wide queries[kHeads][kVectors ? kVectors : kMaxVectors];
  for (int r = 0; r < kHeads; r++) {
    const Q* query = static_cast<const Q*>(range.queries) + (first + r) * a.k;
    for (int64_t i = 0; i < num_vectors; i++) queries[r][i] = load_part(query, i) * a.scale;
  }
  float scores[kHeads][kSplitTokens];
  for (int64_t t = 0; t < range.count; t += kTogether) {
    if (first == 0) {
      for (int64_t j = t; j < t + kTogether; j++) {
        ask_for(range.keys[j + kAhead < range.count ? j + kAhead : range.count - 1], a.k);
        ask_for(range.values[j], a.k);
      }
    }
    Wide products[kHeads][kTogether] = {};
    for (int64_t i = 0; i < num_vectors; i++) {
      Wide keys[kTogether];
      for (int j = 0; j < kTogether; j++) keys[j] = load_part(range.keys[t + j], i);
      for (int r = 0; r < kHeads; r++)
        for (int j = 0; j < kTogether; j++) products[r][j] = multiply_add(queries[r][i], keys[j], products[r][j]);
    }
    add_up(products, scores, t);
  }
  Partial results[kHeads];
  for (int r = 0; r < kHeads; r++) {
    results[r] = partial(a, range.b, range.g, range.split, first + r);
    results[r].peak() = largest_of(scores[r], range.count);
    results[r].total() = exponentials(scores[r], range.count, results[r].peak());
  }
  const auto add_values = [&](int64_t i, auto wide) {  // some vectors of each
    constexpr int kCount = decltype(wide)::value;
    Wide weighted[kHeads][kCount] = {};
    for (int64_t t = 0; t < range.count; t++) {
      Wide values[kCount];
      for (int j = 0; j < kCount; j++) values[j] = load_part(range.values[t], i + j);
      for (int r = 0; r < kHeads; r++)
        for (int j = 0; j < kCount; j++)
          weighted[r][j] = multiply_add(all_wide(scores[r][t]), values[j], weighted[r][j]);
    }
    for (int r = 0; r < kHeads; r++)
      for (int j = 0; j < kCount; j++) {
        const size_t lanes = size_t(i + j < whole ? kWide : rest);
        memcpy(results[r].weighted() + (i + j) * kWide, &weighted[r][j], lanes * sizeof(float));
      }
  };
  int64_t i = 0;
  for (; i + kTogether <= num_vectors; i += kTogether) add_values(i, Count<kTogether>{});
  if (kVectors % kTogether || !kVectors)
    for (; i < num_vectors; i++) add_values(i, Count<1>{});
}

template <class Q, class T, int kVectors>
void attend_range(const PagedAttention& a, const Range<T>& range) {
  int64_t r = 0;
  for (; a.r - r > kMostHeads; r += 4) attend_heads<Q, T, kVectors, 4>(a, range, r);
  switch (a.r - r) {
#if defined(__AVX512F__)
    case 6: return attend_heads<Q, T, kVectors, 6>(a, range, r);
    case 5: return attend_heads<Q, T, kVectors, 5>(a, range, r);
#endif
    case 4: return attend_heads<Q, T, kVectors, 4>(a, range, r);
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
  for (int64_t t = 0; t < range.count || t % kTogether; t++) {
    const int64_t at = first + (t < range.count ? t : range.count - 1);
    range.keys[t] = head<T>(a.keys, a, b, at, g);
    range.values[t] = head<T>(a.values, a, b, at, g);
  }
  if (a.k == 64) return attend_range<Q, T, 64 / kWide>(a, range);
  if (a.k == 128) return attend_range<Q, T, 128 / kWide>(a, range);
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
