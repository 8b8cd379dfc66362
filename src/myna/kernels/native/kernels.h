// The compiled kernels' common ground: number types, and the table of functions that each instruction set provides.
//
// The sources beside it are compiled once for every level, with that level's compiler flags and
// MYNA_LEVEL naming it; dispatch.cpp picks the best table this machine can run. They share no inline library code:
// a template of the standard library, compiled for a high level, could be linked into the low ones.
#pragma once
#include <cstdint>

namespace myna {

struct Bfloat16 {
  uint16_t bits;
};

// A floating-point tensor's element type, as the Python side names it. Keys and values may be blocks of 8 bits as well.
enum class Dtype : int32_t { float32 = 0, bfloat16 = 1, blocks8 = 2 };

// Formats of matrices beside GGUF's, which formats.h counts from 0 to 9.
constexpr int64_t kBfloat16 = 10, kFloat32 = 11;
// Sixteen rows of Q4_0, Q6_0, Q8_0 or Q4_F8 together: first the scales, then the steps, four columns of each row at a
// time.
constexpr int64_t kTiledQ4 = 12, kTiledQ8 = 13, kTiledQ6 = 15, kTiledQ4F8 = 17;
// Blocks of 32 weights of 6 bits, and of 4 bits with a scale of 8, row by row.
constexpr int64_t kQ6 = 14, kQ4F8 = 16;
constexpr int64_t kTileRows = 16;

struct Matrix {
  const uint8_t* data;
  int64_t rows, columns;
  int64_t format;
  int64_t is_rounded;  // whether rows of x are rounded to 8 bits before they are multiplied
};

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
  Dtype dtype;              // of q and out
  Dtype cache_dtype;        // of keys and values: q's, or blocks8
};

// Successive tokens of one request: T of them, the last of its S positions.
struct PromptAttention {
  const void* q;         // (T, H, K) bfloat16, q_stride numbers from token to token
  const void* keys;      // (slots, G, K), with H = G * R
  const void* values;    // the same
  const int64_t* slots;  // (S,), or null where they follow one another
  void* out;             // (T, H, K)
  uint8_t* scratch;      // for keys and values, laid out anew: see dispatch.cpp
  int64_t t, s, g, r, k, q_stride, first_slot;
  float scale;
};

// Positions of one request that one task of paged_attention reads. Fixed, so that sums never depend on threads or on neighbours.
constexpr int64_t kSplitTokens = 256;

struct PackedLinear {
  const void* x;        // (M, K)
  Matrix w;             // (N, K)
  const void* bias;     // (N,), or null
  void* out;            // (M, out_stride), of which the first N of a row are written
  uint8_t* scratch;     // x, as its panels or as floats: see scratch_bytes
  int64_t m, out_stride;
  Dtype dtype;          // of x, bias and out
};

// A gated network: down(silu(gate x) * up x).
struct Network {
  Matrix gate, up;  // (F, D)
  Matrix down;      // (D, F)
};

// Many networks, of which each row of x goes through a few, or one through which all rows go.
struct FeedForward {
  const void* x;            // (N, D) of `dtype`
  const Network* networks;  // (X,)
  const int64_t* chosen;    // (N, num_chosen), which networks
  const void* shares;       // (N, num_chosen) of `dtype`, what each result is multiplied by
  void* out;                // (N, D) of `dtype`
  uint8_t* scratch;
  int64_t n, num_networks, num_chosen;
  Dtype dtype;
};

// A pre-norm block of a decoder. Vectors are float32; a null pointer or a matrix of no rows means that there is none.
struct Block {
  const float* input_norm;         // (D,)
  Matrix qkv[3];                   // (H + 2 * G) * K rows together
  const float* qkv_bias;
  const float* q_norm;             // (K,)
  const float* k_norm;
  Matrix attention_out;            // (D, H * K)
  const float* attention_out_bias;
  const float* feed_forward_norm;  // (D,)
  Matrix router;                   // (X, D)
  const Network* networks;         // one, or X where there is a router
  const Network* shared_network;   // beside the experts, for every token, weighted by sigmoid(shared_gate x)
  Matrix shared_gate;              // (1, D)
  void* keys;                      // (num_blocks, block_tokens, G, K)
  void* values;
  int64_t num_chosen, renormalise;
};

// One token of each of B requests goes through blocks, one after another.
struct DecodeStack {
  float* x;                 // (B, D), replaced by the residual stream after the last block, normalised
  const Block* blocks;
  const float* norm;        // (D,), after the last block, or null
  const float* cos;         // (B, K)
  const float* sin;         // (B, K), the first half negated
  const int32_t* tables;    // as of PagedAttention
  const int32_t* lengths;
  uint8_t* scratch;
  int64_t num_blocks, b, d, g, r, k, block_tokens, table_width, num_splits;
  int64_t max_hidden;       // the widest F
  int64_t max_chosen;       // the most networks of a token, shared ones included
  int64_t max_experts;
  float eps, scale;
  Dtype cache_dtype;
};

constexpr int64_t kMaxRanked = 128;  // the most codes that a draw looks at

// Codes of a frame, one after another, of each of B streams.
struct DepthDecode {
  DecodeStack step;      // its x: (2, B, D), what all streams read first, then what they read next; overwritten.
                         // cos and sin: (num_codes + 1, K), of positions. tables and lengths are not read.
  const Matrix* tables;  // (num_codes,), the embeddings of each codebook's codes: (V, D)
  const Matrix* heads;   // (num_codes,), what scores them: (V, D)
  const float* norm;     // (D,), before the heads
  const float* points;   // (B, num_codes) from [0, 1), one for each draw; null takes the likeliest codes
  int64_t* codes;        // (B, num_codes), written
  float* sums;           // (B, D), written: the embeddings of each stream's codes, added up
  int64_t num_codes;
  int64_t top_k;         // at most kMaxRanked
  float top_p, temperature;
};

// A convolution over time steps, which are rows: step u reads rows u, u + dilation, ... of its stream's x.
struct Convolve {
  const Bfloat16* x;      // of each stream U + (taps - 1) * dilation rows: (C,)
  const Bfloat16* w;      // (tiles of 48 outputs, the last with fewer; taps, C / 2, outputs of the tile, 2)
  const float* bias;      // (N,), and like the others here as far as the last tile's vectors reach
  const float* alpha;     // (N,), the snake's, or null
  const float* height;    // (N,)
  const Bfloat16* added;  // (B, U, N), or null
  Bfloat16* out;          // (B, U, N), or null; may be `added`
  Bfloat16* waved;        // of each stream (U, N), what the snake makes of out; or null
  int64_t x_stride, waved_stride;  // from stream to stream
  int64_t b, u, c, n, taps, dilation;
};

struct Decode {
  const uint8_t* blocks;
  void* out;
  int64_t num_blocks;
  int64_t row_blocks;  // in a row; read where rows are tiled
  int32_t format;
  Dtype dtype;       // of out
};

// Rows of a matrix, written out one below the other.
struct Gather {
  Matrix w;
  const int64_t* rows;  // (count,)
  float* out;           // (count, columns)
  int64_t count;
};

struct BlockScales {
  const float* values;      // (num_blocks, 32)
  const float* importance;  // (row_blocks, 32), what squared errors in each column weigh, or null
  void* scales;             // (num_blocks,): floats, written; or scales of 8 bits, replaced by the best beside them
  int64_t num_blocks, row_blocks;
};

// Declare or define NAME at the level that this file is compiled for.
#define MYNA_JOIN2(name, level) name##_##level
#define MYNA_JOIN(name, level) MYNA_JOIN2(name, level)
#define MYNA_AT_LEVEL(name) MYNA_JOIN(name, MYNA_LEVEL)

}  // namespace myna
