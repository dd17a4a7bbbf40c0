// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/grouped_inputs.hpp"
#include "support/naive.hpp"

namespace headroom_bench {

/// What every peer computes on.
struct peer_inputs : grouped_inputs<32, 8, 128, float> {
  static constexpr int Q_heads = 32, KV_groups = 8, dim = 128;

  explicit peer_inputs(lengths n)
      : grouped_inputs(n),
        k(rows_of(cache.key_view(), n.q_len)),
        v(rows_of(cache.value_view(), n.q_len)) {}

  matrix k, v;  // of the new tokens, those of the queries: [q_len, KV_groups * dim]

 private:
  static matrix rows_of(headroom::view<const float> stored, Index q_len) {
    matrix rows(q_len, KV_groups * dim);
    for (Index g = 0; g < KV_groups; ++g)
      rows.middleCols(g * dim, dim) = as_matrix(stored.slice_heads(g, g + 1)).bottomRows(q_len);
    return rows;
  }
};

}  // namespace headroom_bench
