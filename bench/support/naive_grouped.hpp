// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/naive.hpp"

#include <cmath>
#include <headroom/kv_cache.hpp>

namespace headroom_bench {

/// Causal grouped-query attention as one writes it first, one head after another.
template <int Q_heads, int KV_groups, int dim>
struct naive_grouped {
  void operator()(const matrix& q, const headroom::kv_cache<float>& cache, matrix& out) {
    const float scale = 1 / std::sqrt(static_cast<float>(dim));
    for (Index h = 0; h < Q_heads; ++h) {
      const Index g = h / (Q_heads / KV_groups);
      const auto k = as_matrix(cache.key_view().slice_heads(g, g + 1));
      const auto v = as_matrix(cache.value_view().slice_heads(g, g + 1));
      scores.noalias() = scale * q.middleCols(h * dim, dim) * k.transpose();
      hide_future(scores);
      softmax_rows(scores);
      out.middleCols(h * dim, dim).noalias() = scores * v;
    }
  }

  matrix scores = {};
};

}  // namespace headroom_bench
