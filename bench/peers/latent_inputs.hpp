// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/counters.hpp"
#include "support/inputs.hpp"

#include <cmath>
#include <headroom/attention.hpp>
#include <headroom/cost.hpp>
#include <headroom/latent_cache.hpp>

namespace headroom_bench {

/// What every peer of absorbed latent attention computes on: 128 heads over latents of 512 + 64.
/// The up-projections around it are left out, since they are matrix products in every library.
template <class KV_>
struct latent_peer_inputs {
  using KV = KV_;
  static constexpr int Q_heads = 128, KV_groups = 1, dim = 576, v_dim = 512;

  explicit latent_peer_inputs(lengths n, float query_size = selective)
      : q(queries(random, n.q_len, Q_heads * dim, query_size)), latents(n.kv_len) {
    fill(latents, random, v_dim, dim - v_dim);
  }

  /// A latent and its rotated key lie side by side: as keys both, as values the latent alone.
  headroom::view<const KV> key_view() const {
    const auto c = value_view();
    return {c.data(), c.tokens(), KV_groups, dim, dim, 0};
  }
  headroom::view<const KV> value_view() const { return latents.latent_view(); }
  double scale() const { return 1 / std::sqrt(192.0); }  // of 128 + 64, before absorption

  /// The library.
  void attend(matrix& out, bool = false) const {
    headroom::attention<Q_heads, KV_groups, dim, v_dim>()(q, key_view(), value_view(), out,
                                                          headroom::causal{},
                                                          {.scale = static_cast<float>(scale())});
  }

  /// \throws std::runtime_error if `out` is not causal attention
  void check(const matrix& out) const {
    for (Index h : spots(Q_heads))
      for (Index t : spots(q.rows()))
        check_row(headroom::as_view(q, Q_heads), headroom::as_view(out, Q_heads), t, h, key_view(),
                  value_view(), allowed_error<KV>, scale());
  }

  work least_work() const {
    const Index pairs = headroom::causal_pairs(q.rows(), latents.tokens());
    const Index bytes = latents.tokens() * latents.bytes_per_token() +
                        q.rows() * Q_heads * (dim + v_dim) * static_cast<Index>(sizeof(float));
    return {2. * Q_heads * (dim + v_dim) * static_cast<double>(pairs), static_cast<double>(bytes)};
  }

  numbers random = {};
  matrix q;  // [q_len, Q_heads * dim]
  headroom::latent_cache<KV, v_dim, dim - v_dim> latents;
};

}  // namespace headroom_bench
