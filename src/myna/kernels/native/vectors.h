// Sixteen floats at a time, in the compiler's own vector types: any instruction set can run them, the wide ones faster.
#pragma once
#include <cstring>

#include "kernels.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace myna {
namespace {

constexpr int kLanes = 16;
typedef float Floats __attribute__((vector_size(64)));
typedef uint32_t Words __attribute__((vector_size(64)));
typedef int32_t Ints __attribute__((vector_size(64)));
typedef uint16_t Halves __attribute__((vector_size(32)));
typedef uint8_t Bytes __attribute__((vector_size(16)));

template <class T>
inline T load(const void* from) {
  T value;
  memcpy(&value, from, sizeof value);
  return value;
}

inline float to_float(Bfloat16 value) {
  uint32_t bits = uint32_t(value.bits) << 16;
  return load<float>(&bits);
}

// Round to nearest, ties to even, as torch does; a NaN stays one.
inline Bfloat16 to_bfloat16(float value) {
  uint32_t bits = load<uint32_t>(&value);
  if ((bits & 0x7fffffff) > 0x7f800000) return {uint16_t(bits >> 16 | 64)};
  return {uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

// Numbers of fewer bits, one to a lane, and back. Compilers take the plain conversions apart, lane by lane.
inline Words widen(Halves values) {
#if defined(__AVX512F__)
  return (Words)_mm512_cvtepu16_epi32((__m256i)values);
#else
  return __builtin_convertvector(values, Words);
#endif
}

inline Ints widen(Bytes values) {
#if defined(__AVX512F__)
  return (Ints)_mm512_cvtepu8_epi32((__m128i)values);
#elif defined(__AVX2__)
  const __m256i halves[2] = {_mm256_cvtepu8_epi32((__m128i)values),
                             _mm256_cvtepu8_epi32(_mm_srli_si128((__m128i)values, 8))};
  return load<Ints>(halves);
#else
  return __builtin_convertvector(values, Ints);
#endif
}

// Keep the low byte of each lane.
inline Bytes narrow(Ints values) {
#if defined(__AVX512F__)
  return (Bytes)_mm512_cvtepi32_epi8((__m512i)values);
#else
  return __builtin_convertvector(values, Bytes);
#endif
}

inline Halves narrow(Words values) {
#if defined(__AVX512F__)
  return (Halves)_mm512_cvtepi32_epi16((__m512i)values);
#else
  return __builtin_convertvector(values, Halves);
#endif
}

inline Bfloat16 round_to(float value, Bfloat16) { return to_bfloat16(value); }
inline float round_to(float value, float) { return value; }
inline float to_float(float value) { return value; }

inline Floats load_floats(const float* from) { return load<Floats>(from); }

inline Floats load_floats(const Bfloat16* from) { return (Floats)(widen(load<Halves>(from)) << 16); }

// Load fewer than 16 numbers, with zeros after them.
template <class T>
inline Floats load_floats(const T* from, int64_t count) {
  T padded[kLanes] = {};
  memcpy(padded, from, size_t(count) * sizeof(T));
  return load_floats(padded);
}

// a * b + c, rounded once where the machine can.
inline Floats multiply_add(Floats a, Floats b, Floats c) {
#if defined(__AVX512F__)
  return (Floats)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__)
  const __m256* x = reinterpret_cast<const __m256*>(&a);
  const __m256* y = reinterpret_cast<const __m256*>(&b);
  const __m256* z = reinterpret_cast<const __m256*>(&c);
  const __m256 halves[2] = {_mm256_fmadd_ps(x[0], y[0], z[0]), _mm256_fmadd_ps(x[1], y[1], z[1])};
  return load<Floats>(halves);
#else
  return a * b + c;
#endif
}

// e^x for x <= 0, within 2 units in the last place; 0 below the smallest normal number; a NaN stays one.
inline Floats exp_negative(Floats x) {
  const float kMagic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  x = x < -87.0f ? Floats{} - 87.0f : x;
  const auto all = [](float value) { return Floats{} + value; };
  const Floats n = multiply_add(x, all(1.44269504f), all(kMagic)) - kMagic;
  Floats r = multiply_add(n, all(-0.693359375f), x);  // ln 2 in two parts
  r = multiply_add(n, all(2.12194440e-4f), r);
  Floats p = multiply_add(r, all(1.9875691500e-4f), all(1.3981999507e-3f));  // Cephes' expf polynomial
  p = multiply_add(p, r, all(8.3334519073e-3f));
  p = multiply_add(p, r, all(4.1665795894e-2f));
  p = multiply_add(p, r, all(1.6666665459e-1f));
  p = multiply_add(p, r, all(5.0000001201e-1f));
  p = multiply_add(p * r, r, r) + 1.0f;
  return p * (Floats)((__builtin_convertvector(n, Ints) + 127) << 23);
}

inline float exp_negative(float x) { return exp_negative(Floats{} + x)[0]; }

inline void store(float* to, Floats values) { memcpy(to, &values, sizeof values); }

inline void store(Bfloat16* to, Floats values) {
  const Words bits = (Words)values;
  const Words rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  const Words chosen = values == values ? rounded : bits >> 16 | 64;
  const Halves halves = narrow(chosen);
  memcpy(to, &halves, sizeof halves);
}

inline float sum(Floats values) {
  typedef float Eight __attribute__((vector_size(32)));
  typedef float Four __attribute__((vector_size(16)));
  const char* bytes = reinterpret_cast<const char*>(&values);
  Eight eight = load<Eight>(bytes) + load<Eight>(bytes + 32);
  bytes = reinterpret_cast<const char*>(&eight);
  Four four = load<Four>(bytes) + load<Four>(bytes + 16);
  return (four[0] + four[2]) + (four[1] + four[3]);
}

// Add the products of 32 pairs: lane i takes the pairs 2i and 2i + 1.
inline Floats dot_add(Words a, Words b, Floats total) {
#if defined(__AVX512BF16__)
  return (Floats)_mm512_dpbf16_ps((__m512)total, (__m512bh)a, (__m512bh)b);
#else
  const Words high = Words{} + 0xffff0000u;
  total += (Floats)(a << 16) * (Floats)(b << 16);
  total += (Floats)(a & high) * (Floats)(b & high);
  return total;
#endif
}

}  // namespace
}  // namespace myna
