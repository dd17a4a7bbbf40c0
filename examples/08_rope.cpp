// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rotary embedding: how attention, which does not care for order, gets to know positions. Pairs of
// channels of a query and of a key are turned by an angle that grows with the position, each pair
// at a speed of its own. What a score then sees is the difference of the two angles: the distance.
#include <headroom/attention.hpp>
#include <headroom/rope.hpp>
#include <headroom/rope_table.hpp>

#include <cmath>
#include <vector>

#include "ladder.hpp"

constexpr Index heads = 2, dim = 64, tokens = 30;

// Attention among tokens that stand at `positions`.
Matrix attend_at(const headroom::token_positions& positions, const headroom::rope& rotate, Matrix q,
                 Matrix k, const Matrix& v) {
  Matrix out(tokens, heads * dim);
  rotate(headroom::as_view(q, heads), positions);
  rotate(headroom::as_view(k, heads), positions);
  headroom::mha<heads, dim>()(q, k, v, out, headroom::causal{});
  return out;
}

int main() {
  const Matrix q = Matrix::Random(tokens, heads * dim), k = Matrix::Random(tokens, heads * dim);
  const Matrix v = Matrix::Random(tokens, heads * dim);
  const headroom::rope rotate(dim, {.base = 10000});

  // Only distances count: the same text further on in a book gives the same result.
  const Matrix at_0 = attend_at(0, rotate, q, k, v);
  bool holds = agree("positions from 0, and from 1000", attend_at(1000, rotate, q, k, v), at_0);

  // Distances do count: with twice the space between tokens the result is another one.
  std::vector<Index> spread(tokens);
  for (Index t = 0; t < tokens; ++t) spread[static_cast<std::size_t>(t)] = 2 * t;
  holds &= !agree("positions 0, 1, 2..., and 0, 2, 4... (not the same)",
                  attend_at(spread, rotate, q, k, v), at_0);

  // A table of sines and cosines for a whole context, computed once, gives the same bits.
  Matrix computed = q, looked_up = q;
  rotate(headroom::as_view(computed, heads), 0);
  headroom::rope_table<float>(rotate, tokens)(headroom::as_view(looked_up, heads), 0);
  holds &= agree("angles computed, and looked up", looked_up, computed);

  // A model trained on 4096 tokens, stretched to 16 times as many by YaRN: pairs that turn fast
  // tell neighbours apart and stay, pairs that turn less than once in the trained length are slowed
  // down.
  const headroom::rope stretched(
      dim, {.scaling = headroom::yarn_scaling{.factor = 16, .original_length = 4096},
            .amplitude = headroom::yarn_magnitude(16).amplitude});
  std::puts("turns in 4096 tokens, as trained and stretched:");
  for (const std::size_t pair : {0u, 8u, 16u, 20u, 24u, 31u}) {
    const double per_turn = 2 * std::acos(-1.0) / 4096;
    const double before = rotate.inverse_frequencies()[pair];
    const double after = stretched.inverse_frequencies()[pair];
    std::printf("  pair %2zu: %8.3f %8.3f, slowed %4.1f times\n", pair, before / per_turn,
                after / per_turn, before / after);
    if (before / per_turn > 32) holds &= before == after;
    if (before / per_turn < 0.8) holds &= std::abs(before / after - 16) < 1e-9;
  }
  return verdict(holds);
}
