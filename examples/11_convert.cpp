// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Converting a multi-head checkpoint to grouped-query: the key and value projections of each
// group's heads are merged into one, by their mean. Where the heads of a group were the same,
// nothing is lost. Where they were not, the mean is the head that is nearest to them all; a short
// training then makes up for the rest (Ainslie et al., arXiv 2305.13245).
#include <headroom/attention.hpp>
#include <headroom/convert.hpp>
#include <headroom/cost.hpp>

#include <vector>

#include "ladder.hpp"

constexpr Index Q_heads = 8, KV_groups = 2, dim = 16, hidden = Q_heads * dim, tokens = 25;

// Undoes the sharing: each of the eight heads gets the key/value head that it reads.
Matrix spread(const Matrix& projection) {
  const std::vector<Index> reads = {0, 0, 0, 0, 1, 1, 1, 1};
  return headroom::select_heads(projection, KV_groups, reads);
}

template <int key_heads>
Matrix attend(const Matrix& x, const Matrix& w_q, const Matrix& w_k, const Matrix& w_v) {
  const Matrix q = x * w_q.transpose(), k = x * w_k.transpose(), v = x * w_v.transpose();
  Matrix out(tokens, Q_heads * dim);
  headroom::attention<Q_heads, key_heads, dim>()(q, k, v, out, headroom::causal{});
  return out;
}

int main() {
  const Matrix x = Matrix::Random(tokens, hidden), w_q = Matrix::Random(hidden, hidden) / 8;

  // Heads that are tied already: the conversion finds out, to the last bit.
  const Matrix two_k = Matrix::Random(KV_groups * dim, hidden) / 8;
  const Matrix two_v = Matrix::Random(KV_groups * dim, hidden) / 8;
  const Matrix tied_k = spread(two_k), tied_v = spread(two_v);
  const Matrix pooled_k = headroom::mean_pool_heads(tied_k, Q_heads, KV_groups);
  const Matrix pooled_v = headroom::mean_pool_heads(tied_v, Q_heads, KV_groups);
  bool holds = pooled_k.cwiseEqual(two_k).all() && pooled_v.cwiseEqual(two_v).all();
  std::printf("tied heads come out as they were: %s\n", holds ? "yes" : "no");
  holds &= agree("the model before, and after", attend<KV_groups>(x, w_q, pooled_k, pooled_v),
                 attend<Q_heads>(x, w_q, tied_k, tied_v));

  // Heads that differ: how far each conversion moves the weights that the queries meet.
  const Matrix w_k = Matrix::Random(hidden, hidden) / 8;
  const auto moved = [&](const char* name, const Matrix& converted) {
    const float distance = (spread(converted) - w_k).norm() / w_k.norm();
    std::printf("%-12s moves the keys' weights by %.2f of their norm\n", name,
                static_cast<double>(distance));
    return distance;
  };
  const std::vector<Index> run_starts = headroom::first_heads(Q_heads, KV_groups);
  const std::vector<Index> drawn = headroom::random_heads(Q_heads, KV_groups, 1);
  const float mean = moved("mean", headroom::mean_pool_heads(w_k, Q_heads, KV_groups));
  const float first = moved("first head", headroom::select_heads(w_k, Q_heads, run_starts));
  const float chosen = moved("random head", headroom::select_heads(w_k, Q_heads, drawn));
  holds &= mean < first && mean < chosen;

  constexpr headroom::attention_shape before{
      .hidden = hidden, .Q_heads = Q_heads, .KV_groups = Q_heads, .qk_dim = dim};
  constexpr headroom::attention_shape after{
      .hidden = hidden, .Q_heads = Q_heads, .KV_groups = KV_groups, .qk_dim = dim};
  std::printf("parameters %td -> %td, cache numbers per token %td -> %td\n", before.parameters(),
              after.parameters(), before.cache_numbers_per_token(),
              after.cache_numbers_per_token());
  return verdict(holds && pooled_k.size() + pooled_v.size() + 2 * w_q.size() == after.parameters());
}
