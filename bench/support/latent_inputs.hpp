// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/counters.hpp"
#include "support/inputs.hpp"
#include "support/weights.hpp"

#include <cmath>
#include <headroom/cost.hpp>
#include <headroom/latent_cache.hpp>
#include <utility>

namespace headroom_bench {

// The widths that DeepSeek-V2-Lite and V3 share.
inline constexpr Index latent_rank = 512, nope_dim = 128, rope_dim = 64, v_dim = 128;
inline constexpr Index latent_qk_dim = nope_dim + rope_dim;

/// Queries, a full cache of latents and an up-projection, for latent attention. Stored is the
/// scalar or the codec that latents are stored in.
template <class Stored>
struct latent_inputs {
  // Of the up-projection, as of the rotary keys: beside codecs, which are for caches, in 16 bits.
  using Weight = headroom::detail::rope_key_storage<Stored>;

  latent_inputs(Index Q_heads, lengths n)
      : heads(Q_heads),
        q(queries(random, n.q_len, heads * latent_qk_dim)),
        // Variance 1 / rank leaves keys and values as large as latents are.
        drawn(random(heads * (nope_dim + v_dim), latent_rank) * std::sqrt(3.0f / latent_rank)),
        weights(drawn()),
        latents(n.kv_len) {
    fill(latents, random, latent_rank, rope_dim);
  }

  /// The rows of W_UK and of W_UV of head h.
  auto w_uk(Index h) const { return weights.middleRows(h * (nope_dim + v_dim), nope_dim); }
  auto w_uv(Index h) const { return weights.middleRows(h * (nope_dim + v_dim) + nope_dim, v_dim); }

  headroom::mla_shape shape() const {
    return {.hidden = 0,
            .Q_heads = heads,
            .latent_rank = latent_rank,
            .nope_dim = nope_dim,
            .rope_dim = rope_dim,
            .v_dim = v_dim};
  }

  /// Latents, up-projection and queries read once, the output written once.
  Index bytes() const {
    constexpr Index bytes_per_float = sizeof(float);
    return latents.bytes_per_token() * latents.tokens() +
           weights.size() * static_cast<Index>(sizeof(Weight)) +
           (q.size() + q.rows() * heads * v_dim) * bytes_per_float;
  }

  /// Of each form, products with the up-projection included.
  work expanded_work() const { return work_of(shape().expanded_flops(pairs()), latents.tokens()); }
  work absorbed_work() const { return work_of(shape().absorbed_flops(pairs()), q.rows()); }

  /// Compares with keys and values that are made in double, expanded: any form must agree.
  ///
  /// \throws std::runtime_error if `out` is not causal attention
  void check(const matrix& out) const {
    using Cache = decltype(latents);
    const Index tokens = latents.tokens();
    row_major<double> c(tokens, latent_rank), k(tokens, latent_qk_dim), v(tokens, v_dim);
    Eigen::RowVectorXf row(latent_rank + rope_dim);
    for (Index j = 0; j < tokens; ++j) {
      Cache::KeyCodec::decode(latents.keys(0, j, j + 1).rows, row.data(), row.size());
      c.row(j) = row.head(latent_rank).template cast<double>();
      k.row(j).tail(rope_dim) = row.tail(rope_dim).template cast<double>();
    }
    for (Index h : spots(heads)) {
      k.leftCols(nope_dim).noalias() = c * w_uk(h).template cast<double>().transpose();
      v.noalias() = c * w_uv(h).template cast<double>().transpose();
      for (Index t : spots(out.rows()))
        check_row(headroom::as_view(q, heads), headroom::as_view(out, heads), t, h,
                  headroom::as_view(std::as_const(k), 1), headroom::as_view(std::as_const(v), 1),
                  allowed_error<Weight>);
    }
  }

  numbers random = {};
  Index heads;
  matrix q;  // [q_len, H * (nope_dim + rope_dim)]
  drawn_weights<Weight> drawn;
  Eigen::Map<const row_major<Weight>> weights;  // [H * (nope_dim + v_dim), latent_rank]
  headroom::latent_cache<Stored, latent_rank, rope_dim> latents;

 private:
  Index pairs() const { return headroom::causal_pairs(q.rows(), latents.tokens()); }

  // Of so many rows that are multiplied by the up-projection.
  work work_of(Index attention_flops, Index rows) const {
    const Index flops = attention_flops + shape().up_projection_flops() * rows;
    return {static_cast<double>(flops), static_cast<double>(bytes())};
  }
};

}  // namespace headroom_bench
