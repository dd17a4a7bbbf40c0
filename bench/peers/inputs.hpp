// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/grouped_inputs.hpp"

#include <cmath>
#include <headroom/attention.hpp>

namespace headroom_bench {

/// What every peer of grouped-query and multi-head attention computes on.
template <int KV_groups_, class KV_>
struct peer_inputs : grouped_inputs<32, KV_groups_, 128, KV_> {
  using KV = KV_;
  static constexpr int Q_heads = 32, KV_groups = KV_groups_, dim = 128, v_dim = dim;

  explicit peer_inputs(lengths n, float query_size = selective)
      : grouped_inputs<Q_heads, KV_groups, dim, KV>(n, query_size),
        k(rows_of(key_view(), n.q_len)),
        v(rows_of(value_view(), n.q_len)) {}

  headroom::view<const KV> key_view() const { return this->cache.key_view(); }
  headroom::view<const KV> value_view() const { return this->cache.value_view(); }
  double scale() const { return 1 / std::sqrt(static_cast<double>(dim)); }

  /// The library. A peer that puts the new tokens into a cache is compared with the library doing
  /// so too.
  void attend(matrix& out, bool append = false) {
    if (append) {
      this->cache.truncate(this->cache.tokens() - k.rows());
      this->cache.append(k, v);
    }
    headroom::attention<Q_heads, KV_groups, dim>()(this->q, this->cache, out, headroom::causal{});
  }

  matrix k, v;  // of the new tokens, those of the queries: [q_len, KV_groups * dim]

 private:
  static matrix rows_of(headroom::view<const KV> stored, Index q_len) {
    matrix rows(q_len, KV_groups * dim);
    const Index past = stored.tokens() - q_len;
    for (Index t = 0; t < q_len; ++t)
      for (Index g = 0; g < KV_groups; ++g)
        for (Index d = 0; d < dim; ++d)
          rows(t, g * dim + d) = static_cast<float>(stored.row(past + t, g)[d]);
    return rows;
  }
};

}  // namespace headroom_bench
