// The library's plain C interface: which level this machine runs, and one function for each kernel.
//
// Pointers and sizes are trusted: the Python side checks shapes, types and contiguity before it calls.
#include "kernels.h"

#define MYNA_EXPORT extern "C" __attribute__((visibility("default")))

namespace myna {
namespace {

enum LevelIndex { kBaseline, kAvx2, kAvx512, kAvx512Bf16, kNumLevels };

#define MYNA_DECLARE(level)                                 \
  void linear_bf16_##level(const LinearBf16&, int);         \
  void paged_attention_##level(const PagedAttention&, int); \
  void packed_linear_##level(const PackedLinear&, int);     \
  void decode_##level(const Decode&, int);
}  // namespace

MYNA_DECLARE(baseline)
#if defined(__x86_64__)
MYNA_DECLARE(avx2)
MYNA_DECLARE(avx512)
MYNA_DECLARE(avx512_bf16)
#endif

namespace {

struct Level {
  const char* name;
  void (*linear_bf16)(const LinearBf16&, int num_threads);
  void (*paged_attention)(const PagedAttention&, int num_threads);
  void (*packed_linear)(const PackedLinear&, int num_threads);
  void (*decode)(const Decode&, int num_threads);
};

#define MYNA_ROW(level) \
  {#level, linear_bf16_##level, paged_attention_##level, packed_linear_##level, decode_##level}
const Level kLevels[] = {
    MYNA_ROW(baseline),
#if defined(__x86_64__)
    MYNA_ROW(avx2),
    MYNA_ROW(avx512),
    MYNA_ROW(avx512_bf16),
#endif
};

int best_level() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (has_avx512 && __builtin_cpu_supports("avx512bf16")) return kAvx512Bf16;
  if (has_avx512) return kAvx512;
  if (has_avx2) return kAvx2;
#endif
  return kBaseline;
}

}  // namespace
}  // namespace myna

using namespace myna;

// Changes whenever a function below changes its arguments.
MYNA_EXPORT int myna_interface_version() { return 2; }

// The best level this machine runs; lower ones run as well.
MYNA_EXPORT int myna_best_level() { return best_level(); }

MYNA_EXPORT const char* myna_level_name(int level) { return kLevels[level].name; }

MYNA_EXPORT void myna_linear_bf16(int level, int num_threads, const void* x, const void* w, const void* bias, void* out,
                                  int64_t m, int64_t n, int64_t k) {
  kLevels[level].linear_bf16({static_cast<const Bfloat16*>(x), static_cast<const Bfloat16*>(w),
                              static_cast<const Bfloat16*>(bias), static_cast<Bfloat16*>(out), m, n, k},
                             num_threads);
}

// Positions that one task of paged_attention reads; the caller sizes the scratch memory by it.
MYNA_EXPORT int64_t myna_split_tokens() { return kSplitTokens; }

MYNA_EXPORT void myna_paged_attention(int level, int num_threads, const void* q, const void* keys, const void* values,
                                      const void* tables, const void* lengths, void* out, void* scratch, int64_t b,
                                      int64_t g, int64_t r, int64_t k, int64_t block_tokens, int64_t table_width,
                                      int64_t num_splits, float scale, int dtype) {
  kLevels[level].paged_attention(
      {q, keys, values, static_cast<const int32_t*>(tables), static_cast<const int32_t*>(lengths), out,
       static_cast<float*>(scratch), b, g, r, k, block_tokens, table_width, num_splits, scale, Dtype(dtype)},
      num_threads);
}

MYNA_EXPORT void myna_packed_linear(int level, int num_threads, const void* x, const void* w, const void* bias,
                                    void* out, int64_t m, int64_t n, int64_t k, int format, int dtype) {
  kLevels[level].packed_linear({static_cast<const float*>(x), static_cast<const uint8_t*>(w), bias, out, m, n, k,
                                format, Dtype(dtype)},
                               num_threads);
}

MYNA_EXPORT void myna_decode(int level, int num_threads, const void* blocks, void* out, int64_t num_blocks, int format,
                             int dtype) {
  kLevels[level].decode({static_cast<const uint8_t*>(blocks), out, num_blocks, format, Dtype(dtype)}, num_threads);
}
