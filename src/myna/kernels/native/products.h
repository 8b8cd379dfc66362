// A tile of a matrix, sixteen rows, times a few rows of x: what every product with a quantized matrix is made of.
#pragma once
#include "formats.h"
#include "rounding.h"

namespace myna {

// Rows of x in both forms; a matrix reads the one that it wants, the other may be missing.
struct Rows {
  const float* values;   // (count, k)
  const uint8_t* panel;  // of `count` rows, at most kPanelRows
  int64_t count, k;
};

// Multiply rows 16 * tile and following with rows of x: out[m] is row m's sixteen numbers, fewer at the matrix's end.
void MYNA_AT_LEVEL(multiply)(const Matrix& w, int64_t tile, const Rows& x, Floats* out);

// Multiply two tiles at once, which a whole panel has the registers for: the second tile's numbers are out[kPanelRows]
// and following. Equal to the bit to `multiply`.
void MYNA_AT_LEVEL(multiply_pair)(const Matrix& w, int64_t tile, const Rows& x, Floats* out);

// Write a row of a matrix out as floats.
void MYNA_AT_LEVEL(decode_row)(const Matrix& w, int64_t row, float* out);

namespace {

inline void multiply(const Matrix& w, int64_t tile, const Rows& x, Floats* out) {
  MYNA_AT_LEVEL(multiply)(w, tile, x, out);
}

inline void multiply_pair(const Matrix& w, int64_t tile, const Rows& x, Floats* out) {
  MYNA_AT_LEVEL(multiply_pair)(w, tile, x, out);
}

// The bytes of 32 weights.
inline int64_t block_bytes(const Matrix& w) {
#define MYNA_USE(Format) Format::kBytes * kBlock / Format::kValues
  MYNA_WITH_ROWS_OF_TILES(w.format, MYNA_USE)
  MYNA_WITH_FORMAT(w.format, MYNA_USE)
#undef MYNA_USE
  return 0;
}

inline int64_t tiles_of(const Matrix& w) { return (w.rows + kTileRows - 1) / kTileRows; }

}  // namespace
}  // namespace myna
