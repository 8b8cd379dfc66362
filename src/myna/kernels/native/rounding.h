// Rows of activations, rounded to 8 bits in blocks of 32 with a scale each.
//
// Up to kPanelRows rows make a panel. Its bytes are records, one for each block of columns: 32 steps of each row, then
// a scale for each row, then the sum of each row's steps. So one address is all that a product has to keep.
// A file that includes this one is compiled without contraction, since the twin rounds products by themselves.
#pragma once
#include "vectors.h"

namespace myna {
namespace {

constexpr int64_t kBlock = 32;
constexpr int64_t kRowBytes = kBlock + 8;  // of one row in one record
constexpr int kPanelRows = 8;
constexpr float kMaxStep = 127;
constexpr float kNothing = 1e-30f;  // blocks whose values are all smaller count as zeros

inline int64_t panel_bytes(int64_t rows, int64_t k) { return rows * (k / kBlock) * kRowBytes; }

typedef int32_t EightInts __attribute__((vector_size(32)));
typedef int32_t FourInts __attribute__((vector_size(16)));

// Halves of vectors, without a way through memory.
inline EightInts lower(Ints v) { return __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7); }
inline EightInts upper(Ints v) { return __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15); }
inline FourInts lower(EightInts v) { return __builtin_shufflevector(v, v, 0, 1, 2, 3); }
inline FourInts upper(EightInts v) { return __builtin_shufflevector(v, v, 4, 5, 6, 7); }

template <class T>
inline T larger(T a, T b) {
  return a > b ? a : b;
}

// The largest lane, as integers.
inline int32_t largest(Ints values) {
  const EightInts eight = larger(lower(values), upper(values));
  const FourInts four = larger(lower(eight), upper(eight));
  const FourInts two = larger(four, __builtin_shufflevector(four, four, 2, 3, 0, 1));
  return larger(two, __builtin_shufflevector(two, two, 1, 0, 3, 2))[0];
}

inline int32_t sum(Ints values) {
  const EightInts eight = lower(values) + upper(values);
  const FourInts four = lower(eight) + upper(eight), two = four + __builtin_shufflevector(four, four, 2, 3, 0, 1);
  return two[0] + two[1];
}

// To the nearest integer, ties to even.
inline Ints nearest(Floats values) {
#if defined(__AVX512F__)
  return (Ints)_mm512_cvtps_epi32((__m512)values);
#else
  const Floats magic = Floats{} + 12582912.0f;  // 1.5 * 2^23: numbers beside it are integers
  return (Ints)(values + magic) - (Ints)magic;
#endif
}

// Keep eight bits: what was no number becomes some step, and sums cannot overflow.
inline Ints low_byte(Ints values) { return (Ints)((Words)values << 24) >> 24; }

struct Record {
  int8_t* at;      // where the record begins
  int64_t rows;    // of its panel
  int8_t* steps(int64_t row) const { return at + row * kBlock; }
  float* scale(int64_t row) const { return reinterpret_cast<float*>(at + rows * kBlock) + row; }
  int32_t* total(int64_t row) const { return reinterpret_cast<int32_t*>(at + rows * (kBlock + 4)) + row; }
};

// Of two vectors; where a value is not a number, neither is this.
inline float largest_magnitude(Floats first, Floats second) {
  const Ints a = (Ints)first & 0x7fffffff, b = (Ints)second & 0x7fffffff;  // order as their magnitudes do
  const int32_t bits = largest(a > b ? a : b);
  return load<float>(&bits);
}

// Round one block of one row. Where a value is not a number, neither is the scale.
inline void round_block(Floats first, Floats second, const Record& record, int64_t row) {
  const float peak = largest_magnitude(first, second);
  const float inverse = peak < kNothing ? 0 : kMaxStep / peak;
  const Ints low = low_byte(nearest(first * inverse)), high = low_byte(nearest(second * inverse));
  const Bytes steps[2] = {narrow(low), narrow(high)};
  memcpy(record.steps(row), steps, sizeof steps);
  *record.scale(row) = peak / kMaxStep;
  *record.total(row) = sum(low + high);
}

// Round a row of k values into its place in a panel of `rows` rows.
template <class T>
inline void round_row(const T* values, int64_t k, uint8_t* panel, int64_t rows, int64_t row) {
  for (int64_t b = 0; b < k / kBlock; b++) {
    const Record record = {reinterpret_cast<int8_t*>(panel) + b * rows * kRowBytes, rows};
    round_block(load_floats(values + b * kBlock), load_floats(values + b * kBlock + kLanes), record, row);
  }
}

// Rows of the panel that begins with row `first` of m; the last panel may be lower than the others.
inline int64_t rows_of_panel(int64_t m, int64_t first) { return m - first < kPanelRows ? m - first : kPanelRows; }

}  // namespace
}  // namespace myna
