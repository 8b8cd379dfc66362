// What a decode step is made of: blocks of a decoder, for one token of each of a few rows.
//
// All threads call each function together. Between the products they meet at barriers; what is cheap (norms, routing,
// joining the parts of attention) each of them computes for itself rather than wait for another. The residual stream
// stays in float32.
#pragma once
#include "attention.h"
#include "feed_forward.h"
#include "runs.h"

namespace myna {
namespace {

constexpr int64_t kDownTasks = 2;  // of a thread, where the last products of many networks are added up

// What one thread keeps to itself.
struct Own {
  float* values;   // (B, widest input)
  uint8_t* panel;  // the same, rounded
  float* turned;   // (R + 1, K): query heads and a key head
  uint8_t* routes;
};

// What threads share.
struct Shared {
  float* qkv;       // (B, (H + 2 * G) * K)
  float* partials;  // of attention
  float* scores;    // (B, X + 1): of the router, and the shared network's gate
  Stages stages;
  Runs* runs;
};

inline int64_t widest_input(const DecodeStack& a) {
  const int64_t heads = a.g * a.r * a.k;
  return heads > a.d ? heads : a.d;
}

inline int64_t own_bytes(const DecodeStack& a) {
  const int64_t width = widest_input(a), routed = a.b * a.max_chosen;
  return 4 * a.b * width + panel_bytes(a.b, width) + 4 * (a.r + 1) * a.k + 12 * routed +
         4 * (a.max_experts + kLanes) + 6 * 64 + routes_bytes(routed, a.max_experts + 1);
}

inline int64_t shared_bytes(const DecodeStack& a) {
  return 4 * a.b * (a.g * a.r + 2 * a.g) * a.k + 4 * a.b * a.g * a.num_splits * a.r * (a.k + 2) +
         4 * a.b * (a.max_experts + kTileRows) + int64_t(sizeof(Runs)) + 4 * 64 + stages_bytes(a.b * a.max_chosen, a.d, a.max_hidden);
}

inline Own lay_own(const DecodeStack& a, uint8_t* from) {
  const int64_t width = widest_input(a);
  Own own;
  own.values = reinterpret_cast<float*>(take(from, 4 * a.b * width));
  own.panel = take(from, panel_bytes(a.b, width));
  own.turned = reinterpret_cast<float*>(take(from, 4 * (a.r + 1) * a.k));
  own.routes = from;
  return own;
}

inline Shared lay_shared(const DecodeStack& a, uint8_t* from) {
  Shared s;
  s.qkv = reinterpret_cast<float*>(take(from, 4 * a.b * (a.g * a.r + 2 * a.g) * a.k));
  s.partials = reinterpret_cast<float*>(take(from, 4 * a.b * a.g * a.num_splits * a.r * (a.k + 2)));
  s.scores = reinterpret_cast<float*>(take(from, 4 * a.b * (a.max_experts + kTileRows)));
  s.stages = lay_stages(from, a.b * a.max_chosen, a.d, a.max_hidden);
  s.runs = reinterpret_cast<Runs*>(memset(take(from, sizeof(Runs)), 0, sizeof(Runs)));
  return s;
}

// Divide by the root mean square and scale.
inline void normalise(const float* x, const float* weight, float eps, int64_t width, float* out) {
  Floats squares = {};
  for (int64_t i = 0; i < width; i += kLanes) squares = multiply_add(load_floats(x + i), load_floats(x + i), squares);
  const float factor = 1.0f / __builtin_sqrtf(sum(squares) / float(width) + eps);
  for (int64_t i = 0; i < width; i += kLanes)
    store(out + i, load_floats(x + i) * factor * load_floats(weight + i));
}

// A thread's own rows in every form.
inline Rows round_all(const Own& own, int64_t rows, int64_t k) {
  for (int64_t m = 0; m < rows; m++) round_row(own.values + m * k, k, own.panel, rows, m);
  return {own.values, own.panel, rows, k};
}

inline Rows normalise_all(const DecodeStack& a, const Own& own, const float* weight) {
  for (int64_t m = 0; m < a.b; m++) normalise(a.x + m * a.d, weight, a.eps, a.d, own.values + m * a.d);
  return round_all(own, a.b, a.d);
}

// Multiply one tile and hand out its (count,) values row by row: use(m, first row of the tile, values, count).
template <class Use>
void each_row(const Matrix& w, int64_t tile, const Rows& x, Use use) {
  Floats sums[kPanelRows] = {};
  multiply(w, tile, x, sums);
  const int64_t left = w.rows - tile * kTileRows;
  for (int64_t m = 0; m < x.count; m++)
    use(m, tile * kTileRows, reinterpret_cast<const float*>(&sums[m]), left < kTileRows ? left : kTileRows);
}

// (B, (H + 2 * G) * K) = qkv x + bias.
void project(const DecodeStack& a, const Block& block, const Rows& x, const Shared& s) {
  const int64_t width = (a.g * a.r + 2 * a.g) * a.k;
  const int64_t tiles[3] = {tiles_of(block.qkv[0]), tiles_of(block.qkv[1]), tiles_of(block.qkv[2])};
  share_out(*s.runs, tiles[0] + tiles[1] + tiles[2], [&](int64_t t) {
    const int part = t < tiles[0] ? 0 : t < tiles[0] + tiles[1] ? 1 : 2;
    const int64_t first = part == 0 ? 0 : part == 1 ? block.qkv[0].rows : block.qkv[0].rows + block.qkv[1].rows;
    const int64_t tile = t - (part > 0 ? tiles[0] : 0) - (part > 1 ? tiles[1] : 0);
    each_row(block.qkv[part], tile, x, [&](int64_t m, int64_t row, const float* values, int64_t count) {
      for (int64_t i = 0; i < count; i++)
        s.qkv[m * width + first + row + i] = values[i] + (block.qkv_bias ? block.qkv_bias[first + row + i] : 0.0f);
    });
  });
}

// Normalise a head if there is a weight, then turn it by its position, whose rotations are given.
inline void turn(const DecodeStack& a, const float* head, const float* norm, const float* cos, const float* sin,
                 float* out) {
  float kept[kMaxWidth];
  memcpy(kept, head, size_t(a.k) * sizeof(float));
  if (norm) normalise(kept, norm, a.eps, a.k, kept);
  const int64_t half = a.k / 2;
  for (int64_t i = 0; i < half; i++) out[i] = kept[i] * cos[i] + kept[i + half] * sin[i];
  for (int64_t i = half; i < a.k; i++) out[i] = kept[i] * cos[i] + kept[i - half] * sin[i];
}

template <class T>
void write_head(const PagedAttention& p, void* store_of, int64_t b, int64_t g, const float* values) {
  keep(const_cast<T*>(head<T>(store_of, p, b, p.lengths[b] - 1, g)), values, p.k);
}

// Write the new keys and values, and let every query attend to its request's past.
template <class T>
void attend_all(const DecodeStack& a, const Block& block, const Own& own, const Shared& s, const PagedAttention& p) {
  const int64_t heads = a.g * a.r + 2 * a.g;
#pragma omp for schedule(dynamic)
  for (int64_t task = 0; task < a.b * a.g * a.num_splits; task++) {
    const int64_t b = task / (a.g * a.num_splits), g = task / a.num_splits % a.g, split = task % a.num_splits;
    if (split >= splits_of(p, b)) continue;
    const float* row = s.qkv + b * heads * a.k;
    const float* cos = a.cos + b * a.k;
    const float* sin = a.sin + b * a.k;
    for (int64_t r = 0; r < a.r; r++) turn(a, row + (g * a.r + r) * a.k, block.q_norm, cos, sin, own.turned + r * a.k);
    if (split == splits_of(p, b) - 1) {  // only this task reads the new position
      float* key = own.turned + a.r * a.k;
      turn(a, row + (a.g * a.r + g) * a.k, block.k_norm, cos, sin, key);
      write_head<T>(p, block.keys, b, g, key);
      write_head<T>(p, block.values, b, g, row + (a.g * a.r + a.g + g) * a.k);
    }
    attend<float, T>(p, b, g, split, own.turned);
  }
}

// Add a product to the residual stream.
void add_product(const DecodeStack& a, const Matrix& w, const float* bias, const Rows& x, Runs& runs) {
  share_out(runs, tiles_of(w), [&](int64_t tile) {
    each_row(w, tile, x, [&](int64_t m, int64_t row, const float* values, int64_t count) {
      for (int64_t i = 0; i < count; i++) a.x[m * a.d + row + i] += values[i] + (bias ? bias[row + i] : 0.0f);
    });
  });
}

// Scores as integers of the same order; what is no number is below all others.
inline Ints ordered(Floats scores) {
  const Ints bits = (Ints)(scores + 0.0f);  // zeros have one sign
  const Ints keys = bits < 0 ? bits ^ 0x7fffffff : bits;
  return scores == scores ? keys : Ints{} + (INT32_MIN + 1);
}

// Choose networks by their scores: the largest, the first of equals, each with its share of the softmax.
inline void choose(const float* scores, int64_t count, int64_t num_chosen, bool renormalise, int64_t* chosen,
                   float* shares, int32_t* keys) {
  float peak = -__builtin_inff(), kept = 0;
  for (int64_t i = 0; i < count; i++) peak = scores[i] > peak ? scores[i] : peak;
  Floats totals = {};
  for (int64_t i = 0; i < count; i += kLanes) {
    const int64_t left = count - i;
    const Floats some = left < kLanes ? load_floats(scores + i, left) : load_floats(scores + i);
    Ints order = ordered(some);
    Floats powers = exp_negative(some - peak);
    for (int64_t lane = left; lane < kLanes; lane++) order[lane] = INT32_MIN, powers[lane] = 0;
    memcpy(keys + i, &order, sizeof order);
    totals += powers;
  }
  const float total = sum(totals);
  for (int64_t c = 0; c < num_chosen; c++) {
    Ints most = Ints{} + INT32_MIN;
    for (int64_t i = 0; i < count; i += kLanes) {
      const Ints some = load<Ints>(keys + i);
      most = some > most ? some : most;
    }
    int32_t best = most[0];
    for (int lane = 1; lane < kLanes; lane++) best = most[lane] > best ? most[lane] : best;
    int64_t i = 0;
    while (keys[i] != best) i++;
    keys[i] = INT32_MIN;  // taken
    chosen[c] = i;
    shares[c] = exp_negative(scores[i] - peak) / total;
    kept += shares[c];
  }
  if (renormalise)
    for (int64_t c = 0; c < num_chosen; c++) shares[c] /= kept;
}

// Find every row's networks; each thread does so for itself.
inline Routes route(const DecodeStack& a, const Block& block, const Own& own, const Shared& s) {
  const int64_t experts = block.router.rows, stride = a.max_experts + kTileRows;
  uint8_t* from = own.routes;
  int64_t* chosen = reinterpret_cast<int64_t*>(take(from, 8 * a.b * a.max_chosen));
  float* shares = reinterpret_cast<float*>(take(from, 4 * a.b * a.max_chosen));
  int32_t* keys = reinterpret_cast<int32_t*>(take(from, 4 * (a.max_experts + kLanes)));
  const int64_t count = experts ? block.num_chosen : 1;
  for (int64_t b = 0; b < a.b; b++) {
    if (experts) {
      choose(s.scores + b * stride, experts, count, block.renormalise, chosen + b * count, shares + b * count,
             keys);
    } else {
      chosen[b] = 0, shares[b] = 1;
    }
  }
  return sort_by_network(from, block.networks, experts ? experts : 1, chosen, shares, a.b, count);
}

// Run one set of networks, and add what they say to the residual stream.
void run_networks(const DecodeStack& a, const Routes& routes, const float* x, const Shared& s) {
#pragma omp for schedule(static)
  for (int64_t i = 0; i < routes.num_routed; i++) {
    int64_t slot = 0;
    while (i >= routes.slots[slot].first + routes.slots[slot].count) slot++;
    prepare_row(routes.slots[slot], i - routes.slots[slot].first, x + routes.rows[i] * a.d, s.stages);
  }
  share_out(*s.runs, hidden_tasks(routes), [&](int64_t task) { hidden_task(routes, task, s.stages); });
  const int64_t num_tiles = a.d / kTileRows, most = num_tiles / (kDownTasks * omp_get_num_threads());
  const int64_t chunk = routes.num_slots == 1 || most < 1 ? 1 : most;
  share_out(*s.runs, (num_tiles + chunk - 1) / chunk, [&](int64_t task) {
    const int64_t left = num_tiles - task * chunk;
    add_down(routes, task * chunk, left < chunk ? left : chunk, s.stages, a.x);
  });
}

void feed_forward(const DecodeStack& a, const Block& block, const Own& own, const Shared& s) {
  const Rows x = normalise_all(a, own, block.feed_forward_norm);
  const int64_t experts = block.router.rows, stride = a.max_experts + kTileRows;
  const auto keep = [&](int64_t first) {
    return [&, first](int64_t m, int64_t row, const float* values, int64_t count) {
      memcpy(s.scores + m * stride + first + row, values, size_t(count) * sizeof(float));
    };
  };
  if (experts) {
    share_out(*s.runs, tiles_of(block.router) + 1, [&](int64_t tile) {
      if (tile < tiles_of(block.router)) each_row(block.router, tile, x, keep(0));
      else if (block.shared_network) each_row(block.shared_gate, 0, x, keep(experts));
    });
  }
  Routes routes = route(a, block, own, s);
  run_networks(a, routes, own.values, s);
  if (!block.shared_network) return;
  Slot slot = {block.shared_network, 0, a.b};
  routes.slots = &slot, routes.num_slots = 1, routes.num_routed = a.b;
  for (int64_t b = 0; b < a.b; b++) {
    const float score = s.scores[b * stride + experts], power = exp_negative(score < 0 ? score : -score);
    routes.rows[b] = b;
    routes.shares[b] = (score >= 0 ? 1.0f : power) / (1.0f + power);
  }
  run_networks(a, routes, own.values, s);
}

// Join the parts of attention, and add what they say to the residual stream.
void add_attention(const DecodeStack& a, const Block& block, const Own& own, const Shared& s, const PagedAttention& p) {
  const int64_t heads = a.g * a.r;
  for (int64_t h = 0; h < a.b * heads; h++)
    join(p, h / heads, h / a.r % a.g, h % a.r, own.values + h * a.k);
  add_product(a, block.attention_out, block.attention_out_bias, round_all(own, a.b, heads * a.k), *s.runs);
}

// What attention reads and writes in one block.
inline PagedAttention attention_of(const DecodeStack& a, const Block& block, const Shared& s) {
  return {nullptr, block.keys, block.values, a.tables, a.lengths, nullptr, s.partials, a.b, a.g, a.r, a.k,
          a.block_tokens, a.table_width, a.num_splits, a.scale, Dtype::float32, a.cache_dtype};
}

inline int64_t aligned(int64_t num_bytes) { return (num_bytes + 63) / 64 * 64; }

}  // namespace
}  // namespace myna
