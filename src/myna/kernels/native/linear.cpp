// out = x w^T + bias for a few rows of x: every weight is read once from memory and used for all of them.
//
// A row of `out` never depends on how many rows there are: each is summed in the same order, in float32.
#include "vectors.h"

namespace myna {
namespace {

constexpr int kStep = 2 * kLanes;          // elements of one vector of bfloat16
constexpr int64_t kAheadBytes = 1024;      // how far before its use a weight is asked for
constexpr int64_t kChunkBytes = 64 << 10;  // weights that a thread takes at a time

// Multiply kRows rows of w with kM rows of x.
template <int kRows, int kM>
inline void block(const LinearBf16& a, int64_t row, int64_t first) {
  const Bfloat16* w = a.w + row * a.k;
  const Bfloat16* x = a.x + first * a.k;
  Floats total[kRows][kM] = {};
  const int64_t whole = a.k / kStep * kStep;
  for (int64_t k = 0; k < whole; k += kStep) {
    Words xs[kM];
    for (int m = 0; m < kM; m++) xs[m] = load<Words>(x + m * a.k + k);
    for (int r = 0; r < kRows; r++) {
      const Bfloat16* at = w + r * a.k + k;
      __builtin_prefetch(reinterpret_cast<const char*>(at) + kAheadBytes, 0, 0);
      Words ws = load<Words>(at);
      for (int m = 0; m < kM; m++) total[r][m] = dot_add(ws, xs[m], total[r][m]);
    }
  }
  if (whole < a.k) {
    const size_t rest = size_t(a.k - whole) * sizeof(Bfloat16);
    Words xs[kM] = {}, ws[kRows] = {};
    for (int m = 0; m < kM; m++) memcpy(&xs[m], x + m * a.k + whole, rest);
    for (int r = 0; r < kRows; r++) memcpy(&ws[r], w + r * a.k + whole, rest);
    for (int r = 0; r < kRows; r++)
      for (int m = 0; m < kM; m++) total[r][m] = dot_add(ws[r], xs[m], total[r][m]);
  }
  for (int r = 0; r < kRows; r++)
    for (int m = 0; m < kM; m++) {
      float value = sum(total[r][m]);
      if (a.bias) value += to_float(a.bias[row + r]);
      a.out[(first + m) * a.n + row + r] = to_bfloat16(value);
    }
}

template <int kRows>
inline void rows(const LinearBf16& a, int64_t row) {
  int64_t m = 0;
  for (; m + 6 <= a.m; m += 6) block<kRows, 6>(a, row, m);
  switch (a.m - m) {
    case 5: return block<kRows, 5>(a, row, m);
    case 4: return block<kRows, 4>(a, row, m);
    case 3: return block<kRows, 3>(a, row, m);
    case 2: return block<kRows, 2>(a, row, m);
    case 1: return block<kRows, 1>(a, row, m);
  }
}

}  // namespace

void MYNA_AT_LEVEL(linear_bf16)(const LinearBf16& a, int num_threads) {
  constexpr int kRows = 4;
  const int64_t chunk = (kChunkBytes / (2 * a.k) / kRows + 1) * kRows;
  const int64_t num_chunks = (a.n + chunk - 1) / chunk;
  if (num_threads > num_chunks) num_threads = int(num_chunks);
#pragma omp parallel for schedule(dynamic) num_threads(num_threads) if (num_threads > 1)
  for (int64_t c = 0; c < num_chunks; c++) {
    int64_t row = c * chunk;
    const int64_t end = row + chunk < a.n ? row + chunk : a.n;
    for (; row + kRows <= end; row += kRows) rows<kRows>(a, row);
    for (; row < end; row++) rows<1>(a, row);
  }
}

}  // namespace myna
