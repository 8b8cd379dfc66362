// out = x w^T + bias for a few rows of x and a matrix in GGUF blocks, decoded in registers and never written out.
//
// As in linear.cpp, a row of `out` does not depend on the rows beside it. Sums are in float32.
#include "formats.h"

namespace myna {
namespace {

constexpr int64_t kAheadBytes = 1024;
constexpr int64_t kChunkBytes = 32 << 10;

// Multiply one packed row with `count` rows of x, at most kM. What is missing repeats the last row and is dropped:
// decoding costs more than a few products too many.
template <class Format, class T, int kM>
inline void dot(const PackedLinear& a, int64_t row, int64_t begin, int64_t count) {
  const int64_t num_blocks = a.k / Format::kValues;
  const uint8_t* block = a.w + row * num_blocks * Format::kBytes;
  const float* x[kM];
  for (int m = 0; m < kM; m++) x[m] = a.x + (begin + (m < count ? m : count - 1)) * a.k;
  Floats totals[2][kM] = {};  // two of each, so that one sum need not wait for the other
  for (int64_t b = 0; b < num_blocks; b++, block += Format::kBytes) {
    const int64_t k = b * Format::kValues;
    __builtin_prefetch(block + kAheadBytes, 0, 0);
    Format::each(block, [&](int pair, Floats first, Floats second) MYNA_ALWAYS_INLINE {
      for (int m = 0; m < kM; m++) {
        const float* at = x[m] + k + pair * 2 * kLanes;
        totals[0][m] += first * load_floats(at);
        totals[1][m] += second * load_floats(at + kLanes);
      }
    });
  }
  for (int64_t m = 0; m < count; m++) {
    float value = sum(totals[0][m] + totals[1][m]);
    if (a.bias) value += to_float(static_cast<const T*>(a.bias)[row]);
    static_cast<T*>(a.out)[(begin + m) * a.n + row] = round_to(value, T{});
  }
}

template <class Format, class T>
void multiply(const PackedLinear& a, int num_threads) {
  const int64_t chunk = kChunkBytes / (a.k / Format::kValues * Format::kBytes) + 1;
  const int64_t num_chunks = (a.n + chunk - 1) / chunk;
  if (num_threads > num_chunks) num_threads = int(num_chunks);
#pragma omp parallel for schedule(dynamic) num_threads(num_threads) if (num_threads > 1)
  for (int64_t c = 0; c < num_chunks; c++) {
    const int64_t end = (c + 1) * chunk < a.n ? (c + 1) * chunk : a.n;
    for (int64_t row = c * chunk; row < end; row++) {
      int64_t m = 0;
      for (; m + 4 <= a.m; m += 4) dot<Format, T, 4>(a, row, m, 4);
      const int64_t left = a.m - m;
      if (left == 3) dot<Format, T, 4>(a, row, m, left);
      if (left == 2) dot<Format, T, 2>(a, row, m, left);
      if (left == 1) dot<Format, T, 1>(a, row, m, left);
    }
  }
}

}  // namespace

void MYNA_AT_LEVEL(packed_linear)(const PackedLinear& a, int num_threads) {
#define MYNA_USE(Format) \
  a.dtype == Dtype::bfloat16 ? multiply<Format, Bfloat16>(a, num_threads) : multiply<Format, float>(a, num_threads)
  MYNA_WITH_FORMAT(a.format, MYNA_USE)
}

}  // namespace myna
