// Tiles of every format, see products.h.
//
// A row of the result never depends on how many rows of x there are: each is summed in the same order.
#include "products.h"

#include "tiled.h"

namespace myna {
namespace {

constexpr int64_t kAheadBytes = 8192;  // how far before its use a weight is asked for

inline void prefetch(const uint8_t* from, int64_t num_bytes) {
  for (int64_t at = 0; at < num_bytes; at += 64) __builtin_prefetch(from + at + kAheadBytes, 0, 0);
}

// Tiled formats: lane r of a result belongs to row r of the tile. A block is as many vectors as its weights have bits.
template <class Format, int kM>
void tiled_product(const uint8_t* tile, const Rows& x, Floats* out) {
  constexpr int kBits = Format::kBits, kOffset = offset_of_steps<kBits>();
  const int64_t num_blocks = x.k / kBlock;
  constexpr int64_t kScaleBytes = kTileRows * Format::kScaleBytes, kStepBytes = kBits * 64;
  const uint8_t* scales = tile;
  const uint8_t* steps = tile + num_blocks * kScaleBytes;
  const uint8_t* record = x.panel;
  Floats totals[kM] = {};
  for (int64_t b = 0; b < num_blocks; b++, scales += kScaleBytes, steps += kStepBytes, record += kM * kRowBytes) {
    // In a line through scales and steps, so that nothing of the next tile is left out.
    prefetch(tile + b * (kScaleBytes + kStepBytes), kScaleBytes + kStepBytes);
    const int8_t* xs = reinterpret_cast<const int8_t*>(record);
    Ints sums[kM];
    for (int m = 0; m < kM; m++) {
      const int32_t total = load<int32_t>(record + kM * (kBlock + 4) + m * 4);
      sums[m] = Ints{} - kOffset * total;
    }
#pragma GCC unroll 8
    for (int j = 0; j < (kBits == 8 ? 8 : 4); j++) {
      if (kBits < 8) {
        const Quads low = small_half<kBits>(steps, j, 0), high = small_half<kBits>(steps, j, 1);
#pragma GCC unroll 8
        for (int m = 0; m < kM; m++) {
          sums[m] = dot_four(sums[m], low, xs + m * kBlock + 4 * j, false);
          sums[m] = dot_four(sums[m], high, xs + m * kBlock + 16 + 4 * j, false);
        }
      } else {
        const Quads w = load<Quads>(steps + j * 64);
#pragma GCC unroll 8
        for (int m = 0; m < kM; m++) sums[m] = dot_four(sums[m], w, xs + m * kBlock + 4 * j, true);
      }
    }
    const Floats scale = tile_scales<Format>(scales);
    for (int m = 0; m < kM; m++) {
      const Floats both = scale * load<float>(record + kM * kBlock + m * 4);
      totals[m] = multiply_add(floats(sums[m]), both, totals[m]);
    }
  }
  for (int m = 0; m < kM; m++) out[m] = totals[m];
}

// GGUF's own Q4_0 and Q8_0, row by row.
template <bool kIsSmall, int kM>
void rounded_row(const uint8_t* row, const Rows& x, float* out) {
  constexpr int64_t kBytes = kIsSmall ? 18 : 34;
  typedef float HalfFloats __attribute__((vector_size(32)));
  const uint8_t* record = x.panel;
  HalfFloats totals[kM] = {};
  for (int64_t b = 0; b < x.k / kBlock; b++, row += kBytes, record += kM * kRowBytes) {
    __builtin_prefetch(row + kAheadBytes, 0, 0);
    HalfQuads w;
    if (kIsSmall) {
      const Bytes packed = load<Bytes>(row + 2);
      w = join(packed & 15, packed >> 4);
    } else {
      w = load<HalfQuads>(row + 2);
    }
    const float scale = half(row);
    for (int m = 0; m < kM; m++) {
      const int32_t total = load<int32_t>(record + kM * (kBlock + 4) + m * 4);
      HalfInts sums = {(kIsSmall ? -8 : -kSurplus) * total};
      sums = dot(sums, w, load<HalfQuads>(record + m * kBlock), !kIsSmall);
      totals[m] += __builtin_convertvector(sums, HalfFloats) * (scale * load<float>(record + kM * kBlock + m * 4));
    }
  }
  for (int m = 0; m < kM; m++) {
    const HalfFloats t = totals[m];
    out[m] = ((t[0] + t[4]) + (t[2] + t[6])) + ((t[1] + t[5]) + (t[3] + t[7]));
  }
}

template <bool kIsSmall, int kM>
void rounded_product(const uint8_t* rows, int64_t row_bytes, int64_t num_rows, const Rows& x, Floats* out) {
  for (int64_t r = 0; r < num_rows; r++) {
    float sums[kM];
    rounded_row<kIsSmall, kM>(rows + r * row_bytes, x, sums);
    for (int m = 0; m < kM; m++) out[m][r] = sums[m];
  }
}

// Every other format: blocks become floats in registers and multiply the floats of x. What is missing of kM rows
// repeats the last one and is dropped: decoding costs more than a few products too many.
template <class Format, int kM>
void decoded_row(const uint8_t* block, const Rows& x, int64_t begin, int64_t count, float* out) {
  const float* from[kM];
  for (int m = 0; m < kM; m++) from[m] = x.values + (begin + (m < count ? m : count - 1)) * x.k;
  Floats totals[2][kM] = {};  // two of each, so that one sum need not wait for the other
  for (int64_t k = 0; k < x.k; k += Format::kValues, block += Format::kBytes) {
    __builtin_prefetch(block + kAheadBytes, 0, 0);
    Format::each(block, [&](int pair, Floats first, Floats second) MYNA_ALWAYS_INLINE {
      for (int m = 0; m < kM; m++) {
        const float* at = from[m] + k + pair * 2 * kLanes;
        totals[0][m] = multiply_add(first, load_floats(at), totals[0][m]);
        totals[1][m] = multiply_add(second, load_floats(at + kLanes), totals[1][m]);
      }
    });
  }
  for (int64_t m = 0; m < count; m++) out[m] = sum(totals[0][m] + totals[1][m]);
}

template <class Format>
void decoded_product(const uint8_t* rows, int64_t num_rows, const Rows& x, Floats* out) {
  const int64_t row_bytes = x.k / Format::kValues * Format::kBytes;
  for (int64_t r = 0; r < num_rows; r++) {
    const uint8_t* row = rows + r * row_bytes;
    float sums[kPanelRows];
    int64_t m = 0;
    for (; m + 4 <= x.count; m += 4) decoded_row<Format, 4>(row, x, m, 4, sums + m);
    const int64_t left = x.count - m;
    if (left == 3) decoded_row<Format, 4>(row, x, m, left, sums + m);
    if (left == 2) decoded_row<Format, 2>(row, x, m, left, sums + m);
    if (left == 1) decoded_row<Format, 1>(row, x, m, left, sums + m);
    for (m = 0; m < x.count; m++) out[m][r] = sums[m];
  }
}

template <int kM>
void integer_product(const Matrix& w, int64_t tile, const Rows& x, Floats* out) {
  const int64_t row_bytes = x.k / kBlock * block_bytes(w);
  const uint8_t* rows = w.data + tile * kTileRows * row_bytes;
  const int64_t left = w.rows - tile * kTileRows, num_rows = left < kTileRows ? left : kTileRows;
#define MYNA_USE(Format) tiled_product<Format, kM>(rows, x, out)
  MYNA_WITH_ROWS_OF_TILES(w.format, MYNA_USE)
#undef MYNA_USE
  if (w.format == 0) return rounded_product<true, kM>(rows, row_bytes, num_rows, x, out);
  return rounded_product<false, kM>(rows, row_bytes, num_rows, x, out);
}

template <class Format>
void float_product(const Matrix& w, int64_t tile, const Rows& x, Floats* out) {
  const int64_t row_bytes = x.k / Format::kValues * Format::kBytes;
  const int64_t left = w.rows - tile * kTileRows;
  decoded_product<Format>(w.data + tile * kTileRows * row_bytes, left < kTileRows ? left : kTileRows, x, out);
}

}  // namespace

void MYNA_AT_LEVEL(multiply)(const Matrix& w, int64_t tile, const Rows& x, Floats* out) {
  if (w.is_rounded) {
    switch (x.count) {
      case 1: return integer_product<1>(w, tile, x, out);
      case 2: return integer_product<2>(w, tile, x, out);
      case 3: return integer_product<3>(w, tile, x, out);
      case 4: return integer_product<4>(w, tile, x, out);
      case 5: return integer_product<5>(w, tile, x, out);
      case 6: return integer_product<6>(w, tile, x, out);
      case 7: return integer_product<7>(w, tile, x, out);
      default: return integer_product<8>(w, tile, x, out);
    }
  }
#define MYNA_USE(Format) float_product<Format>(w, tile, x, out)
  MYNA_WITH_FORMAT(w.format, MYNA_USE)
#undef MYNA_USE
}

}  // namespace myna
