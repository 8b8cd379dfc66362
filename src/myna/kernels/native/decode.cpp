// Packed rows written out as floats, equal to the bit to the `gguf` package's.
//
// This file is compiled without contraction: d * q + m stays a product and a sum, each rounded.
#include "formats.h"
#include "products.h"

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

// Gather one row of a tile, block by block, and write it out.
template <class Format, class T>
void decode_tiled_row(const uint8_t* tile, int64_t row_blocks, int64_t row, T* to) {
  constexpr int64_t kScale = Format::kScaleBytes, kSteps = Format::kBytes - kScale;
  const uint8_t* steps = tile + row_blocks * kTileRows * kScale;
  for (int64_t b = 0; b < row_blocks; b++) {
    uint8_t block[Format::kBytes];
    memcpy(block, tile + (b * kTileRows + row) * kScale, kScale);
    for (int64_t i = 0; i < kSteps; i += 4)
      memcpy(block + kScale + i, steps + (b * kSteps + i) * kTileRows + row * 4, 4);
    Format::each(block, [&](int, Floats first, Floats second) MYNA_ALWAYS_INLINE {
      store(to + b * Format::kValues, first);
      store(to + b * Format::kValues + kLanes, second);
    });
  }
}

// Tiled formats: a thread takes a tile at a time.
template <class Format, class T>
void decode_tiles(const Decode& a, int num_threads) {
  const int64_t tile_bytes = a.row_blocks * kTileRows * Format::kBytes;
  const int64_t num_tiles = a.num_blocks / (a.row_blocks * kTileRows);
  if (num_threads > num_tiles) num_threads = int(num_tiles);
#pragma omp parallel for schedule(dynamic) num_threads(num_threads) if (num_threads > 1)
  for (int64_t t = 0; t < num_tiles; t++)
    for (int64_t row = 0; row < kTileRows; row++)
      decode_tiled_row<Format>(a.blocks + t * tile_bytes, a.row_blocks, row,
                               static_cast<T*>(a.out) + (t * kTileRows + row) * a.row_blocks * Format::kValues);
}

template <class Format>
void plain_row(const Matrix& w, int64_t row, float* out) {
  const uint8_t* block = w.data + row * (w.columns / Format::kValues) * Format::kBytes;
  for (int64_t k = 0; k < w.columns; k += Format::kValues, block += Format::kBytes)
    Format::each(block, [&](int pair, Floats first, Floats second) MYNA_ALWAYS_INLINE {
      store(out + k + pair * 2 * kLanes, first);
      store(out + k + pair * 2 * kLanes + kLanes, second);
    });
}

template <class Format>
void tiled_row(const Matrix& w, int64_t row, float* out) {
  const int64_t row_blocks = w.columns / Format::kValues;
  const uint8_t* tile = w.data + row / kTileRows * kTileRows * row_blocks * Format::kBytes;
  decode_tiled_row<Format>(tile, row_blocks, row % kTileRows, out);
}

void read_row(const Matrix& w, int64_t row, float* out) {
#define MYNA_USE(Format) plain_row<Format>(w, row, out)
  MYNA_WITH_FORMAT(w.format, MYNA_USE)
#undef MYNA_USE
#define MYNA_USE(Format) tiled_row<Format>(w, row, out)
  MYNA_WITH_ROWS_OF_TILES(w.format, MYNA_USE)
#undef MYNA_USE
}

}  // namespace

void MYNA_AT_LEVEL(decode)(const Decode& a, int num_threads) {
#define MYNA_USE(Format) \
  a.dtype == Dtype::bfloat16 ? decode<Format, Bfloat16>(a, num_threads) : decode<Format, float>(a, num_threads)
  MYNA_WITH_FORMAT(a.format, MYNA_USE)
#undef MYNA_USE
#define MYNA_USE(Format) \
  a.dtype == Dtype::bfloat16 ? decode_tiles<Format, Bfloat16>(a, num_threads) : decode_tiles<Format, float>(a, num_threads)
  MYNA_WITH_ROWS_OF_TILES(a.format, MYNA_USE)
#undef MYNA_USE
}

void MYNA_AT_LEVEL(decode_row)(const Matrix& w, int64_t row, float* out) { read_row(w, row, out); }

void MYNA_AT_LEVEL(gather)(const Gather& a) {
  for (int64_t i = 0; i < a.count; i++) read_row(a.w, a.rows[i], a.out + i * a.w.columns);
}

}  // namespace myna
