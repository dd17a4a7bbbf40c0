// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/inputs.hpp"

#include <limits>

namespace headroom_bench {

// The parts of what one writes first: softmax(scale Q K^T) V, as Eigen expressions over a matrix of
// all scores [q_len, kv_len].

/// Hides the keys after each query, the last query seeing every key.
inline void hide_future(matrix& scores) {
  for (Index t = 0; t < scores.rows(); ++t)
    scores.row(t).tail(scores.rows() - 1 - t).setConstant(-std::numeric_limits<float>::infinity());
}

inline void softmax_rows(matrix& scores) {
  scores.colwise() -= scores.rowwise().maxCoeff().eval();
  scores = scores.array().exp();
  scores.array().colwise() /= scores.rowwise().sum().array().eval();
}

/// A view of one head as an Eigen matrix, in place.
inline auto as_matrix(headroom::view<const float> head) {
  return Eigen::Map<const matrix, 0, Eigen::OuterStride<>>(
      head.data(), head.tokens(), head.dim(), Eigen::OuterStride<>(head.token_stride()));
}

}  // namespace headroom_bench
