// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Scores: what may happen between a dot product and its softmax, and what can be had from there.
//
//   s = scale * q.k -> softcap -> bias, ALiBi or a function of one's own -> mask -> softmax
//
// Whatever depends on the score, head, query and key is a mask that modifies scores, joined with &.
// The rest are options of the call. lse, the logarithm of a row's softmax denominator, is what
// makes attention over parts of the keys add up.
#include <headroom/attention.hpp>
#include <headroom/score_mod.hpp>
#include <headroom/scores.hpp>
#include <headroom/softmax_state.hpp>

#include <cmath>
#include <vector>

#include "ladder.hpp"

int main() {
  constexpr Index heads = 4, dim = 32, q_len = 7, kv_len = 90;
  using headroom::as_view, headroom::causal, headroom::none, headroom::score_mod;
  const headroom::mha<heads, dim> attend;
  const Matrix q = Matrix::Random(q_len, heads * dim) * 4.f;
  const Matrix k = Matrix::Random(kv_len, heads * dim), v = Matrix::Random(kv_len, heads * dim);
  Matrix out(q_len, heads * dim), expected(q_len, heads * dim), lse(q_len, heads);

  // Scores that cannot leave (-2, 2).
  attend(q, k, v, out, none{}, {.softcap = 2.f});
  attend(q, k, v, expected,
         score_mod([](float s, Index, Index, Index) { return 2 * std::tanh(s / 2); }));
  bool holds = agree("softcap, and a function that does the same", out, expected);

  // Each head forgets distant keys at a rate of its own.
  const std::vector<float> slopes = headroom::alibi_slopes(heads);
  attend(q, k, v, out, causal{} & headroom::alibi(slopes));
  const auto fade = score_mod([&](float s, const headroom::query_row& row, Index key) {
    return s - slopes[static_cast<std::size_t>(row.head)] * static_cast<float>(row.position - key);
  });
  attend(q, k, v, expected, causal{} & fade);
  holds &= agree("ALiBi, and a function that does the same", out, expected);

  // A sink is a logit without a value: it takes its share of the weight to nowhere.
  const std::vector<float> sinks = {-1.f, 0.f, 2.f, 5.f};
  attend(q, k, v, expected, causal{}, {.lse = lse});
  attend(q, k, v, out, causal{}, {.sinks = sinks});
  for (Index h = 0; h < heads; ++h)
    for (Index t = 0; t < q_len; ++t)
      expected.row(t).segment(h * dim, dim) /=
          1 + std::exp(sinks[static_cast<std::size_t>(h)] - lse(t, h));
  holds &= agree("sinks, and every row scaled by 1 / (1 + e^(sink - lse))", out, expected);

  // Half of the keys here, the other half there (a shared prefix, another machine), then merged.
  const Index half = 40;
  Matrix first(q_len, heads * dim), second(q_len, heads * dim), whole_lse(q_len, heads);
  Matrix first_lse(q_len, heads), second_lse(q_len, heads);
  attend(q, k.topRows(half), v.topRows(half), first, none{}, {.lse = first_lse});
  attend(q, k.bottomRows(kv_len - half), v.bottomRows(kv_len - half), second, none{},
         {.lse = second_lse});
  headroom::merge_attention(first, first_lse, second, second_lse, out, lse);
  attend(q, k, v, expected, none{}, {.lse = whole_lse});
  holds &= agree("two halves merged, and the whole", out, expected);
  holds &= agree("  and its lse", lse, whole_lse);

  // The scores themselves, at any stage, a tile at a time: here the weights of the values.
  attend(q, k, v, out, causal{});
  expected.setZero();
  const headroom::view_source<float, float> source(as_view(k, heads), as_view(v, heads));
  headroom::visit_scores(
      attend, headroom::score_stage::softmax, q, source, causal{}, {}, [&](const auto& tile) {
        expected.block(tile.first_query, tile.head * dim, tile.scores.rows(), dim) +=
            tile.scores * v.block(tile.first_key, tile.head * dim, tile.scores.cols(), dim);
      });
  holds &= agree("attention, and its weights times the values", out, expected);

  return verdict(holds);
}
