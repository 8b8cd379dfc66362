// Gated networks for rows of x, each row through its own choice of them.
//
// Rows are sorted by network, so that weights are read once. A row's results are added in the order of the networks, so
// they do not depend on the rows beside it. Threads share the work: all of them call each function together.
#pragma once
#include <omp.h>

#include "products.h"

namespace myna {
namespace {

constexpr int64_t kHiddenBlock = kBlock;  // hidden values that a task computes: a block of the next product's input

// A network, and the routed rows that go through it: `count` of them from `first` on.
struct Slot {
  const Network* network;
  int64_t first, count;
};

// Which rows go where. A routed row is a row of x on its way through one network.
struct Routes {
  Slot* slots;        // ascending by network
  int64_t* rows;      // (routed,) of x
  float* shares;      // (routed,)
  int64_t num_slots, num_routed;
};

// Scratch memory for routed rows: their panels before and in the networks, and floats for formats that want them.
struct Stages {
  uint8_t* inputs;    // panels of D columns
  float* values;      // (routed, D), where a network multiplies floats
  uint8_t* hidden;    // panels of max_hidden columns
  float* activations; // (routed, max_hidden)
  int64_t d, max_hidden;
};

inline uint8_t* take(uint8_t*& from, int64_t num_bytes) {
  uint8_t* at = from;
  from += (num_bytes + 63) / 64 * 64;
  return at;
}

inline int64_t stages_bytes(int64_t routed, int64_t d, int64_t max_hidden) {
  return panel_bytes(routed, d) + panel_bytes(routed, max_hidden) + 4 * routed * (d + max_hidden) + 4 * 64;
}

inline Stages lay_stages(uint8_t*& from, int64_t routed, int64_t d, int64_t max_hidden) {
  Stages s;
  s.inputs = take(from, panel_bytes(routed, d));
  s.values = reinterpret_cast<float*>(take(from, 4 * routed * d));
  s.hidden = take(from, panel_bytes(routed, max_hidden));
  s.activations = reinterpret_cast<float*>(take(from, 4 * routed * max_hidden));
  s.d = d, s.max_hidden = max_hidden;
  return s;
}

inline int64_t routes_bytes(int64_t routed, int64_t networks) {
  return int64_t(sizeof(Slot)) * networks + 12 * routed + 8 * (networks + 1) + 4 * 64;
}

// Sort `rows` rows by the networks that they chose; counts is (num_networks + 1,) of scratch.
template <class T>
Routes sort_by_network(uint8_t*& from, const Network* networks, int64_t num_networks, const int64_t* chosen,
                       const T* shares, int64_t rows, int64_t num_chosen) {
  Routes routes;
  routes.num_routed = rows * num_chosen;
  routes.slots = reinterpret_cast<Slot*>(take(from, int64_t(sizeof(Slot)) * num_networks));
  routes.rows = reinterpret_cast<int64_t*>(take(from, 8 * routes.num_routed));
  routes.shares = reinterpret_cast<float*>(take(from, 4 * routes.num_routed));
  int64_t* place = reinterpret_cast<int64_t*>(take(from, 8 * (num_networks + 1)));
  memset(place, 0, size_t(8 * (num_networks + 1)));
  for (int64_t i = 0; i < routes.num_routed; i++) place[chosen[i] + 1]++;
  routes.num_slots = 0;
  for (int64_t n = 0; n < num_networks; n++) {
    const int64_t count = place[n + 1];
    place[n + 1] += place[n];
    if (count) routes.slots[routes.num_slots++] = {networks + n, place[n], count};
  }
  for (int64_t i = 0; i < routes.num_routed; i++) {
    const int64_t at = place[chosen[i]]++;
    routes.rows[at] = i / num_chosen;
    routes.shares[at] = to_float(shares[i]);
  }
  return routes;
}

// The panel that holds routed row `first + begin` of a slot, and the rows in it.
inline Rows panel_of(const Slot& slot, int64_t begin, const uint8_t* panels, const float* values, int64_t stride,
                     int64_t k) {
  const int64_t first = slot.first + begin;
  return {values + first * stride, panels + panel_bytes(first, stride), rows_of_panel(slot.count, begin), k};
}

// Bring one routed row into the form that its network reads.
template <class T>
void prepare_row(const Slot& slot, int64_t i, const T* x, const Stages& s) {
  const int64_t begin = i / kPanelRows * kPanelRows, first = slot.first + begin;
  const bool is_rounded = slot.network->gate.is_rounded && slot.network->up.is_rounded;
  if (slot.network->gate.is_rounded || slot.network->up.is_rounded)
    round_row(x, s.d, s.inputs + panel_bytes(first, s.d), rows_of_panel(slot.count, begin), i - begin);
  if (!is_rounded)
    for (int64_t k = 0; k < s.d; k += kLanes) store(s.values + (slot.first + i) * s.d + k, load_floats(x + k));
}

inline Floats silu(Floats x) {
  const Floats power = exp_negative(x < 0 ? x : -x);
  const Floats share = (x >= 0 ? Floats{} + 1.0f : power) / (power + 1.0f);
  return x * share;
}

// Compute 32 hidden values of every row of a slot.
inline void hidden_block(const Slot& slot, int64_t block, const Stages& s) {
  const Network& n = *slot.network;
  const int64_t width = n.gate.rows;
  for (int64_t begin = 0; begin < slot.count; begin += kPanelRows) {
    const Rows x = panel_of(slot, begin, s.inputs, s.values, s.d, s.d);
    Floats hidden[2][kPanelRows];
    Floats gate[2][kPanelRows], up[2][kPanelRows];
    multiply_pair(n.gate, 2 * block, x, gate[0]);
    multiply_pair(n.up, 2 * block, x, up[0]);
    for (int half = 0; half < 2; half++)
      for (int64_t m = 0; m < x.count; m++) hidden[half][m] = silu(gate[half][m]) * up[half][m];
    const int64_t first = slot.first + begin;
    uint8_t* panel = s.hidden + panel_bytes(first, s.max_hidden) + block * x.count * kRowBytes;
    const Record record = {reinterpret_cast<int8_t*>(panel), x.count};
    for (int64_t m = 0; m < x.count; m++) {
      if (n.down.is_rounded) {
        round_block(hidden[0][m], hidden[1][m], record, m);
      } else {
        float* to = s.activations + first * s.max_hidden + m * width + block * kHiddenBlock;
        store(to, hidden[0][m]);
        store(to + kLanes, hidden[1][m]);
      }
    }
  }
}

// Add a tile's sums, each weighted by its row's share, to columns 16 * tile and following of the rows of x.
inline void add_tile(const Routes& routes, int64_t first, int64_t count, int64_t tile, const Floats* sums, int64_t d,
                     float* out) {
  for (int64_t m = 0; m < count; m++) {
    float* to = out + routes.rows[first + m] * d + tile * kTileRows;
    store(to, multiply_add(sums[m], Floats{} + routes.shares[first + m], load_floats(to)));
  }
}

// Add what every network says to columns 16 * tile and following of its rows: out is (rows of x, D).
inline void add_down(const Routes& routes, int64_t tile, int64_t num_tiles, const Stages& s, float* out) {
  for (int64_t i = 0; i < routes.num_slots; i++) {
    const Slot& slot = routes.slots[i];
    const Matrix& down = slot.network->down;
    for (int64_t begin = 0; begin < slot.count; begin += kPanelRows) {
      const Rows hidden = panel_of(slot, begin, s.hidden, s.activations, s.max_hidden, down.columns);
      int64_t t = tile;
      for (; t + 2 <= tile + num_tiles; t += 2) {
        Floats sums[2 * kPanelRows];
        multiply_pair(down, t, hidden, sums);
        add_tile(routes, slot.first + begin, hidden.count, t, sums, s.d, out);
        add_tile(routes, slot.first + begin, hidden.count, t + 1, sums + kPanelRows, s.d, out);
      }
      for (; t < tile + num_tiles; t++) {
        Floats sums[kPanelRows] = {};
        multiply(down, t, hidden, sums);
        add_tile(routes, slot.first + begin, hidden.count, t, sums, s.d, out);
      }
    }
  }
}

// Count the tasks of hidden_block, and find the one of a number.
inline int64_t hidden_tasks(const Routes& routes) {
  int64_t total = 0;
  for (int64_t i = 0; i < routes.num_slots; i++) total += routes.slots[i].network->gate.rows / kHiddenBlock;
  return total;
}

inline void hidden_task(const Routes& routes, int64_t task, const Stages& s) {
  for (int64_t i = 0; i < routes.num_slots; i++) {
    const int64_t blocks = routes.slots[i].network->gate.rows / kHiddenBlock;
    if (task < blocks) return hidden_block(routes.slots[i], task, s);
    task -= blocks;
  }
}

}  // namespace
}  // namespace myna
