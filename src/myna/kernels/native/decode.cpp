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

// Tiled formats: a thread takes a tile at a time, and gathers each row's blocks.
template <class Format, class T>
void decode_tiles(const Decode& a, int num_threads) {
  constexpr int64_t kSteps = Format::kBytes - 2;
  const int64_t tile_bytes = a.row_blocks * kTileRows * Format::kBytes;
  const int64_t num_tiles = a.num_blocks / (a.row_blocks * kTileRows);
  if (num_threads > num_tiles) num_threads = int(num_tiles);
#pragma omp parallel for schedule(dynamic) num_threads(num_threads) if (num_threads > 1)
  for (int64_t t = 0; t < num_tiles; t++) {
    const uint8_t* scales = a.blocks + t * tile_bytes;
    const uint8_t* steps = scales + a.row_blocks * kTileRows * 2;
    for (int64_t row = 0; row < kTileRows; row++) {
      T* to = static_cast<T*>(a.out) + (t * kTileRows + row) * a.row_blocks * Format::kValues;
      for (int64_t b = 0; b < a.row_blocks; b++) {
        uint8_t block[Format::kBytes];
        memcpy(block, scales + (b * kTileRows + row) * 2, 2);
        for (int64_t i = 0; i < kSteps; i += 4)
          memcpy(block + 2 + i, steps + (b * kSteps + i) * kTileRows + row * 4, 4);
        Format::each(block, [&](int, Floats first, Floats second) MYNA_ALWAYS_INLINE {
          store(to + b * Format::kValues, first);
          store(to + b * Format::kValues + kLanes, second);
        });
      }
    }
  }
}

}  // namespace

void MYNA_AT_LEVEL(decode)(const Decode& a, int num_threads) {
#define MYNA_USE(Format) \
  a.dtype == Dtype::bfloat16 ? decode<Format, Bfloat16>(a, num_threads) : decode<Format, float>(a, num_threads)
  MYNA_WITH_FORMAT(a.format, MYNA_USE)
#undef MYNA_USE
#define MYNA_USE(Format) \
  a.dtype == Dtype::bfloat16 ? decode_tiles<Format, Bfloat16>(a, num_threads) : decode_tiles<Format, float>(a, num_threads)
  if (a.format == kTiledQ4) return MYNA_USE(Q4_0);
  if (a.format == kTiledQ8) return MYNA_USE(Q8_0);
}

}  // namespace myna
