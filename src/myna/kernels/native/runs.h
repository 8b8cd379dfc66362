// Tasks of a step, shared out among threads: each thread has a run of successive ones.
//
// Memory is read fastest in long lines, so a thread's tasks should be neighbours. Whoever is done early takes tasks from
// the others' runs. Which thread does a task must not change what comes of it.
#pragma once
#include <omp.h>

#include <cstdint>

namespace myna {
namespace {

constexpr int64_t kMaxRuns = 64;  // threads beyond so many have none of their own, and only take

// What is left of a run: the first task in the low half, the end in the high half. Each has a line of memory to itself.
struct alignas(64) Run {
  uint64_t left;
};

struct Runs {
  Run of[kMaxRuns];
};

// Do `count` tasks, at most 2^31; all threads call it together, and go on when all are done. Nothing is left of any run
// in between: `runs` begins as zeros.
template <class Work>
inline void share_out(Runs& runs, int64_t count, Work work) {
  const int64_t me = omp_get_thread_num(), team = omp_get_num_threads();
  const int64_t owners = team < kMaxRuns ? team : kMaxRuns;
  if (me < owners) {
    const uint64_t first = uint64_t(count * me / owners), end = uint64_t(count * (me + 1) / owners);
    __atomic_store_n(&runs.of[me].left, end << 32 | first, __ATOMIC_RELAXED);
  }
  for (int64_t i = 0; i < owners; i++) {
    uint64_t* left = &runs.of[(me + i) % owners].left;
    while (true) {
      const uint64_t found = __atomic_fetch_add(left, 1, __ATOMIC_RELAXED);
      const uint64_t task = found & 0xffffffff;
      if (task >= found >> 32) break;
      work(int64_t(task));
    }
  }
#pragma omp barrier
}

}  // namespace
}  // namespace myna
