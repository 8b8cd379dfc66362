// The best scale of each block of 4-bit steps: see scales.py, whose twins of these say what is best.
#include "formats.h"
#include "rounding.h"
#include "wide.h"

namespace myna {
namespace {

constexpr float kLandings[] = {-8.0f, -9.0f, -8.5f, -7.5f, -7.0f, 7.0f, 7.5f, 8.0f};
constexpr float kMinStep = -8, kMaxStep4 = 7;
constexpr int kParts = kBlock / kWide;
constexpr int kNeighbours[] = {0, 1, -1};
constexpr int kSizeBits = 0x7f;  // of a scale of eight bits, whose highest one is its sign

// The values of a block, and what squared errors weigh.
struct Weighed {
  Wide values[kParts], weights[kParts];
  Weighed(const float* from, const float* importance) {
    for (int i = 0; i < kParts; i++) {
      values[i] = load_wide(from + i * kWide);
      weights[i] = importance ? load_wide(importance + i * kWide) : all_wide(1);
    }
  }
};

// To the nearest step that there is, ties to even.
inline Wide steps_of(Wide values, float inverse) {
  const Wide low = all_wide(kMinStep), high = all_wide(kMaxStep4);
  Wide steps = values * inverse;
  steps = steps > low ? steps : low;
  steps = steps < high ? steps : high;
#if defined(__AVX512F__)
  return (Wide)_mm512_roundscale_ps((__m512)steps, 0);
#else
  const Wide magic = all_wide(12582912.0f);  // 1.5 * 2^23: numbers beside it are integers
  return steps + magic - magic;
#endif
}

inline float best_scale(const Weighed& block, const float* values) {
  float largest = 0, best = 0, most = -1;
  for (int64_t i = 0; i < kBlock; i++)
    if (__builtin_fabsf(values[i]) > __builtin_fabsf(largest)) largest = values[i];
  if (__builtin_fabsf(largest) < kNothing) return 0;
  for (const float landing : kLandings) {
    const float inverse = landing / largest;
    Wide dots = {}, squares = {};
    for (int i = 0; i < kParts; i++) {
      const Wide steps = steps_of(block.values[i], inverse), weighed = block.weights[i] * steps;
      dots += weighed * block.values[i];
      squares += weighed * steps;
    }
    const float dot = sum(dots), square = sum(squares);
    const float gain = square > 0 ? dot * dot / square : 0;
    if (gain > most) most = gain, best = square > 0 ? dot / square : 0;
  }
  return best;
}

// Of a scale of eight bits and its neighbours, the one of least error.
inline uint8_t best_neighbour(const Weighed& block, uint8_t scale) {
  const int sign = scale & ~kSizeBits, size = scale & kSizeBits;
  uint8_t best = scale;
  float least = __builtin_inff();
  for (const int step : kNeighbours) {
    const int other = size + step < 0 ? 0 : size + step > kSizeBits ? kSizeBits : size + step;
    const uint16_t bits = half_of_byte(uint8_t(sign | other));
    const float found = half(reinterpret_cast<const uint8_t*>(&bits));
    const float inverse = found == 0 ? 0 : 1 / found;
    Wide errors = {};
    for (int i = 0; i < kParts; i++) {
      const Wide left = steps_of(block.values[i], inverse) * found - block.values[i];
      errors += block.weights[i] * left * left;
    }
    const float error = sum(errors);
    if (error < least) least = error, best = uint8_t(sign | other);
  }
  return best;
}

// Call use(number of a block, its values, where they are) for all blocks.
template <class Use>
void each_block(const BlockScales& a, int num_threads, Use use) {
#pragma omp parallel for schedule(static) num_threads(num_threads) if (num_threads > 1)
  for (int64_t b = 0; b < a.num_blocks; b++) {
    const float* values = a.values + b * kBlock;
    use(b, Weighed(values, a.importance ? a.importance + b % a.row_blocks * kBlock : nullptr), values);
  }
}

}  // namespace

void MYNA_AT_LEVEL(block_scales)(const BlockScales& a, int num_threads) {
  float* scales = static_cast<float*>(a.scales);
  each_block(a, num_threads, [&](int64_t b, const Weighed& block, const float* values) {
    scales[b] = best_scale(block, values);
  });
}

void MYNA_AT_LEVEL(short_scales)(const BlockScales& a, int num_threads) {
  uint8_t* scales = static_cast<uint8_t*>(a.scales);
  each_block(a, num_threads, [&](int64_t b, const Weighed& block, const float*) {
    scales[b] = best_neighbour(block, scales[b]);
  });
}

}  // namespace myna
