// Codes of a frame one after another in one call: a decoder that runs over codebooks instead of time.
//
// Of each stream it reads two vectors; from then on every position is the embedding of the code just chosen, by tables
// and heads of each codebook's own. Streams go through it side by side, so weights are read once for all of them. What
// it remembers lasts for one frame and lies in scratch memory.
#include "stack.h"

namespace myna {
namespace {

constexpr int64_t kGiven = 2;  // positions before the first choice

// What threads share beside the blocks' own.
struct Memory {
  float* keys;    // (L, B, Q, G, K)
  float* values;
  float* scores;  // (B, V)
};

// Whether the given positions go through the blocks together.
inline int64_t given_together(const DepthDecode& a) { return kGiven * a.step.b <= kPanelRows ? kGiven : 1; }

// The step of the most rows that there will be.
inline DecodeStack widest_step(const DepthDecode& a) {
  DecodeStack step = a.step;
  step.b *= given_together(a);
  return step;
}

inline int64_t cache_bytes(const DepthDecode& a) {
  return 4 * a.step.num_blocks * a.step.b * a.step.block_tokens * a.step.g * a.step.k;
}

inline int64_t score_bytes(const DepthDecode& a) { return 4 * a.step.b * a.heads[0].rows; }

inline Memory lay_memory(const DepthDecode& a, uint8_t* from) {
  Memory memory;
  memory.keys = reinterpret_cast<float*>(take(from, cache_bytes(a)));
  memory.values = reinterpret_cast<float*>(take(from, cache_bytes(a)));
  memory.scores = reinterpret_cast<float*>(take(from, score_bytes(a)));
  return memory;
}

// Let the rows attend to their streams' past, position by position: row i is of stream i % streams.
void attend_in_turn(const DecodeStack& step, const Block& block, const Own& own, const Shared& s,
                    const PagedAttention& p, int64_t streams) {
  const int64_t heads = step.g * step.r + 2 * step.g;
#pragma omp for schedule(static)
  for (int64_t task = 0; task < streams * step.g; task++) {
    const int64_t g = task % step.g;
    for (int64_t b = task / step.g; b < step.b; b += streams) {
      const float* row = s.qkv + b * heads * step.k;
      const int64_t position = p.lengths[b] - 1;
      const float* cos = step.cos + position * step.k;
      const float* sin = step.sin + position * step.k;
      for (int64_t r = 0; r < step.r; r++)
        turn(step, row + (g * step.r + r) * step.k, block.q_norm, cos, sin, own.turned + r * step.k);
      float* key = own.turned + step.r * step.k;
      turn(step, row + (step.g * step.r + g) * step.k, block.k_norm, cos, sin, key);
      write_head<float>(p, const_cast<void*>(p.keys), b, g, key);
      write_head<float>(p, const_cast<void*>(p.values), b, g, row + (step.g * step.r + step.g + g) * step.k);
      attend<float, float>(p, b, g, 0, own.turned);
    }
  }
}

// Send `count` positions of every stream, from `position` on, through all blocks.
void run_blocks(const DepthDecode& a, const Own& own, const Shared& s, const Memory& memory, int64_t position,
                int64_t count) {
  int32_t tables[kPanelRows], lengths[kPanelRows];
  DecodeStack step = a.step;
  step.b = count * a.step.b;
  if (position > 0) step.x += a.step.b * a.step.d;
  for (int64_t i = 0; i < step.b; i++) {
    tables[i] = int32_t(i % a.step.b);
    lengths[i] = int32_t(position + i / a.step.b + 1);
  }
  step.tables = tables, step.lengths = lengths;
  const int64_t stride = a.step.b * step.block_tokens * step.g * step.k;
  for (int64_t i = 0; i < step.num_blocks; i++) {
    const Block& block = step.blocks[i];
    PagedAttention p = attention_of(step, block, s);
    p.keys = memory.keys + i * stride, p.values = memory.values + i * stride;
    project(step, block, normalise_all(step, own, block.input_norm), s);
    attend_in_turn(step, block, own, s, p, a.step.b);
    add_attention(step, block, own, s, p);
    feed_forward(step, block, own, s);
  }
}

inline int64_t likeliest(const float* scores, int64_t count) {
  int64_t best = 0;
  for (int64_t i = 1; i < count; i++) best = scores[i] > scores[best] ? i : best;
  return best;
}

// Choose the code in whose part of the nucleus the point lies. Of equal scores the first comes first. Scores that are
// no numbers give some code.
inline int64_t draw(const DepthDecode& a, const float* scores, int64_t count, float point) {
  float ranked[kMaxRanked], reached[kMaxRanked];
  int64_t codes[kMaxRanked];
  const int64_t most = a.top_k < count ? a.top_k : count;
  int64_t held = 0;
  for (int64_t i = 0; i < count; i++) {
    if (held == most && !(scores[i] > ranked[held - 1])) continue;
    int64_t at = held < most ? held++ : held - 1;
    for (; at > 0 && scores[i] > ranked[at - 1]; at--) ranked[at] = ranked[at - 1], codes[at] = codes[at - 1];
    ranked[at] = scores[i], codes[at] = i;
  }
  const float peak = ranked[0];
  double total = 0;
  for (int64_t i = 0; i < held; i++) {
    const float below = (ranked[i] - peak) / a.temperature;
    ranked[i] = exp_negative(below < 0 ? below : 0.0f);
    total += ranked[i];
  }
  double sum = 0;
  int64_t kept = 0;
  for (; kept < held; kept++) {
    const float share = ranked[kept] / float(total);
    const float after = float(sum + share);
    if (kept > 0 && !(after - share < a.top_p)) break;
    sum += share;
    reached[kept] = after;
  }
  const float target = point * reached[kept - 1];
  int64_t place = 0;
  while (place < kept - 1 && reached[place] <= target) place++;
  return codes[place];
}

// Score one codebook's codes after each stream's last position, choose, and read what was chosen.
void choose_codes(const DepthDecode& a, const Own& own, const Memory& memory, int64_t book) {
  const Matrix& head = a.heads[book];
  DecodeStack last = a.step;
  last.x += a.step.b * a.step.d;
  const Rows x = normalise_all(last, own, a.norm);
#pragma omp for schedule(dynamic, 4)
  for (int64_t tile = 0; tile < tiles_of(head); tile++)
    each_row(head, tile, x, [&](int64_t m, int64_t row, const float* values, int64_t count) {
      memcpy(memory.scores + m * head.rows + row, values, size_t(count) * sizeof(float));
    });
#pragma omp for schedule(static)
  for (int64_t b = 0; b < last.b; b++) {
    const float* scores = memory.scores + b * head.rows;
    const int64_t at = b * a.num_codes + book;
    a.codes[at] = a.points ? draw(a, scores, head.rows, a.points[at]) : likeliest(scores, head.rows);
    float* vector = last.x + b * last.d;
    MYNA_AT_LEVEL(decode_row)(a.tables[book], a.codes[at], vector);
    float* sum = a.sums + b * last.d;
    for (int64_t i = 0; i < last.d; i += kLanes)
      store(sum + i, book ? load_floats(sum + i) + load_floats(vector + i) : load_floats(vector + i));
  }
}

}  // namespace

void MYNA_AT_LEVEL(depth_decode)(const DepthDecode& a, int num_threads) {
  const DecodeStack widest = widest_step(a);
  const int64_t own_size = aligned(own_bytes(widest));
  uint8_t* from = a.step.scratch + num_threads * own_size;
  const Shared s = lay_shared(widest, from);
  const Memory memory = lay_memory(a, from + aligned(shared_bytes(widest)));
#pragma omp parallel num_threads(num_threads)
  {
    const Own own = lay_own(widest, a.step.scratch + omp_get_thread_num() * own_size);
    for (int64_t position = 0; position <= a.num_codes;) {
      const int64_t count = position ? 1 : given_together(a);
      run_blocks(a, own, s, memory, position, count);
      position += count;
      if (position >= kGiven) choose_codes(a, own, memory, position - kGiven);
    }
  }
}

int64_t MYNA_AT_LEVEL(depth_decode_scratch)(const DepthDecode& a, int num_threads) {
  const DecodeStack widest = widest_step(a);
  return num_threads * aligned(own_bytes(widest)) + aligned(shared_bytes(widest)) + 2 * aligned(cache_bytes(a)) +
         aligned(score_bytes(a));
}

}  // namespace myna
