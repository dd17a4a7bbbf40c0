// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/tile.hpp>

#include <algorithm>

// The two products of attention by Eigen's own product, for any scalar.
//
// It starts OpenMP threads of its own and allocates when its operands are large. Both
// are out of place inside a tile, so the products are cut into stripes: a result of at most 32 rows
// at compile time stays on the calling thread, and operands of at most depth x width elements fit
// Eigen's stack buffers (EIGEN_STACK_ALLOCATION_LIMIT, 128 KiB).

namespace headroom::inline HEADROOM_ISA::detail {

inline constexpr int stripe_rows = 32;
inline constexpr Index stripe_depth = 64;
inline constexpr Index stripe_width = 256;

template <class Scalar>
using row_major = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class Scalar>
using strided_rows = Eigen::Map<const row_major<Scalar>, 0, Eigen::OuterStride<>>;
template <class Scalar>
using stripe =
    Eigen::Map<Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor, stripe_rows>,
               0, Eigen::OuterStride<>>;
template <class Scalar>
using const_stripe = Eigen::Map<
    const Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor, stripe_rows>, 0,
    Eigen::OuterStride<>>;

/// scores[rows, tokens] += q[rows, dim] * keys[tokens, dim]^T.
template <class Scalar>
void eigen_add_key_products(tile<Scalar> q, Index rows, tile<Scalar> keys, Index tokens, Index dim,
                            Scalar* scores, Index scores_stride) {
  if (rows == 1) {  // a matrix-vector product packs nothing: one pass over the keys
    using Vector = Eigen::Matrix<Scalar, Eigen::Dynamic, 1>;
    Eigen::Map<Vector>(scores, tokens).noalias() +=
        strided_rows<Scalar>(keys.data, tokens, dim, Eigen::OuterStride<>(keys.stride)) *
        Eigen::Map<const Vector>(q.data, dim);
    return;
  }
  for (Index r = 0; r < rows; r += stripe_rows) {
    const Index n = std::min<Index>(stripe_rows, rows - r);
    for (Index j = 0; j < tokens; j += stripe_width) {
      const Index width = std::min(stripe_width, tokens - j);
      stripe<Scalar> result(scores + r * scores_stride + j, n, width,
                            Eigen::OuterStride<>(scores_stride));
      for (Index d = 0; d < dim; d += stripe_depth) {
        const Index depth = std::min(stripe_depth, dim - d);
        const const_stripe<Scalar> a(q.data + r * q.stride + d, n, depth,
                                     Eigen::OuterStride<>(q.stride));
        const strided_rows<Scalar> b(keys.data + j * keys.stride + d, width, depth,
                                     Eigen::OuterStride<>(keys.stride));
        result.noalias() += a * b.transpose();
      }
    }
  }
}

/// value[rows, dim] += weights[rows, tokens] * values[tokens, dim].
template <class Scalar>
void eigen_add_values(tile<Scalar> weights, Index rows, tile<Scalar> values, Index tokens,
                      Index dim, Scalar* value, Index value_stride) {
  for (Index r = 0; r < rows; r += stripe_rows) {
    const Index n = std::min<Index>(stripe_rows, rows - r);
    for (Index d = 0; d < dim; d += stripe_width) {
      const Index width = std::min(stripe_width, dim - d);
      stripe<Scalar> result(value + r * value_stride + d, n, width,
                            Eigen::OuterStride<>(value_stride));
      for (Index j = 0; j < tokens; j += stripe_depth) {
        const Index depth = std::min(stripe_depth, tokens - j);
        const const_stripe<Scalar> a(weights.data + r * weights.stride + j, n, depth,
                                     Eigen::OuterStride<>(weights.stride));
        const strided_rows<Scalar> b(values.data + j * values.stride + d, depth, width,
                                     Eigen::OuterStride<>(values.stride));
        result.noalias() += a * b;
      }
    }
  }
}

}  // namespace headroom::inline HEADROOM_ISA::detail
