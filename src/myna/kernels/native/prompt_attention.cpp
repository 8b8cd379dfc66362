// Attention of successive tokens of one request to its past and to themselves, in bfloat16, sums in float32.
//
// Keys and values are first laid out so that one vector holds a pair of numbers of sixteen keys, or of sixteen columns
// of two keys. A task is eight queries of one head; it reads positions in ranges that begin where positions alone say,
// so a query's answer depends neither on the chunk that it comes in nor on the queries beside it.
// Source: the running softmax of arXiv:2205.14135.
#include "vectors.h"

namespace myna {
namespace {

constexpr int kQueries = 8;         // of a task
constexpr int64_t kRange = 256;     // positions whose scores exist at once
constexpr int64_t kMaxWidth = 512;  // of a head; the Python side refuses more
constexpr int64_t kPairLanes = 2 * kLanes;

inline int64_t padded(int64_t count) { return (count + kPairLanes - 1) / kPairLanes * kPairLanes; }

inline const Bfloat16* cached(const void* store, const PromptAttention& a, int64_t at, int64_t g) {
  const int64_t slot = a.slots ? a.slots[at] : a.first_slot + at;
  return static_cast<const Bfloat16*>(store) + (slot * a.g + g) * a.k;
}

// Of key head g: (positions / 16, K / 2, 16) pairs of numbers.
inline uint32_t* key_pairs(const PromptAttention& a, int64_t g) {
  return reinterpret_cast<uint32_t*>(a.scratch) + g * padded(a.s) * a.k / 2;
}

// Of key head g: (positions / 2, K) pairs of numbers.
inline uint32_t* value_pairs(const PromptAttention& a, int64_t g) { return key_pairs(a, a.g + g); }

// Lay out sixteen positions; those beyond the last are zeros.
void lay_out(const PromptAttention& a, int64_t g, int64_t first) {
  static const Bfloat16 kZeros[kMaxWidth] = {};
  uint32_t* keys = key_pairs(a, g) + first * a.k / 2;
  uint32_t* values = value_pairs(a, g) + first * a.k / 2;
  for (int64_t lane = 0; lane < kLanes; lane++) {
    const Bfloat16* key = first + lane < a.s ? cached(a.keys, a, first + lane, g) : kZeros;
    for (int64_t pair = 0; pair < a.k / 2; pair++) keys[pair * kLanes + lane] = load<uint32_t>(key + 2 * pair);
  }
  for (int64_t lane = 0; lane < kLanes; lane += 2, values += a.k) {
    const Bfloat16* even = first + lane < a.s ? cached(a.values, a, first + lane, g) : kZeros;
    const Bfloat16* odd = first + lane + 1 < a.s ? cached(a.values, a, first + lane + 1, g) : kZeros;
    for (int64_t i = 0; i < a.k; i += kLanes) {
      const Words both = widen(load<Halves>(even + i)) | widen(load<Halves>(odd + i)) << 16;
      memcpy(values + i, &both, sizeof both);
    }
  }
}

// What a task keeps of its queries; a row is one query's.
struct Task {
  const Bfloat16* queries[kQueries];
  int64_t last[kQueries];                       // the last position that each may read
  float scores[kQueries][kRange];
  uint16_t shares[kQueries][kRange];            // e^(score - peak), as bfloat16
  float peaks[kQueries], totals[kQueries];
  float sums[kQueries][kMaxWidth];              // values weighted by shares
};

// Multiply the queries by 32 keys.
inline void score(Task& task, const uint32_t* keys, int64_t k, int64_t at) {
  Floats sums[2][kQueries] = {};
  const uint32_t* next = keys + k / 2 * kLanes;
  for (int64_t pair = 0; pair < k / 2; pair++) {
    const Words first = load<Words>(keys + pair * kLanes), second = load<Words>(next + pair * kLanes);
#pragma GCC unroll 8
    for (int m = 0; m < kQueries; m++) {
      const Words query = Words{} + load<uint32_t>(task.queries[m] + 2 * pair);
      sums[0][m] = dot_add(first, query, sums[0][m]);
      sums[1][m] = dot_add(second, query, sums[1][m]);
    }
  }
  for (int m = 0; m < kQueries; m++) {
    store(task.scores[m] + at, sums[0][m]);
    store(task.scores[m] + at + kLanes, sums[1][m]);
  }
}

inline float largest(Floats values) {
  typedef float Eight __attribute__((vector_size(32)));
  const char* bytes = reinterpret_cast<const char*>(&values);
  const Eight a = load<Eight>(bytes), b = load<Eight>(bytes + 32), eight = a > b ? a : b;
  float most = eight[0];
  for (int i = 1; i < 8; i++) most = eight[i] > most ? eight[i] : most;
  return most;
}

// Turn one query's scores of the first `count` positions of a range into shares, with zeros up to `end`; what was
// summed before shrinks to the new peak.
inline void share(Task& task, int m, int64_t count, int64_t end, int64_t k, float scale) {
  const Words lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const float* scores = task.scores[m];
  Floats most = Floats{} + task.peaks[m];
  int64_t t = 0;
  for (; t + kLanes <= count; t += kLanes) {
    const Floats values = load_floats(scores + t);
    most = values > most ? values : most;
  }
  const Words left = Words{} + uint32_t(count - t);
  if (t < count) {
    const Floats values = load_floats(scores + t), known = lanes < left ? values : most;
    most = known > most ? known : most;
  }
  const float peak = largest(most), shrink = exp_negative((task.peaks[m] - peak) * scale);
  Floats totals = {};
  for (t = 0; t < end; t += kLanes) {
    Words bits = {};
    if (t < count) {
      bits = (Words)exp_negative((load_floats(scores + t) - peak) * scale);
      const Words rounded = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u;
      bits = (Floats)bits == (Floats)bits ? rounded : bits;
      if (t + kLanes > count) bits = lanes < left ? bits : Words{};
    }
    totals += (Floats)bits;
    const Halves halves = narrow(bits >> 16);
    memcpy(task.shares[m] + t, &halves, sizeof halves);
  }
  task.peaks[m] = peak;
  task.totals[m] = task.totals[m] * shrink + sum(totals);
  if (shrink != 1)
    for (int64_t i = 0; i < k; i += kLanes) store(task.sums[m] + i, load_floats(task.sums[m] + i) * shrink);
}

// Add values of `count` positions, an even number, weighted by the shares: kVectors vectors of columns from `column` on.
template <int kVectors>
inline void weigh(Task& task, const uint32_t* values, int64_t k, int64_t count, int64_t column) {
  Floats sums[kVectors][kQueries];
  for (int m = 0; m < kQueries; m++)
    for (int i = 0; i < kVectors; i++) sums[i][m] = load_floats(task.sums[m] + column + i * kLanes);
  values += column;
  for (int64_t t = 0; t < count; t += 2, values += k) {
    Words parts[kVectors];
    for (int i = 0; i < kVectors; i++) parts[i] = load<Words>(values + i * kLanes);
#pragma GCC unroll 8
    for (int m = 0; m < kQueries; m++) {
      const Words weights = Words{} + load<uint32_t>(task.shares[m] + t);
      for (int i = 0; i < kVectors; i++) sums[i][m] = dot_add(parts[i], weights, sums[i][m]);
    }
  }
  for (int m = 0; m < kQueries; m++)
    for (int i = 0; i < kVectors; i++) store(task.sums[m] + column + i * kLanes, sums[i][m]);
}

// Let queries `first` and following of one head attend; what is missing of eight repeats the last and is dropped.
void attend(const PromptAttention& a, int64_t head, int64_t first) {
  const int64_t g = head / a.r, past = a.s - a.t;
  const int64_t num_queries = a.t - first < kQueries ? a.t - first : kQueries;
  Task task;
  for (int m = 0; m < kQueries; m++) {
    const int64_t t = first + (m < num_queries ? m : num_queries - 1);
    task.queries[m] = static_cast<const Bfloat16*>(a.q) + t * a.q_stride + head * a.k;
    task.last[m] = past + t;
    task.peaks[m] = -__builtin_inff(), task.totals[m] = 0;
    memset(task.sums[m], 0, size_t(a.k) * sizeof(float));
  }
  const int64_t length = task.last[kQueries - 1] + 1;
  for (int64_t begin = 0; begin < length; begin += kRange) {
    const int64_t left = padded(length - begin), count = left < kRange ? left : kRange;
    for (int64_t at = 0; at < count; at += kPairLanes)
      score(task, key_pairs(a, g) + (begin + at) * a.k / 2, a.k, at);
    for (int m = 0; m < kQueries; m++) {
      const int64_t own = task.last[m] + 1 - begin;
      share(task, m, own < 0 ? 0 : own < count ? own : count, count, a.k, a.scale);
    }
    const uint32_t* values = value_pairs(a, g) + begin * a.k / 2;
    int64_t column = 0;
    for (; column + kPairLanes <= a.k; column += kPairLanes) weigh<2>(task, values, a.k, count, column);
    if (column < a.k) weigh<1>(task, values, a.k, count, column);
  }
  for (int64_t m = 0; m < num_queries; m++) {
    Bfloat16* out = static_cast<Bfloat16*>(a.out) + ((first + m) * a.g * a.r + head) * a.k;
    for (int64_t i = 0; i < a.k; i += kLanes) store(out + i, load_floats(task.sums[m] + i) / task.totals[m]);
  }
}

}  // namespace

void MYNA_AT_LEVEL(prompt_attention)(const PromptAttention& a, int num_threads) {
  const int64_t num_groups = padded(a.s) / kLanes, num_heads = a.g * a.r;
  const int64_t num_tasks = (a.t + kQueries - 1) / kQueries * num_heads;
#pragma omp parallel num_threads(num_threads) if (num_threads > 1)
  {
#pragma omp for schedule(static)
    for (int64_t i = 0; i < a.g * num_groups; i++) lay_out(a, i / num_groups, i % num_groups * kLanes);
    // One head after another, so that its keys are near; of each, the queries that read most come first.
#pragma omp for schedule(dynamic)
    for (int64_t i = 0; i < num_tasks; i++) {
      const int64_t per_head = num_tasks / num_heads;
      attend(a, i / per_head, (per_head - 1 - i % per_head) * kQueries);
    }
  }
}

}  // namespace myna
