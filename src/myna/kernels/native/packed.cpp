// out = x w^T + bias, the matrix in blocks that are decoded in registers and never written out.
#include "products.h"
#include "runs.h"

namespace myna {
namespace {

constexpr int64_t kChunkBytes = 64 << 10;  // weights that a thread takes at a time

inline int64_t bytes_of_tile(const Matrix& w) {
  return kTileRows * w.columns * block_bytes(w) / kBlock;
}

// Bring every row of x into the form that the matrix multiplies.
template <class T>
void prepare(const PackedLinear& a) {
  const T* x = static_cast<const T*>(a.x);
  const int64_t k = a.w.columns;
#pragma omp for schedule(static)
  for (int64_t m = 0; m < a.m; m++) {
    const int64_t first = m / kPanelRows * kPanelRows;
    if (a.w.is_rounded) {
      round_row(x + m * k, k, a.scratch + panel_bytes(first, k), rows_of_panel(a.m, first), m - first);
    } else {
      float* to = reinterpret_cast<float*>(a.scratch) + m * k;
      for (int64_t i = 0; i < k; i += kLanes) store(to + i, load_floats(x + m * k + i));
    }
  }
}

// Write a tile's sums for the rows from `first` on, as numbers of T.
template <class T>
void store_tile(const PackedLinear& a, int64_t tile, int64_t first, int64_t num_rows, const Floats* sums) {
  const int64_t row = tile * kTileRows, left = a.w.rows - row, count = left < kTileRows ? left : kTileRows;
  const T* bias = static_cast<const T*>(a.bias);
  const Floats offset = !bias ? Floats{} : count == kTileRows ? load_floats(bias + row) : load_floats(bias + row, count);
  T* out = static_cast<T*>(a.out) + first * a.out_stride + row;
  for (int64_t m = 0; m < num_rows; m++, out += a.out_stride) {
    T values[kTileRows];
    store(values, sums[m] + offset);
    memcpy(out, values, size_t(count) * sizeof(T));
  }
}

// Multiply tiles `begin` to `end` by the panel of rows that begins with row `first`.
template <class T>
void multiply_tiles(const PackedLinear& a, int64_t begin, int64_t end, int64_t first) {
  const int64_t k = a.w.columns;
  const Rows rows = {reinterpret_cast<const float*>(a.scratch) + first * k, a.scratch + panel_bytes(first, k),
                     rows_of_panel(a.m, first), k};
  int64_t tile = begin;
  if (rows.count == kPanelRows) {
    for (; tile + 2 <= end; tile += 2) {
      Floats sums[2 * kPanelRows];
      multiply_pair(a.w, tile, rows, sums);
      store_tile<T>(a, tile, first, kPanelRows, sums);
      store_tile<T>(a, tile + 1, first, kPanelRows, sums + kPanelRows);
    }
  }
  for (; tile < end; tile++) {
    Floats sums[kPanelRows] = {};
    multiply(a.w, tile, rows, sums);
    store_tile<T>(a, tile, first, rows.count, sums);
  }
}

template <class T>
void run(const PackedLinear& a, int num_threads) {
  const int64_t num_tiles = tiles_of(a.w);
  const int64_t chunk = (kChunkBytes / bytes_of_tile(a.w) / 2 + 1) * 2;  // pairs
  const int64_t num_chunks = (num_tiles + chunk - 1) / chunk;
  if (num_threads > num_chunks) num_threads = int(num_chunks);
  Runs runs = {};
#pragma omp parallel num_threads(num_threads) if (num_threads > 1)
  {
    prepare<T>(a);
    share_out(runs, num_chunks, [&](int64_t c) {
      const int64_t end = (c + 1) * chunk < num_tiles ? (c + 1) * chunk : num_tiles;
      for (int64_t first = 0; first < a.m; first += kPanelRows)
        multiply_tiles<T>(a, c * chunk, end, first);
    });
  }
}

}  // namespace

void MYNA_AT_LEVEL(packed_linear)(const PackedLinear& a, int num_threads) {
  if (a.dtype == Dtype::bfloat16)
    run<Bfloat16>(a, num_threads);
  else
    run<float>(a, num_threads);
}

}  // namespace myna
