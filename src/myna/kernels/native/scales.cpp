// The best scale of each block of 4-bit steps: see weights/quantize/encode.py, whose twin of this says what is best.
#include "rounding.h"

namespace myna {
namespace {

constexpr float kLandings[] = {-8.0f, -9.0f, -8.5f, -7.5f, -7.0f, 7.0f, 7.5f, 8.0f};

inline Floats steps_of(Floats values, float inverse) {
  const Floats low = Floats{} - 8.0f, high = Floats{} + 7.0f;
  const Floats steps = __builtin_convertvector(nearest(values * inverse), Floats);
  const Floats above = steps > low ? steps : low;
  return above < high ? above : high;
}

inline float best_scale(const float* values, const float* importance) {
  const Floats v[2] = {load_floats(values), load_floats(values + kLanes)};
  const Floats ones = Floats{} + 1.0f;
  const Floats w[2] = {importance ? load_floats(importance) : ones, importance ? load_floats(importance + kLanes) : ones};
  float largest = 0, best = 0, most = -1;
  for (int64_t i = 0; i < kBlock; i++)
    if (__builtin_fabsf(values[i]) > __builtin_fabsf(largest)) largest = values[i];
  if (__builtin_fabsf(largest) < kNothing) return 0;
  for (const float landing : kLandings) {
    const float inverse = landing / largest;
    Floats dots = {}, squares = {};
    for (int half = 0; half < 2; half++) {
      const Floats steps = steps_of(v[half], inverse), weighed = w[half] * steps;
      dots += weighed * v[half];
      squares += weighed * steps;
    }
    const float dot = sum(dots), square = sum(squares);
    const float gain = square > 0 ? dot * dot / square : 0;
    if (gain > most) most = gain, best = square > 0 ? dot / square : 0;
  }
  return best;
}

}  // namespace

void MYNA_AT_LEVEL(block_scales)(const BlockScales& a, int num_threads) {
#pragma omp parallel for schedule(static) num_threads(num_threads) if (num_threads > 1)
  for (int64_t b = 0; b < a.num_blocks; b++)
    a.scales[b] = best_scale(a.values + b * kBlock, a.importance ? a.importance + b % a.row_blocks * kBlock : nullptr);
}

}  // namespace myna
