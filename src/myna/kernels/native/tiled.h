// Tiles read into registers: sixteen rows' scales, and their steps four columns of each row at a time.
#pragma once
#include "formats.h"
#include "integers.h"

namespace myna {
namespace {

// Sixteen half-precision numbers.
inline Floats halves(const uint8_t* from) {
#if defined(__AVX512F__)
  return (Floats)_mm512_cvtph_ps(load<__m256i>(from));
#elif defined(__F16C__)
  const __m256 parts[2] = {_mm256_cvtph_ps(load<__m128i>(from)), _mm256_cvtph_ps(load<__m128i>(from + 16))};
  return load<Floats>(parts);
#else
  Floats values;
  for (int i = 0; i < kLanes; i++) values[i] = half(from + 2 * i);
  return values;
#endif
}

// Sixteen scales of eight bits.
inline Floats short_halves(const uint8_t* from) {
#if defined(__AVX2__)
  const __m256i wide = _mm256_cvtepi8_epi16(load<__m128i>(from));  // the sign goes to the highest exponent bit as well
  const __m256i parts = _mm256_and_si256(_mm256_slli_epi16(wide, 7), _mm256_set1_epi16(int16_t(0xbfff)));
#else
  uint16_t parts[kLanes];
  for (int i = 0; i < kLanes; i++) parts[i] = half_of_byte(from[i]);
#endif
  return halves(reinterpret_cast<const uint8_t*>(&parts));
}

// A block's scales of sixteen rows.
template <class Format>
inline Floats tile_scales(const uint8_t* from) {
  return Format::kScaleBytes == 1 ? short_halves(from) : halves(from);
}

// The first and the second half of a block of small weights, as bytes four to a lane; `four` counts columns.
template <int kBits>
inline Quads small_half(const uint8_t* steps, int four, int half) {
  const Quads low = load<Quads>(steps + (kBits == 6 ? 2 + four : four) * 64);
  const Quads bits = half ? low >> 4 : low & 15;
  if (kBits == 4) return bits;
  const Quads high = load<Quads>(steps + four % 2 * 64);
  const int shift = four / 2 * 4 + half * 2;
  return bits | ((shift < 4 ? high << (4 - shift) : high >> (shift - 4)) & 48);
}

// What steps are larger by than the weights that they stand for.
template <int kBits>
constexpr int offset_of_steps() {
  return kBits == 8 ? kSurplus : 1 << (kBits - 1);
}

}  // namespace
}  // namespace myna
