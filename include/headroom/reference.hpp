// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/mask.hpp>
#include <headroom/options.hpp>
#include <headroom/view.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace headroom::inline HEADROOM_ISA {

/// Where reference_attention writes the scores of its four stages, each a view
/// [q_len, Q_heads, kv_len] or empty. The stages are those of ONNX Attention's
/// qk_matmul_output_mode 0 to 3.
template <class Scalar>
struct reference_scores {
  view<Scalar> raw = {};      ///< scale * q.k
  view<Scalar> capped = {};   ///< after the softcap
  view<Scalar> biased = {};   ///< after bias and mask; minus infinity where masked
  view<Scalar> softmax = {};  ///< the weights of the values; zeros in a row that sees no key
};

/// The definition of attention, as plain loops in any scalar: what every other kernel of the
/// library must agree with. Slow on purpose; it keeps one row of scores. Query head h uses
/// key/value head h / (Q_heads / KV_groups).
///
/// \param q        [q_len, Q_heads, qk_dim]
/// \param k        [kv_len, KV_groups, qk_dim]
/// \param v        [kv_len, KV_groups, v_dim]
/// \param out      [q_len, Q_heads, v_dim], written
/// \param mask     which keys a query sees, and what is added to their scores
/// \param options  as in attention; lse is written where it is given
/// \param scores   receives the scores at the stages asked for
/// \pre    Shapes agree; nothing is checked here.
/// \post   A query that sees no key gets zeros and an lse of minus infinity.
template <class Scalar, class Query, class Key, class Value, attention_mask Mask>
void reference_attention(view<Query> q, view<Key> k, view<Value> v, view<Scalar> out,
                         const Mask& mask, const attention_options<Scalar>& options = {},
                         const reference_scores<Scalar>& scores = {}) {
  constexpr Scalar minus_infinity = -std::numeric_limits<Scalar>::infinity();
  const Index kv_len = k.tokens();
  const Index heads_per_group = k.heads() > 0 ? q.heads() / k.heads() : 1;
  const Index first_position = options.first_position.value_or(kv_len - q.tokens());
  const Scalar scale = options.scale.value_or(Scalar(1) / std::sqrt(static_cast<Scalar>(q.dim())));
  const auto keep = [](const view<Scalar>& stage, Index t, Index h, Index j, Scalar s) {
    if (stage.data() != nullptr) stage(t, h, j) = s;
  };
  std::vector<Scalar> weights(static_cast<std::size_t>(kv_len));

  for (Index t = 0; t < q.tokens(); ++t)
    for (Index h = 0; h < q.heads(); ++h) {
      const Index g = h / heads_per_group;
      const query_row row{h, t, first_position + t, kv_len};
      const auto weight = [&](Index j) -> Scalar& { return weights[static_cast<std::size_t>(j)]; };

      Scalar max = minus_infinity;
      for (Index j = 0; j < kv_len; ++j) {
        Scalar s = 0;
        for (Index d = 0; d < q.dim(); ++d)
          s += static_cast<Scalar>(q(t, h, d)) * static_cast<Scalar>(k(j, g, d));
        s *= scale;
        keep(scores.raw, t, h, j, s);
        if (options.softcap > Scalar(0)) s = options.softcap * std::tanh(s / options.softcap);
        keep(scores.capped, t, h, j, s);
        s = sees(mask, row, j) ? mask.modify(s, row, j) : minus_infinity;
        keep(scores.biased, t, h, j, s);
        weight(j) = s;
        if (s > max) max = s;
      }

      Scalar sum = 0;
      for (Index j = 0; j < kv_len; ++j) {
        const bool counts = weight(j) != minus_infinity;
        weight(j) = counts ? std::exp(weight(j) - max) : Scalar(0);
        sum += weight(j);
      }
      const Scalar lse = sum == Scalar(0) ? minus_infinity : max + std::log(sum);
      Scalar share = sum == Scalar(0) ? Scalar(0) : Scalar(1) / sum;
      if (!options.sinks.empty() && sum != Scalar(0))
        share /= Scalar(1) + std::exp(options.sinks[static_cast<std::size_t>(h)] - lse);
      if (options.lse) options.lse(t, h) = lse;

      std::fill(out.row(t, h), out.row(t, h) + out.dim(), Scalar(0));
      for (Index j = 0; j < kv_len; ++j) {
        const Scalar w = weight(j) * share;
        keep(scores.softmax, t, h, j, w);
        if (sum == Scalar(0) || !sees(mask, row, j)) continue;  // 0 * NaN would be NaN
        for (Index d = 0; d < out.dim(); ++d) out(t, h, d) += w * static_cast<Scalar>(v(j, g, d));
      }
    }
}

}  // namespace headroom::inline HEADROOM_ISA
