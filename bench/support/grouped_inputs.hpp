// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/counters.hpp"
#include "support/inputs.hpp"

#include <headroom/cost.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/mask.hpp>
#include <optional>
#include <utility>

namespace headroom_bench {

/// \param q, out  [q_len, Q_heads * dim]
/// \throws std::runtime_error if `out` is not attention over the cache under the mask
template <int Q_heads, int KV_groups, int dim, class KV, class Mask = headroom::causal>
void check_grouped(const matrix& q, const headroom::kv_cache<KV>& cache, const matrix& out,
                   const Mask& mask = {}) {
  using Cache = headroom::kv_cache<KV>;
  for (Index h : spots(Q_heads)) {
    const Index g = h / (Q_heads / KV_groups);
    matrix k(cache.tokens(), dim), v(cache.tokens(), dim);
    for (Index j = 0; j < cache.tokens(); ++j) {
      Cache::KeyCodec::decode(cache.keys(g, j, j + 1).rows, k.row(j).data(), dim);
      Cache::ValueCodec::decode(cache.values(g, j, j + 1).rows, v.row(j).data(), dim);
    }
    for (Index t : spots(q.rows()))
      check_row(headroom::as_view(q, Q_heads), headroom::as_view(out, Q_heads), t, h,
                headroom::as_view(std::as_const(k), 1), headroom::as_view(std::as_const(v), 1),
                allowed_error<KV>, std::nullopt, mask);
  }
}

/// Queries, and a full cache of keys and values, for grouped-query attention. KV is the scalar or
/// the codec that they are stored in.
template <int Q_heads, int KV_groups, int dim, class KV>
struct grouped_inputs {
  using cache_type = headroom::kv_cache<KV>;

  explicit grouped_inputs(lengths n, float query_size = selective)
      : q(queries(random, n.q_len, Q_heads * dim, query_size)), cache(n.kv_len, KV_groups, dim) {
    fill(cache, random, KV_groups * dim, KV_groups * dim);
  }

  /// \throws std::runtime_error if `out` is not attention under the mask, causal unless given
  template <headroom::attention_mask Mask = headroom::causal>
  void check(const matrix& out, const Mask& mask = {}) const {
    check_grouped<Q_heads, KV_groups, dim>(q, cache, out, mask);
  }

  /// \tparam Scalar  of queries and output
  template <class Scalar = float>
  work least_work() const {
    constexpr headroom::attention_shape shape{
        .hidden = Q_heads * dim, .Q_heads = Q_heads, .KV_groups = KV_groups, .qk_dim = dim};
    constexpr Index bytes_per_number = sizeof(Scalar);
    const Index pairs = headroom::causal_pairs(q.rows(), cache.tokens());
    const Index bytes = cache.tokens() * cache.bytes_per_token() + 2 * q.size() * bytes_per_number;
    return {static_cast<double>(shape.attention_flops(pairs)), static_cast<double>(bytes)};
  }

  numbers random = {};
  matrix q;  // [q_len, Q_heads * dim], as the output
  cache_type cache;
};

}  // namespace headroom_bench
