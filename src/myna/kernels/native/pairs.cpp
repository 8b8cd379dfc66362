// Two tiles times a whole panel: prompts, where what a processor can multiply is the limit and not its memory.
//
// Four bytes of a row of x, once in a register, meet both tiles, so that loads keep up with two products a cycle. Every
// number is summed in the order of products.cpp.
#include "products.h"

#include "tiled.h"

namespace myna {
namespace {

#if defined(__AVX512VNNI__)
constexpr int kPair = 2;

struct Sums {
  __m512i of[kPair][kPanelRows];
};

// Add the products of four columns of each row; `at` is row 0's four bytes of x.
MYNA_INLINE void add_four(Sums& sums, const Quads (&w)[kPair], const uint8_t* at) {
#pragma GCC unroll 8
  for (int m = 0; m < kPanelRows; m++) {
    const __m512i four = _mm512_set1_epi32(load<int32_t>(at + m * kBlock));
    for (int i = 0; i < kPair; i++) sums.of[i][m] = _mm512_dpbusd_epi32(sums.of[i][m], (__m512i)w[i], four);
  }
}

template <class Format>
void pair_product(const uint8_t* tiles, int64_t tile_bytes, const Rows& x, Floats* out) {
  constexpr int kBits = Format::kBits, kScaleBytes = kTileRows * Format::kScaleBytes;
  const int64_t num_blocks = x.k / kBlock;
  const uint8_t* scales = tiles;
  const uint8_t* steps = tiles + num_blocks * kScaleBytes;
  const uint8_t* record = x.panel;
  Floats totals[kPair][kPanelRows];
  for (int i = 0; i < kPair; i++)
    for (int m = 0; m < kPanelRows; m++) totals[i][m] = Floats{};
  for (int64_t b = 0; b < num_blocks; b++) {
    const uint8_t* row_scales = record + kPanelRows * kBlock;
    Sums sums;
    const EightInts surplus = load<EightInts>(row_scales + 4 * kPanelRows) * -offset_of_steps<kBits>();
    for (int m = 0; m < kPanelRows; m++)
      for (int i = 0; i < kPair; i++) sums.of[i][m] = (__m512i)(Ints{} + surplus[m]);
#pragma GCC unroll 8
    for (int j = 0; j < (kBits == 8 ? 8 : 4); j++) {
      Quads low[kPair], high[kPair];
      for (int i = 0; i < kPair; i++) {
        const uint8_t* from = steps + i * tile_bytes;
        low[i] = kBits == 8 ? load<Quads>(from + j * 64) ^ 128 : small_half<kBits>(from, j, 0);
        if (kBits < 8) high[i] = small_half<kBits>(from, j, 1);
      }
      add_four(sums, low, record + 4 * j);
      if (kBits < 8) add_four(sums, high, record + 16 + 4 * j);
    }
    for (int i = 0; i < kPair; i++) {
      const Floats scale = tile_scales<Format>(scales + i * tile_bytes);
      for (int m = 0; m < kPanelRows; m++)
        totals[i][m] = multiply_add(floats((Ints)sums.of[i][m]), scale * load<float>(row_scales + 4 * m), totals[i][m]);
    }
    scales += kScaleBytes, steps += kBits * 64, record += kPanelRows * kRowBytes;
  }
  for (int i = 0; i < kPair; i++)
    for (int m = 0; m < kPanelRows; m++) out[i * kPanelRows + m] = totals[i][m];
}
#endif

}  // namespace

void MYNA_AT_LEVEL(multiply_pair)(const Matrix& w, int64_t tile, const Rows& x, Floats* out) {
#if defined(__AVX512VNNI__)
  const int64_t tile_bytes = kTileRows * (x.k / kBlock) * block_bytes(w);
  const uint8_t* tiles = w.data + tile * tile_bytes;
  if (x.count == kPanelRows && w.is_rounded) {
#define MYNA_USE(Format) pair_product<Format>(tiles, tile_bytes, x, out)
    MYNA_WITH_ROWS_OF_TILES(w.format, MYNA_USE)
#undef MYNA_USE
  }
#endif
  multiply(w, tile, x, out);
  multiply(w, tile + 1, x, out + kPanelRows);
}

}  // namespace myna
