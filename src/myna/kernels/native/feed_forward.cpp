// Mixtures of experts for any number of rows: see feed_forward.h.
#include "feed_forward.h"

namespace myna {
namespace {

constexpr int64_t kChunkTiles = 8;  // of the last product, so that a panel of hidden values is used while it is near

inline int64_t widest(const FeedForward& a) {
  int64_t most = 0;
  for (int64_t n = 0; n < a.num_networks; n++) most = a.networks[n].gate.rows > most ? a.networks[n].gate.rows : most;
  return most;
}

template <class T>
void run(const FeedForward& a, int num_threads) {
  const int64_t d = a.networks[0].down.rows, routed = a.n * a.num_chosen;
  uint8_t* scratch = a.scratch;
  float* sums = reinterpret_cast<float*>(take(scratch, 4 * a.n * d));
  const Routes routes = sort_by_network(scratch, a.networks, a.num_networks, a.chosen, static_cast<const T*>(a.shares),
                                        a.n, a.num_chosen);
  const Stages stages = lay_stages(scratch, routed, d, widest(a));
  const T* x = static_cast<const T*>(a.x);
  T* out = static_cast<T*>(a.out);
  const int64_t chunk = a.n > kPanelRows ? kChunkTiles : 1;
  const int64_t num_tiles = d / kTileRows, num_chunks = (num_tiles + chunk - 1) / chunk;
  const int64_t num_tasks = hidden_tasks(routes);
#pragma omp parallel num_threads(num_threads) if (num_threads > 1)
  {
#pragma omp for schedule(static) nowait
    for (int64_t i = 0; i < a.n * d; i += kLanes) store(sums + i, Floats{});
#pragma omp for schedule(dynamic)
    for (int64_t i = 0; i < routes.num_slots; i++)
      for (int64_t r = 0; r < routes.slots[i].count; r++)
        prepare_row(routes.slots[i], r, x + routes.rows[routes.slots[i].first + r] * d, stages);
#pragma omp for schedule(dynamic)
    for (int64_t task = 0; task < num_tasks; task++) hidden_task(routes, task, stages);
#pragma omp for schedule(dynamic)
    for (int64_t c = 0; c < num_chunks; c++) {
      const int64_t left = num_tiles - c * chunk;
      add_down(routes, c * chunk, left < chunk ? left : chunk, stages, sums);
    }
#pragma omp for schedule(static)
    for (int64_t i = 0; i < a.n * d; i += kLanes) store(out + i, load_floats(sums + i));
  }
}

}  // namespace

void MYNA_AT_LEVEL(feed_forward)(const FeedForward& a, int num_threads) {
  if (a.dtype == Dtype::bfloat16)
    run<Bfloat16>(a, num_threads);
  else
    run<float>(a, num_threads);
}

int64_t MYNA_AT_LEVEL(feed_forward_scratch)(const FeedForward& a) {
  const int64_t d = a.networks[0].down.rows, routed = a.n * a.num_chosen;
  return 4 * a.n * d + 64 + routes_bytes(routed, a.num_networks) + stages_bytes(routed, d, widest(a));
}

}  // namespace myna
