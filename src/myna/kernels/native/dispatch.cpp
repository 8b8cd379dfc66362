// The library's plain C interface: which level this machine runs, and one function for each kernel.
//
// Pointers and sizes are trusted: the Python side checks shapes, types and contiguity before it calls.
#include "kernels.h"

#include <cstring>
#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#define MYNA_EXPORT extern "C" __attribute__((visibility("default")))

namespace myna {
namespace {


#define MYNA_DECLARE(level)                                 \
  void linear_bf16_##level(const LinearBf16&, int);         \
  void paged_attention_##level(const PagedAttention&, int); \
  void prompt_attention_##level(const PromptAttention&, int); \
  void packed_linear_##level(const PackedLinear&, int);     \
  void decode_##level(const Decode&, int);                  \
  void block_scales_##level(const BlockScales&, int);       \
  void short_scales_##level(const BlockScales&, int);       \
  void gather_##level(const Gather&);                       \
  void feed_forward_##level(const FeedForward&, int);       \
  int64_t feed_forward_scratch_##level(const FeedForward&); \
  void decode_stack_##level(const DecodeStack&, int);       \
  int64_t decode_stack_scratch_##level(const DecodeStack&, int); \
  void depth_decode_##level(const DepthDecode&, int);       \
  int64_t depth_decode_scratch_##level(const DepthDecode&, int); \
  void convolve_##level(const Convolve&, int);
}  // namespace

MYNA_DECLARE(baseline)
#if defined(__x86_64__)
MYNA_DECLARE(avx2)
MYNA_DECLARE(avx_vnni)
MYNA_DECLARE(avx512)
MYNA_DECLARE(avx512_vnni)
MYNA_DECLARE(avx512_bf16)
#elif defined(__aarch64__)
MYNA_DECLARE(dotprod)
#endif

namespace {

#if defined(__x86_64__)
// GCC 12 cannot ask for it by name: leaf 7, subleaf 1, bit 4 of EAX.
bool has_avx_vnni() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
}
#endif

struct Level {
  const char* name;
  void (*linear_bf16)(const LinearBf16&, int num_threads);
  void (*paged_attention)(const PagedAttention&, int num_threads);
  void (*prompt_attention)(const PromptAttention&, int num_threads);
  void (*packed_linear)(const PackedLinear&, int num_threads);
  void (*decode)(const Decode&, int num_threads);
  void (*block_scales)(const BlockScales&, int num_threads);
  void (*short_scales)(const BlockScales&, int num_threads);
  void (*gather)(const Gather&);
  void (*feed_forward)(const FeedForward&, int num_threads);
  int64_t (*feed_forward_scratch)(const FeedForward&);
  void (*decode_stack)(const DecodeStack&, int num_threads);
  int64_t (*decode_stack_scratch)(const DecodeStack&, int num_threads);
  void (*depth_decode)(const DepthDecode&, int num_threads);
  int64_t (*depth_decode_scratch)(const DepthDecode&, int num_threads);
  void (*convolve)(const Convolve&, int num_threads);
};

#define MYNA_ROW(level) \
  {#level,                                                                                 \
   linear_bf16_##level,                                                                    \
   paged_attention_##level,                                                                \
   prompt_attention_##level,                                                               \
   packed_linear_##level,                                                                  \
   decode_##level,                                                                         \
   block_scales_##level,                                                                   \
   short_scales_##level,                                                                   \
   gather_##level,                                                                         \
   feed_forward_##level,                                                                   \
   feed_forward_scratch_##level,                                                           \
   decode_stack_##level,                                                                   \
   decode_stack_scratch_##level,                                                           \
   depth_decode_##level,                                                                   \
   depth_decode_scratch_##level,                                                           \
   convolve_##level}
const Level kLevels[] = {
    MYNA_ROW(baseline),
#if defined(__x86_64__)
    MYNA_ROW(avx2),
    MYNA_ROW(avx_vnni),
    MYNA_ROW(avx512),
    MYNA_ROW(avx512_vnni),
    MYNA_ROW(avx512_bf16),
#elif defined(__aarch64__)
    MYNA_ROW(dotprod),
#endif
};
constexpr int kNumLevels = sizeof kLevels / sizeof kLevels[0];

// Whether this machine runs a level.
bool can_run(const char* name) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  const bool has_vnni = has_avx512 && __builtin_cpu_supports("avx512vnni");
  if (!strcmp(name, "avx2")) return has_avx2;
  if (!strcmp(name, "avx_vnni")) return has_avx2 && has_avx_vnni();
  if (!strcmp(name, "avx512")) return has_avx512;
  if (!strcmp(name, "avx512_vnni")) return has_vnni;
  if (!strcmp(name, "avx512_bf16")) return has_vnni && __builtin_cpu_supports("avx512bf16");
#elif defined(__aarch64__) && defined(__linux__)
  if (!strcmp(name, "dotprod")) return getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
#elif defined(__aarch64__) && defined(__APPLE__)
  if (!strcmp(name, "dotprod")) return true;  // every processor of Apple's that runs macOS has it
#endif
  return !strcmp(name, "baseline");
}

}  // namespace
}  // namespace myna

using namespace myna;

// Changes whenever a function below changes its arguments.
MYNA_EXPORT int myna_interface_version() { return 10; }

MYNA_EXPORT int myna_num_levels() { return kNumLevels; }

// Levels are counted from the lowest; a machine may run a high one and lack one below it.
MYNA_EXPORT int myna_can_run(int level) { return can_run(kLevels[level].name); }

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
                                      int64_t num_splits, float scale, int dtype, int cache_dtype) {
  kLevels[level].paged_attention(
      {q, keys, values, static_cast<const int32_t*>(tables), static_cast<const int32_t*>(lengths), out,
       static_cast<float*>(scratch), b, g, r, k, block_tokens, table_width, num_splits, scale, Dtype(dtype),
       Dtype(cache_dtype)},
      num_threads);
}

// Bytes that prompt_attention wants as scratch memory: keys and values of all positions, up to a pair of vectors of them.
MYNA_EXPORT int64_t myna_prompt_attention_scratch(int64_t s, int64_t g, int64_t k) { return 4 * g * k * ((s + 31) / 32 * 32); }

MYNA_EXPORT void myna_prompt_attention(int level, int num_threads, const void* q, const void* keys, const void* values,
                                       const void* slots, void* out, void* scratch, int64_t t, int64_t s, int64_t g,
                                       int64_t r, int64_t k, int64_t q_stride, int64_t first_slot, float scale) {
  kLevels[level].prompt_attention({q, keys, values, static_cast<const int64_t*>(slots), out,
                                   static_cast<uint8_t*>(scratch), t, s, g, r, k, q_stride, first_slot, scale},
                                  num_threads);
}

// Bytes that packed_linear wants as scratch memory, whichever form x takes.
MYNA_EXPORT int64_t myna_packed_linear_scratch(int64_t m, int64_t k) { return m * k * int64_t(sizeof(float)); }

MYNA_EXPORT void myna_packed_linear(int level, int num_threads, const void* x, const void* w, const void* bias,
                                    void* out, void* scratch, int64_t m, int64_t n, int64_t k, int64_t out_stride,
                                    int64_t format, int64_t is_rounded, int dtype) {
  const Matrix matrix = {static_cast<const uint8_t*>(w), n, k, format, is_rounded};
  kLevels[level].packed_linear({x, matrix, bias, out, static_cast<uint8_t*>(scratch), m, out_stride, Dtype(dtype)},
                               num_threads);
}

MYNA_EXPORT void myna_decode(int level, int num_threads, const void* blocks, void* out, int64_t num_blocks,
                             int64_t row_blocks, int format, int dtype) {
  kLevels[level].decode({static_cast<const uint8_t*>(blocks), out, num_blocks, row_blocks, format, Dtype(dtype)},
                        num_threads);
}

MYNA_EXPORT void myna_block_scales(int level, int num_threads, const void* values, const void* importance, void* scales,
                                   int64_t num_blocks, int64_t row_blocks) {
  kLevels[level].block_scales({static_cast<const float*>(values), static_cast<const float*>(importance), scales,
                               num_blocks, row_blocks},
                              num_threads);
}

MYNA_EXPORT void myna_short_scales(int level, int num_threads, const void* values, const void* importance, void* scales,
                                   int64_t num_blocks, int64_t row_blocks) {
  kLevels[level].short_scales({static_cast<const float*>(values), static_cast<const float*>(importance), scales,
                               num_blocks, row_blocks},
                              num_threads);
}

MYNA_EXPORT void myna_gather(int level, const void* w, const void* rows, void* out, int64_t count, int64_t num_rows,
                             int64_t columns, int64_t format) {
  const Matrix matrix = {static_cast<const uint8_t*>(w), num_rows, columns, format, 0};
  kLevels[level].gather({matrix, static_cast<const int64_t*>(rows), static_cast<float*>(out), count});
}

// The arguments of these come as the structs of kernels.h, which the Python side lays out alike; this tells their sizes.
MYNA_EXPORT int64_t myna_struct_bytes(int which) {
  const int64_t sizes[] = {sizeof(Matrix), sizeof(Network), sizeof(FeedForward), sizeof(Block), sizeof(DecodeStack),
                           sizeof(DepthDecode), sizeof(Convolve)};
  return sizes[which];
}

MYNA_EXPORT int64_t myna_feed_forward_scratch(int level, const void* arguments) {
  return kLevels[level].feed_forward_scratch(*static_cast<const FeedForward*>(arguments));
}

MYNA_EXPORT void myna_feed_forward(int level, int num_threads, const void* arguments) {
  kLevels[level].feed_forward(*static_cast<const FeedForward*>(arguments), num_threads);
}

MYNA_EXPORT int64_t myna_decode_stack_scratch(int level, int num_threads, const void* arguments) {
  return kLevels[level].decode_stack_scratch(*static_cast<const DecodeStack*>(arguments), num_threads);
}

MYNA_EXPORT void myna_decode_stack(int level, int num_threads, const void* arguments) {
  kLevels[level].decode_stack(*static_cast<const DecodeStack*>(arguments), num_threads);
}

MYNA_EXPORT int64_t myna_depth_decode_scratch(int level, int num_threads, const void* arguments) {
  return kLevels[level].depth_decode_scratch(*static_cast<const DepthDecode*>(arguments), num_threads);
}

MYNA_EXPORT void myna_depth_decode(int level, int num_threads, const void* arguments) {
  kLevels[level].depth_decode(*static_cast<const DepthDecode*>(arguments), num_threads);
}

MYNA_EXPORT void myna_convolve(int level, int num_threads, const void* arguments) {
  kLevels[level].convolve(*static_cast<const Convolve*>(arguments), num_threads);
}
