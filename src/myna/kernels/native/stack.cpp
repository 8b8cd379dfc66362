// A decode step in one call: one token of each request goes through all blocks of a decoder, see stack.h.
//
// Threads are woken once for all blocks.
#include "stack.h"

namespace myna {
namespace {

template <class T>
void run(const DecodeStack& a, int num_threads) {
  const int64_t own_size = aligned(own_bytes(a));
  const Shared s = lay_shared(a, a.scratch + num_threads * own_size);
#pragma omp parallel num_threads(num_threads)
  {
    const Own own = lay_own(a, a.scratch + omp_get_thread_num() * own_size);
    for (int64_t i = 0; i < a.num_blocks; i++) {
      const Block& block = a.blocks[i];
      const PagedAttention p = attention_of(a, block, s);
      project(a, block, normalise_all(a, own, block.input_norm), s);
      attend_all<T>(a, block, own, s, p);
      add_attention(a, block, own, s, p);
      feed_forward(a, block, own, s);
    }
    if (a.norm) {
#pragma omp for schedule(static) nowait
      for (int64_t b = 0; b < a.b; b++) normalise(a.x + b * a.d, a.norm, a.eps, a.d, a.x + b * a.d);
    }
  }
}

}  // namespace

void MYNA_AT_LEVEL(decode_stack)(const DecodeStack& a, int num_threads) {
  switch (a.cache_dtype) {
    case Dtype::float32: return run<float>(a, num_threads);
    case Dtype::bfloat16: return run<Bfloat16>(a, num_threads);
    case Dtype::blocks8: return run<Block8>(a, num_threads);
  }
}

int64_t MYNA_AT_LEVEL(decode_stack_scratch)(const DecodeStack& a, int num_threads) {
  return num_threads * aligned(own_bytes(a)) + shared_bytes(a);
}

}  // namespace myna
