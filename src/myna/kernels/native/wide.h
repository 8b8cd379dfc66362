// As many floats as one register of this level holds, where compilers take the sixteen of vectors.h apart too clumsily.
#pragma once
#include "vectors.h"

namespace myna {
namespace {

#if defined(__AVX512F__)
constexpr int kWide = 16;
#elif defined(__AVX2__)
constexpr int kWide = 8;
#else
constexpr int kWide = 4;
#endif

typedef float Wide __attribute__((vector_size(4 * kWide)));
typedef uint32_t WideWords __attribute__((vector_size(4 * kWide)));
typedef int32_t WideInts __attribute__((vector_size(4 * kWide)));
typedef uint16_t WideHalves __attribute__((vector_size(2 * kWide)));
typedef int8_t WideBytes __attribute__((vector_size(kWide)));

inline Wide load_wide(const float* from) { return load<Wide>(from); }

inline Wide load_wide(const Bfloat16* from) {
  const WideHalves bits = load<WideHalves>(from);
#if defined(__AVX512F__)
  return (Wide)((WideWords)_mm512_cvtepu16_epi32((__m256i)bits) << 16);
#elif defined(__AVX2__)
  return (Wide)((WideWords)_mm256_cvtepu16_epi32((__m128i)bits) << 16);
#else
  return (Wide)(__builtin_convertvector(bits, WideWords) << 16);
#endif
}

inline Wide load_wide(const int8_t* from) {
#if defined(__AVX512F__)
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load<__m128i>(from)));
#elif defined(__AVX2__)
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from))));
#else
  return __builtin_convertvector(load<WideBytes>(from), Wide);
#endif
}

// Load fewer than a register holds, with zeros after them.
template <class T>
inline Wide load_wide(const T* from, int64_t count) {
  T padded[kWide] = {};
  memcpy(padded, from, size_t(count) * sizeof(T));
  return load_wide(padded);
}

inline Wide all_wide(float value) { return value - Wide{}; }

// Where sixteen are as many as a register holds, these are those of vectors.h.
#if !defined(__AVX512F__)
inline Wide multiply_add(Wide a, Wide b, Wide c) {
#if defined(__FMA__)
  return _mm256_fmadd_ps(a, b, c);
#else
  return a * b + c;
#endif
}

inline float sum(Wide values) {
  typedef float Four __attribute__((vector_size(16)));
  Four four = load<Four>(&values);
#if defined(__AVX2__)
  four += (Four)_mm256_extractf128_ps(values, 1);
#endif
  return (four[0] + four[2]) + (four[1] + four[3]);
}
#endif

}  // namespace
}  // namespace myna
