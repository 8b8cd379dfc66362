// Sixteen floats at a time, in the compiler's own vector types: any instruction set can run them, the wide ones faster.
#pragma once
#include <cstring>

#include "kernels.h"

#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

namespace myna {
namespace {

constexpr int kLanes = 16;
typedef float Floats __attribute__((vector_size(64)));
typedef uint32_t Words __attribute__((vector_size(64)));

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
