// Packed rows written out as floats, equal to the bit to the `gguf` package's.
//
// This file is compiled without contraction: d * q + m stays a product and a sum, each rounded.
#include "formats.h"

namespace myna {
namespace {

constexpr int64_t kChunkBytes = 64 << 10;  // packed bytes that a thread takes at a time

template <class Format, class T>
void decode(const Decode& a, int num_threads) {
  const int64_t chunk = kChunkBytes / Format::kBytes;
  const int64_t num_chunks = (a.num_blocks + chunk - 1) / chunk;
  if (num_threads > num_chunks) num_threads = int(num_chunks);
#pragma omp parallel for schedule(dynamic) num_threads(num_threads) if (num_threads > 1)
  for (int64_t c = 0; c < num_chunks; c++) {
    const int64_t end = (c + 1) * chunk < a.num_blocks ? (c + 1) * chunk : a.num_blocks;
    for (int64_t b = c * chunk; b < end; b++) {
      T* to = static_cast<T*>(a.out) + b * Format::kValues;
      Format::each(a.blocks + b * Format::kBytes, [&](int pair, Floats first, Floats second) MYNA_ALWAYS_INLINE {
        store(to + pair * 2 * kLanes, first);
        store(to + pair * 2 * kLanes + kLanes, second);
      });
    }
  }
}

}  // namespace

void MYNA_AT_LEVEL(decode)(const Decode& a, int num_threads) {
#define MYNA_USE(Format) \
  a.dtype == Dtype::bfloat16 ? decode<Format, Bfloat16>(a, num_threads) : decode<Format, float>(a, num_threads)
  MYNA_WITH_FORMAT(a.format, MYNA_USE)
}

}  // namespace myna
