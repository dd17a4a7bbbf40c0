// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/kernels/dot.hpp>
#include <headroom/detail/kernels/eigen_product.hpp>
#include <headroom/detail/kernels/packet_product.hpp>
#include <headroom/detail/tile.hpp>

#include <algorithm>
#include <concepts>
#include <type_traits>

// The seam: the two products of attention. Everything above it is free of how they are computed.
//
//   scores     = Q K^T      [rows, tokens] = [rows, dim] [tokens, dim]^T
//   value     += P V        [rows, dim]   += [rows, tokens] [tokens, dim]

namespace headroom::inline HEADROOM_ISA::detail {

/// Whether a call that computes in this scalar runs on the micro-kernels. Eigen's products compute
/// in all others, and in every scalar with HEADROOM_EIGEN_PRODUCTS.
#ifdef HEADROOM_EIGEN_PRODUCTS
template <class Scalar>
inline constexpr bool has_kernels = false;
#else
template <class Scalar>
inline constexpr bool has_kernels = std::same_as<Scalar, float>;
#endif

/// What products in this scalar read stored numbers as: the micro-kernels as they lie, and widen
/// them in registers; Eigen's products decoded.
template <class Scalar, class Stored>
using product_number =
    std::conditional_t<has_kernels<Scalar> && reads_packets::reads<Stored>, Stored, Scalar>;

/// Rows of different calls that may be multiplied as one matrix: in a product of at most so many,
/// each row is summed up as it would be alone, to the same bits. The micro-kernels take more rows
/// another way; Eigen's products choose theirs by the number of rows, and promise nothing.
template <class Scalar>
inline constexpr Index most_stacked_rows = has_kernels<Scalar> ? most_dot_rows : 1;

/// scores[rows, tokens] += q[rows, dim] * keys[tokens, dim]^T.
///
/// \tparam Number  as product_number says
template <class Scalar, class Number = Scalar>
void add_key_products(tile<Scalar> q, Index rows, tile<Number> keys, Index tokens, Index dim,
                      Scalar* scores, Index scores_stride) {
  if constexpr (has_kernels<Scalar>)
    packet_add_key_products(q, rows, keys, tokens, dim, scores, scores_stride);
  else
    eigen_add_key_products(q, rows, keys, tokens, dim, scores, scores_stride);
}

/// scores[rows, tokens] = q[rows, dim] * keys[tokens, dim]^T.
template <class Scalar, class Number = Scalar>
void multiply_keys(tile<Scalar> q, Index rows, tile<Number> keys, Index tokens, Index dim,
                   Scalar* scores, Index scores_stride) {
  for (Index r = 0; r < rows; ++r)
    std::fill(scores + r * scores_stride, scores + r * scores_stride + tokens, Scalar(0));
  add_key_products(q, rows, keys, tokens, dim, scores, scores_stride);
}

/// value[rows, dim] += weights[rows, tokens] * values[tokens, dim], values as keys above.
template <class Scalar, class Number = Scalar>
void add_values(tile<Scalar> weights, Index rows, tile<Number> values, Index tokens, Index dim,
                Scalar* value, Index value_stride) {
  if constexpr (has_kernels<Scalar>)
    packet_add_values(weights, rows, values, tokens, dim, value, value_stride);
  else
    eigen_add_values(weights, rows, values, tokens, dim, value, value_stride);
}

}  // namespace headroom::inline HEADROOM_ISA::detail
