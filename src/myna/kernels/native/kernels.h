// The compiled kernels' common ground: number types, and the table of functions that each instruction set provides.
//
// linear.cpp, attention.cpp and packed.cpp are compiled once for every level, with that level's compiler flags and
// MYNA_LEVEL naming it; dispatch.cpp picks the best table this machine can run. They share no inline library code:
// a template of the standard library, compiled for a high level, could be linked into the low ones.
#pragma once
#include <cstdint>

namespace myna {

struct Bfloat16 {
  uint16_t bits;
};

// A floating-point tensor's element type, as the Python side names it.
enum class Dtype : int32_t { float32 = 0, bfloat16 = 1 };

struct LinearBf16 {
  const Bfloat16* x;     // (M, K)
  const Bfloat16* w;     // (N, K)
  const Bfloat16* bias;  // (N,) or null
  Bfloat16* out;         // (M, N)
  int64_t m, n, k;
};

struct PagedAttention {
  const void* q;            // (B, H, K)
  const void* keys;         // (num_blocks, block_tokens, G, K)
  const void* values;       // the same
  const int32_t* tables;    // (B, table_width), each request's blocks in order
  const int32_t* lengths;   // (B,), cached positions of each request
  void* out;                // (B, H, K)
  float* scratch;           // (B, G, num_splits, R, K + 2), where H = G * R
  int64_t b, g, r, k, block_tokens, table_width, num_splits;
  float scale;
  Dtype dtype;              // of q, keys, values and out
};

// Positions of one request that one task reads. Fixed, so that sums never depend on threads or on neighbours.
constexpr int64_t kSplitTokens = 256;

struct PackedLinear {
  const float* x;    // (M, K)
  const uint8_t* w;  // (N, row bytes), blocks of `format`
  const void* bias;  // (N,) of `dtype`, or null
  void* out;         // (M, N)
  int64_t m, n, k;
  int32_t format;
  Dtype dtype;       // of bias and out
};

struct Decode {
  const uint8_t* blocks;
  void* out;
  int64_t num_blocks;
  int32_t format;
  Dtype dtype;       // of out
};

// Declare or define NAME at the level that this file is compiled for.
#define MYNA_JOIN2(name, level) name##_##level
#define MYNA_JOIN(name, level) MYNA_JOIN2(name, level)
#define MYNA_AT_LEVEL(name) MYNA_JOIN(name, MYNA_LEVEL)

}  // namespace myna
