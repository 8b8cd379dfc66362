// Decode attention by itself: tasks are shared out among threads, see attention.h.
#include "attention.h"

namespace myna {
namespace {

constexpr int64_t kWorthAThread = 64 << 10;  // multiplications for which waking a thread pays

// Q is the type of queries and results, T that of what is cached.
template <class Q, class T>
void run(const PagedAttention& a, int num_threads) {
  const int64_t num_tasks = a.b * a.g * a.num_splits;
  const int64_t num_heads = a.b * a.g * a.r;
  int64_t work = 0;
  for (int64_t b = 0; b < a.b; b++) work += a.lengths[b] * a.g * a.r * a.k;
  const int64_t most = 1 + work / kWorthAThread < num_tasks ? 1 + work / kWorthAThread : num_tasks;
  if (num_threads > most) num_threads = int(most);
#pragma omp parallel num_threads(num_threads) if (num_threads > 1)
  {
#pragma omp for schedule(dynamic)
    for (int64_t task = 0; task < num_tasks; task++) {
      const int64_t b = task / (a.g * a.num_splits), g = task / a.num_splits % a.g, split = task % a.num_splits;
      if (split >= splits_of(a, b)) continue;
      attend<Q, T>(a, b, g, split, static_cast<const Q*>(a.q) + (b * a.g + g) * a.r * a.k);
    }
#pragma omp for
    for (int64_t h = 0; h < num_heads; h++)
      join(a, h / (a.g * a.r), h / a.r % a.g, h % a.r, static_cast<Q*>(a.out) + h * a.k);
  }
}

template <class Q>
void run_with(const PagedAttention& a, int num_threads) {
  if (a.cache_dtype == Dtype::blocks8)
    run<Q, Block8>(a, num_threads);
  else
    run<Q, Q>(a, num_threads);
}

}  // namespace

void MYNA_AT_LEVEL(paged_attention)(const PagedAttention& a, int num_threads) {
  if (a.dtype == Dtype::bfloat16)
    run_with<Bfloat16>(a, num_threads);
  else
    run_with<float>(a, num_threads);
}

}  // namespace myna
