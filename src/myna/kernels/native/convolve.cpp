// A causal convolution whose rows are time steps, and the snake that what it makes goes through.
//
// Weights lie as they are read: of up to 48 outputs together, for each tap and each pair of inputs. A few steps times
// those outputs stay in registers while all taps go by, so a sum's order never depends on the steps beside it.
#include "vectors.h"

namespace myna {
namespace {

constexpr int kTileVectors = 3;  // of outputs, as the weights lie
constexpr int64_t kTileOutputs = kTileVectors * kLanes;
constexpr int64_t kTaskSteps = 256;  // that one task makes of a tile
// Sums that stay in registers: of so many steps and vectors of outputs.
#if defined(__AVX512F__)
constexpr int kSteps = 8, kVectors = kTileVectors;
#else
constexpr int kSteps = 2, kVectors = 1;
#endif

// sin^2 has the period pi; within half of it the polynomial is off by 1.5e-6 at most.
inline Floats squared_sine(Floats x) {
  const float kMagic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const Floats n = x * 0.318309886f + kMagic - kMagic;
  Floats r = x - n * 3.140625f;  // pi in two parts
  r = r - n * 9.67653589793e-4f;
  const Floats q = r * r;
  Floats p = q * -1.8363649724e-4f + 8.3063254133e-3f;
  p = p * q - 1.6664828360e-1f;
  p = (p * q + 9.9999660254e-1f) * r;
  return p * p;
}

inline Floats snake(Floats x, Floats alpha, Floats height) { return x + squared_sine(x * alpha) * height; }

// Write as many numbers as are left of a row.
inline void store_some(Bfloat16* to, Floats values, int64_t count) {
  if (count >= kLanes) return store(to, values);
  Bfloat16 kept[kLanes];
  store(kept, values);
  memcpy(to, kept, size_t(count) * sizeof(Bfloat16));
}

// Hand out one vector of one step's sums.
inline void finish(const Convolve& a, int64_t b, int64_t step, int64_t output, Floats sums) {
  const int64_t left = a.n - output, at = step * a.n + output;
  sums += load_floats(a.bias + output);
  if (a.added) {
    const Bfloat16* from = a.added + b * a.u * a.n + at;
    sums += left < kLanes ? load_floats(from, left) : load_floats(from);
  }
  if (a.out) store_some(a.out + b * a.u * a.n + at, sums, left);
  if (a.waved)
    store_some(a.waved + b * a.waved_stride + at,
               snake(sums, load_floats(a.alpha + output), load_floats(a.height + output)), left);
}

// Make kM steps of kV vectors of outputs; `stride` vectors of weights lie side by side.
template <int kV, int kM>
void make(const Convolve& a, const Bfloat16* w, int64_t stride, int64_t b, int64_t step, int64_t output) {
  Floats sums[kM][kV] = {};
  for (int64_t tap = 0; tap < a.taps; tap++) {
    const Bfloat16* x = a.x + b * a.x_stride + (step + tap * a.dilation) * a.c;
    for (int64_t c = 0; c < a.c; c += 2, w += stride * 2 * kLanes) {
      Words ws[kV];
      for (int v = 0; v < kV; v++) ws[v] = load<Words>(w + v * 2 * kLanes);
#pragma GCC unroll 8
      for (int m = 0; m < kM; m++) {
        const Words xs = Words{} + load<uint32_t>(x + m * a.c + c);
        for (int v = 0; v < kV; v++) sums[m][v] = dot_add(ws[v], xs, sums[m][v]);
      }
    }
  }
  for (int m = 0; m < kM; m++)
    for (int v = 0; v < kV; v++) finish(a, b, step + m, output + v * kLanes, sums[m][v]);
}

template <int kV>
void make_some(const Convolve& a, const Bfloat16* w, int64_t stride, int64_t b, int64_t step, int64_t output,
               int64_t count) {
  switch (count) {
    case 1: return make<kV, 1>(a, w, stride, b, step, output);
    case 2: return make<kV, 2>(a, w, stride, b, step, output);
#if defined(__AVX512F__)
    case 3: return make<kV, 3>(a, w, stride, b, step, output);
    case 4: return make<kV, 4>(a, w, stride, b, step, output);
    case 5: return make<kV, 5>(a, w, stride, b, step, output);
    case 6: return make<kV, 6>(a, w, stride, b, step, output);
    case 7: return make<kV, 7>(a, w, stride, b, step, output);
    case 8: return make<kV, 8>(a, w, stride, b, step, output);
#endif
  }
}

// Make steps [first, last) of one tile.
void make_tile(const Convolve& a, int64_t tile, int64_t b, int64_t first, int64_t last) {
  const int64_t output = tile * kTileOutputs, all = (a.n - output + kLanes - 1) / kLanes;
  const int64_t vectors = all < kTileVectors ? all : kTileVectors;
  const Bfloat16* w = a.w + output * a.taps * a.c;
  for (int64_t v = 0; v < vectors; v += kVectors) {
    const Bfloat16* from = w + v * 2 * kLanes;
    for (int64_t step = first; step < last; step += kSteps) {
      const int64_t count = last - step < kSteps ? last - step : kSteps, at = output + v * kLanes;
      const int64_t together = vectors - v < kVectors ? vectors - v : kVectors;
      if (together == 1) make_some<1>(a, from, vectors, b, step, at, count);
#if defined(__AVX512F__)
      if (together == 2) make_some<2>(a, from, vectors, b, step, at, count);
      if (together == 3) make_some<3>(a, from, vectors, b, step, at, count);
#endif
    }
  }
}

}  // namespace

void MYNA_AT_LEVEL(convolve)(const Convolve& a, int num_threads) {
  const int64_t tiles = (a.n + kTileOutputs - 1) / kTileOutputs, parts = (a.u + kTaskSteps - 1) / kTaskSteps;
#pragma omp parallel for schedule(dynamic) num_threads(num_threads) if (num_threads > 1)
  for (int64_t task = 0; task < a.b * parts * tiles; task++) {
    const int64_t b = task / (parts * tiles), first = task / tiles % parts * kTaskSteps;
    const int64_t last = first + kTaskSteps < a.u ? first + kTaskSteps : a.u;
    make_tile(a, task % tiles, b, first, last);
  }
}

}  // namespace myna
