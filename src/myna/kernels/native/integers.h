// Sums of products of bytes, four to a lane: the one thing that instruction sets do each in their own way.
#pragma once
#include "vectors.h"
#if defined(__ARM_FEATURE_DOTPROD)
#include <arm_neon.h>
#endif

namespace myna {
namespace {

typedef uint8_t Quads __attribute__((vector_size(64)));     // four bytes to each of sixteen lanes
typedef uint8_t HalfQuads __attribute__((vector_size(32)));  // to each of eight
typedef int32_t HalfInts __attribute__((vector_size(32)));

// VNNI multiplies unsigned by signed bytes: signed weights are read as if they were larger by this much, and callers
// take the surplus off by the sum of the other factors.
#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
constexpr int kSurplus = 128;
#else
constexpr int kSurplus = 0;
#endif

#if defined(__AVX2__)
// Eight lanes, weights from 0 to 63: 16 bits hold two products.
inline __m256i dot_small(__m256i total, __m256i w, __m256i x) {
#if defined(__AVX512VNNI__)
  return _mm256_dpbusd_epi32(total, w, x);
#elif defined(__AVXVNNI__)
  return _mm256_dpbusd_avx_epi32(total, w, x);
#else
  return _mm256_add_epi32(total, _mm256_madd_epi16(_mm256_maddubs_epi16(w, x), _mm256_set1_epi16(1)));
#endif
}

// Eight lanes, signed weights. Without VNNI the sign moves to x, and 16 bits hold two products.
inline __m256i dot_signed(__m256i total, __m256i w, __m256i x) {
#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
  return dot_small(total, _mm256_xor_si256(w, _mm256_set1_epi8(-128)), x);
#else
  return dot_small(total, _mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
#endif
}
#endif

inline HalfQuads join(Bytes low, Bytes high) {
  return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
                                 22, 23, 24, 25, 26, 27, 28, 29, 30, 31);
}

inline HalfInts dot(HalfInts total, HalfQuads w, HalfQuads x, bool is_signed) {
#if defined(__AVX2__)
  return (HalfInts)(is_signed ? dot_signed((__m256i)total, (__m256i)w, (__m256i)x)
                              : dot_small((__m256i)total, (__m256i)w, (__m256i)x));
#elif defined(__ARM_FEATURE_DOTPROD)
  (void)is_signed;  // small numbers are the same either way
  int32x4_t halves[2];
  memcpy(halves, &total, sizeof halves);
  for (int i = 0; i < 2; i++)
    halves[i] = vdotq_s32(halves[i], load<int8x16_t>(reinterpret_cast<const char*>(&w) + 16 * i),
                          load<int8x16_t>(reinterpret_cast<const char*>(&x) + 16 * i));
  return load<HalfInts>(halves);
#else
  (void)is_signed;
  for (int c = 0; c < 4; c++) total += ((HalfInts)w << (24 - 8 * c) >> 24) * ((HalfInts)x << (24 - 8 * c) >> 24);
  return total;
#endif
}

// Sixteen lanes; all multiply the same four bytes of x.
inline Ints dot_four(Ints total, Quads w, const int8_t* x, bool is_signed) {
  const int32_t four = load<int32_t>(x);
#if defined(__AVX512VNNI__)
  const __m512i weights = is_signed ? _mm512_xor_si512((__m512i)w, _mm512_set1_epi8(-128)) : (__m512i)w;
  return (Ints)_mm512_dpbusd_epi32((__m512i)total, weights, _mm512_set1_epi32(four));
#else
  const HalfInts same = HalfInts{} + four;
  HalfInts halves[2];
  memcpy(halves, &total, sizeof halves);
  for (int i = 0; i < 2; i++)
    halves[i] = dot(halves[i], load<HalfQuads>(reinterpret_cast<const char*>(&w) + 32 * i), (HalfQuads)same, is_signed);
  return load<Ints>(halves);
#endif
}

}  // namespace
}  // namespace myna
