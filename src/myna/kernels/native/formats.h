// GGUF's block formats and two that it has not, decoded thirty-two values at a time.
//
// Each format says how many values and bytes its block has, and hands the block's values to a function, in order, as
// pairs of vectors of sixteen. Products are taken in float32 in the order of the `gguf` package, so that a file compiled without
// contraction of products and sums gives values equal to the bit.
// Source: the byte layouts of ggml's `ggml-common.h`; Q6_0 is that of ik_llama.cpp.
#pragma once
#include "vectors.h"

namespace myna {
namespace {

inline float half(const uint8_t* from) {
  const uint16_t bits = load<uint16_t>(from);
#if defined(__F16C__)
  return _cvtsh_ss(bits);
#else
  const uint32_t sign = uint32_t(bits & 0x8000) << 16, rest = bits & 0x7fff;
  const uint32_t scaled = rest << 13;
  if (rest < 0x0400) {  // zero or subnormal: a number of units of 2^-24
    const float value = float(rest) * 5.9604644775390625e-8f;
    return sign ? -value : value;
  }
  const uint32_t exponent = rest < 0x7c00 ? 112u << 23 : 224u << 23;  // the second for infinities and NaNs
  const uint32_t wide = sign | (scaled + exponent);
  return load<float>(&wide);
#endif
}

// A scale of eight bits is a number in half precision without its highest exponent bit, and with three bits of mantissa:
// below 2, and as exact as a sixteenth.
inline uint16_t half_of_byte(uint8_t byte) { return uint16_t((byte & 0x80) << 8 | (byte & 0x7f) << 7); }

inline Floats floats(Ints values) { return __builtin_convertvector(values, Floats); }

// Sixteen bytes, one to a lane.
inline Ints bytes(const uint8_t* from) { return widen(load<Bytes>(from)); }

// The low (0) or high (1) halves of sixteen bytes.
inline Ints nibbles(const uint8_t* from, int part) { return bytes(from) >> (4 * part) & 15; }

// Bits first .. first + 15 of a 32-bit number, one to a lane, in the place of a fifth bit.
inline Ints fifth_bits(const uint8_t* from, int first) {
  const Words lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return (Ints)((Words{} + (load<uint32_t>(from) >> first)) >> lanes & 1) << 4;
}

#define MYNA_ALWAYS_INLINE __attribute__((always_inline))
#define MYNA_INLINE inline MYNA_ALWAYS_INLINE

// A block that comes in tiles as well has one scale, which comes first, and steps of so many bits.
struct Q4_0 {
  static constexpr int kValues = 32, kBytes = 18, kScaleBytes = 2, kBits = 4;
  template <class Use>
  static MYNA_INLINE void each(const uint8_t* block, Use use) {
    const float d = half(block);
    use(0, d * floats(nibbles(block + 2, 0) - 8), d * floats(nibbles(block + 2, 1) - 8));
  }
};

struct Q4_F8 {
  static constexpr int kValues = 32, kBytes = 17, kScaleBytes = 1, kBits = 4;
  template <class Use>
  static MYNA_INLINE void each(const uint8_t* block, Use use) {
    const uint16_t scale = half_of_byte(block[0]);
    const float d = half(reinterpret_cast<const uint8_t*>(&scale));
    use(0, d * floats(nibbles(block + 1, 0) - 8), d * floats(nibbles(block + 1, 1) - 8));
  }
};

struct Q4_1 {
  static constexpr int kValues = 32, kBytes = 20;
  template <class Use>
  static MYNA_INLINE void each(const uint8_t* block, Use use) {
    const float d = half(block), m = half(block + 2);
    use(0, d * floats(nibbles(block + 4, 0)) + m, d * floats(nibbles(block + 4, 1)) + m);
  }
};

struct Q5_0 {
  static constexpr int kValues = 32, kBytes = 22;
  template <class Use>
  static MYNA_INLINE void each(const uint8_t* block, Use use) {
    const float d = half(block);
    const Ints low = nibbles(block + 6, 0) | fifth_bits(block + 2, 0);
    const Ints high = nibbles(block + 6, 1) | fifth_bits(block + 2, 16);
    use(0, d * floats(low - 16), d * floats(high - 16));
  }
};

struct Q5_1 {
  static constexpr int kValues = 32, kBytes = 24;
  template <class Use>
  static MYNA_INLINE void each(const uint8_t* block, Use use) {
    const float d = half(block), m = half(block + 2);
    const Ints low = nibbles(block + 8, 0) | fifth_bits(block + 4, 0);
    const Ints high = nibbles(block + 8, 1) | fifth_bits(block + 4, 16);
    use(0, d * floats(low) + m, d * floats(high) + m);
  }
};

// Not GGUF's: four low bits as in Q4_0, and before them the two high ones of four weights in a byte.
struct Q6_0 {
  static constexpr int kValues = 32, kBytes = 26, kScaleBytes = 2, kBits = 6;
  template <class Use>
  static MYNA_INLINE void each(const uint8_t* block, Use use) {
    const float d = half(block);
    uint8_t twice[16];
    memcpy(twice, block + 2, 8);
    memcpy(twice + 8, block + 2, 8);
    const Ints shifts = {0, 0, 0, 0, 0, 0, 0, 0, 4, 4, 4, 4, 4, 4, 4, 4};
    const Ints pairs = bytes(twice) >> shifts;  // of the first half's and the second half's high bits
    const Ints low = nibbles(block + 10, 0) | (pairs & 3) << 4, high = nibbles(block + 10, 1) | (pairs & 12) << 2;
    use(0, d * floats(low - 32), d * floats(high - 32));
  }
};

struct Q8_0 {
  static constexpr int kValues = 32, kBytes = 34, kScaleBytes = 2, kBits = 8;
  template <class Use>
  static MYNA_INLINE void each(const uint8_t* block, Use use) {
    const float d = half(block);
    use(0, d * floats((bytes(block + 2) ^ 128) - 128), d * floats((bytes(block + 18) ^ 128) - 128));  // signed
  }
};

struct Q2_K {
  static constexpr int kValues = 256, kBytes = 84;
  template <class Use>
  static MYNA_INLINE void each(const uint8_t* block, Use use) {
    const float d = half(block + 80), least = half(block + 82);
    const auto values = [&](int i) MYNA_ALWAYS_INLINE {
      const float step = d * float(block[i] & 15), floor = least * float(block[i] >> 4);
      const Ints quants = bytes(block + 16 + i / 8 * 32 + i % 2 * 16) >> (i % 8 / 2 * 2) & 3;
      return step * floats(quants) - floor;
    };
    for (int i = 0; i < 8; i++) use(i, values(2 * i), values(2 * i + 1));
  }
};

struct Q3_K {
  static constexpr int kValues = 256, kBytes = 110;
  template <class Use>
  static MYNA_INLINE void each(const uint8_t* block, Use use) {
    const float d = half(block + 108);
    const uint8_t* scales = block + 96;
    const auto values = [&](int i) MYNA_ALWAYS_INLINE {
      const int low_bits = scales[i % 8] >> (i / 8 * 4) & 15, high_bits = scales[8 + i % 4] >> (i / 4 * 2) & 3;
      const float step = d * float((low_bits | high_bits << 4) - 32);
      const Ints low = bytes(block + 32 + i / 8 * 32 + i % 2 * 16) >> (i % 8 / 2 * 2) & 3;
      const Ints high = bytes(block + i % 2 * 16) >> (i / 2) & 1;
      return step * floats((low | high << 2) - 4);
    };
    for (int i = 0; i < 8; i++) use(i, values(2 * i), values(2 * i + 1));
  }
};

// The eight 6-bit scales and minima that Q4_K and Q5_K share: group j's step and floor.
struct Steps {
  float d, least;
  const uint8_t* packed;
  explicit Steps(const uint8_t* block) : d(half(block)), least(half(block + 2)), packed(block + 4) {}
  MYNA_INLINE float step(int j) const {
    return d * float(j < 4 ? packed[j] & 63 : (packed[j + 4] & 15) | packed[j - 4] >> 6 << 4);
  }
  MYNA_INLINE float floor(int j) const {
    return least * float(j < 4 ? packed[j + 4] & 63 : packed[j + 4] >> 4 | packed[j] >> 6 << 4);
  }
};

struct Q4_K {
  static constexpr int kValues = 256, kBytes = 144;
  template <class Use>
  static MYNA_INLINE void each(const uint8_t* block, Use use) {
    const Steps steps(block);
    for (int j = 0; j < 8; j++) {
      const float step = steps.step(j), floor = steps.floor(j);
      const uint8_t* quants = block + 16 + j / 2 * 32;
      use(j, step * floats(nibbles(quants, j % 2)) - floor, step * floats(nibbles(quants + 16, j % 2)) - floor);
    }
  }
};

struct Q5_K {
  static constexpr int kValues = 256, kBytes = 176;
  template <class Use>
  static MYNA_INLINE void each(const uint8_t* block, Use use) {
    const Steps steps(block);
    for (int j = 0; j < 8; j++) {
      const float step = steps.step(j), floor = steps.floor(j);
      const auto values = [&](int half) MYNA_ALWAYS_INLINE {
        const Ints high = bytes(block + 16 + half * 16) >> j & 1;
        const Ints quants = nibbles(block + 48 + j / 2 * 32 + half * 16, j % 2) | high << 4;
        return step * floats(quants) - floor;
      };
      use(j, values(0), values(1));
    }
  }
};

struct Q6_K {
  static constexpr int kValues = 256, kBytes = 210;
  template <class Use>
  static MYNA_INLINE void each(const uint8_t* block, Use use) {
    const float d = half(block + 208);
    const auto values = [&](int i) MYNA_ALWAYS_INLINE {
      const int quarter = i % 8 / 2;  // of 128 values
      const float step = d * float(int8_t(block[192 + i]));
      const Ints low = nibbles(block + i / 8 * 64 + quarter % 2 * 32 + i % 2 * 16, quarter / 2);
      const Ints high = bytes(block + 128 + i / 8 * 32 + i % 2 * 16) >> (2 * quarter) & 3;
      return step * floats((low | high << 4) - 32);
    };
    for (int i = 0; i < 8; i++) use(i, values(2 * i), values(2 * i + 1));
  }
};

// Plain numbers, in blocks of as many as the smallest formats have.
template <class T>
struct Plain {
  static constexpr int kValues = 32, kBytes = 32 * sizeof(T);
  template <class Use>
  static MYNA_INLINE void each(const uint8_t* block, Use use) {
    const T* from = reinterpret_cast<const T*>(block);
    use(0, load_floats(from), load_floats(from + kLanes));
  }
};

// Call USE(Format) for the format of this number; the Python side counts in the same order.
#define MYNA_WITH_FORMAT(format, USE) \
  switch (format) {                   \
    case 0: return USE(Q4_0);         \
    case 1: return USE(Q4_1);         \
    case 2: return USE(Q5_0);         \
    case 3: return USE(Q5_1);         \
    case 4: return USE(Q8_0);         \
    case 5: return USE(Q2_K);         \
    case 6: return USE(Q3_K);         \
    case 7: return USE(Q4_K);         \
    case 8: return USE(Q5_K);         \
    case 9: return USE(Q6_K);         \
    case kBfloat16: return USE(Plain<Bfloat16>); \
    case kFloat32: return USE(Plain<float>);     \
    case kQ6: return USE(Q6_0);       \
    case kQ4F8: return USE(Q4_F8);    \
  }

// Call USE(Format) for the format of the rows of tiles of this number.
#define MYNA_WITH_ROWS_OF_TILES(format, USE) \
  switch (format) {                          \
    case kTiledQ4: return USE(Q4_0);         \
    case kTiledQ6: return USE(Q6_0);         \
    case kTiledQ8: return USE(Q8_0);         \
    case kTiledQ4F8: return USE(Q4_F8);      \
  }

}  // namespace
}  // namespace myna
