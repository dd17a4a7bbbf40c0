// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// A layer: everything so far, as it stands in a model. From a token's row x it makes queries, keys
// and values with three matrices, rotates, caches, attends, and mixes the heads with a fourth. The
// matrices are read where the checkpoint has them, in its layout [out, in] and its scalar.
#include <headroom/kv_cache.hpp>
#include <headroom/layer.hpp>

#include <span>
#include <vector>

#include "ladder.hpp"

constexpr Index Q_heads = 4, KV_groups = 2, dim = 16, hidden = 64, capacity = 40;
using Weight = Eigen::bfloat16;
using Weights = Eigen::Matrix<Weight, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Cache = headroom::kv_cache<float, KV_groups, dim>;

// The same from the pieces of the earlier programs, for one sequence from its start.
Matrix by_hand(const Matrix& x, const headroom::attention_weights<Weight>& weights,
               const headroom::rope& rotate) {
  Matrix q(x.rows(), Q_heads * dim), k(x.rows(), KV_groups * dim), v(x.rows(), KV_groups * dim);
  weights.q(x, q);  // q = x W^T
  weights.k(x, k);
  weights.v(x, v);
  rotate(headroom::as_view(q, Q_heads), 0);
  rotate(headroom::as_view(k, KV_groups), 0);
  Matrix attended(x.rows(), Q_heads * dim), out(x.rows(), hidden);
  headroom::gqa<Q_heads, KV_groups, dim>()(q, k, v, attended, headroom::causal{});
  weights.o(attended, out);
  return out;
}

int main() {
  // In place of a checkpoint's mapped file: four matrices, one after another.
  const Weights file = (Matrix::Random(2 * (Q_heads + KV_groups) * dim, hidden) / 4).cast<Weight>();
  const auto matrix = [&](Index first, Index heads) {
    return headroom::linear<Weight>(file.middleRows(first * dim, heads * dim));
  };
  const headroom::attention_weights<Weight> weights{.q = matrix(0, Q_heads),
                                                    .k = matrix(Q_heads, KV_groups),
                                                    .v = matrix(Q_heads + KV_groups, KV_groups),
                                                    .o = matrix(Q_heads + 2 * KV_groups, Q_heads)};
  const headroom::rope rotate(dim);
  const headroom::attention_layer layer(headroom::gqa<Q_heads, KV_groups, dim>(), weights,
                                        headroom::layer_options<float>{.rotary = rotate});

  // A prompt and a step of decoding are the same call; positions go on from the cache's end.
  const Matrix x = Matrix::Random(21, hidden);
  Matrix out(21, hidden);
  Cache cache(capacity);
  layer(x.topRows(20), cache, out.topRows(20));
  layer(x.bottomRows(1), cache, out.bottomRows(1));
  bool holds = agree("a prompt of 20 and one more token, and the pieces by hand", out,
                     by_hand(x, weights, rotate));

  // Sequences of different lengths in one call: their tokens follow one another, the projections
  // run over all of them at once, and each attends to its own cache.
  Cache first(capacity), second(capacity);
  const std::vector<headroom::layer_sequence<Cache>> sequences = {{13, &first}, {8, &second}};
  Matrix batched(21, hidden);
  layer.batch(x, sequences, batched);
  Matrix one_by_one(21, hidden);
  one_by_one << by_hand(x.topRows(13), weights, rotate), by_hand(x.bottomRows(8), weights, rotate);
  holds &= agree("a batch of 13 and 8 tokens, and each by hand", batched, one_by_one);

  return verdict(holds);
}
