// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/kernels/dot.hpp>
#include <headroom/detail/kernels/outer.hpp>
#include <headroom/detail/line_shape.hpp>
#include <headroom/detail/pack.hpp>
#include <headroom/detail/packet.hpp>
#include <headroom/detail/scratch.hpp>

#include <algorithm>
#include <array>

// The two products of attention on micro-kernels: the float twins of eigen_product.hpp, for keys of
// any stored number.

namespace headroom::inline HEADROOM_ISA::detail {

// Rows of `keys` that share a pass over q, and with it the sums of all rows of q.
inline constexpr Index product_tokens = 256;

// Few rows of q: keys are read once, from several places at a time as in line_shape.hpp.
template <int width, class Number>
void packet_add_few(const tile<float>& q, Index rows, const tile<Number>& keys, Index tokens,
                    Index dim, float* scores, Index scores_stride) {
  if constexpr (width > 1)
    if (rows <= width / 2)
      return packet_add_few<width / 2>(q, rows, keys, tokens, dim, scores, scores_stride);
  scratch memory;
  float* const queries = memory.take<float>(width * dim);
  for (Index r = 0; r < rows; ++r) std::copy(q.row(r), q.row(r) + dim, queries + r * dim);
  std::fill(queries + rows * dim, queries + width * dim, 0.f);
  constexpr Index step_keys = 32;
  std::array<const Number*, step_keys> pointers;
  std::array<Index, step_keys> position;
  float products[step_keys * width];
  const Index length = (tokens + streams - 1) / streams;
  for (Index j = 0; j < length; j += step_keys / streams) {
    Index count = 0;
    for (Index i = j; i < std::min(j + step_keys / streams, length); ++i)
      for (Index token = i; token < tokens; token += length) {
        position[static_cast<std::size_t>(count)] = token;
        pointers[static_cast<std::size_t>(count++)] = keys.row(token);
      }
    dot_product<width>(queries, pointers.data(), as_stored(), 1, step_keys, count, dim, products);
    for (Index i = 0; i < count; ++i)
      for (Index r = 0; r < rows; ++r)
        scores[r * scores_stride + position[static_cast<std::size_t>(i)]] +=
            products[i * width + r];
  }
}

/// scores[rows, tokens] += q[rows, dim] * keys[tokens, dim]^T.
///
/// Rows of q stand in the lanes, in panels; keys are the broadcast operand and are never
/// transposed.
template <class Number>
void packet_add_key_products(const tile<float>& q, Index rows, const tile<Number>& keys,
                             Index tokens, Index dim, float* scores, Index scores_stride) {
  if (rows <= most_dot_rows)
    return packet_add_few<most_dot_rows>(q, rows, keys, tokens, dim, scores, scores_stride);
  constexpr Index wide = outer_packets * lanes;
  const Index panels = (rows + wide - 1) / wide;
  for (Index first = 0; first < tokens; first += product_tokens) {
    scratch memory;
    const Index count = std::min(product_tokens, tokens - first);
    rows_to_come none;
    float* const sums = memory.take<float>(panels * count * wide);  // [panels, count, wide]
    std::fill(sums, sums + panels * count * wide, 0.f);
    for (Index d = 0; d < dim; d += most_depth) {
      scratch local;
      const Index depth = std::min(most_depth, dim - d);
      const tile<float> part =
          dense<Number>({keys.row(first) + d, keys.stride}, count, depth, local);
      float* const stacked = local.take<float>(wide * depth);
      float* const packed = local.take<float>(wide * depth);
      for (Index p = 0; p < panels; ++p) {
        const Index exist = std::min(wide, rows - p * wide);
        const Index width = (exist + lanes - 1) / lanes * lanes;
        for (Index r = 0; r < exist; ++r)
          std::copy_n(q.row(p * wide + r) + d, depth, stacked + r * depth);
        std::fill(stacked + exist * depth, stacked + width * depth, 0.f);
        pack_panel(tile<float>{stacked, depth}, width, depth, packed);
        outer_product(by_rows(part), count, static_cast<int>(width / lanes),
                      tile<float>{packed, width}, 0, depth, {sums + p * count * wide, wide, true},
                      none);
      }
    }
    for (Index p = 0; p < panels; ++p)
      add_unpacked(sums + p * count * wide, wide, count, std::min(wide, rows - p * wide),
                   scores + p * wide * scores_stride + first, scores_stride);
  }
}

/// value[rows, dim] += weights[rows, tokens] * values[tokens, dim].
inline void packet_add_values(const tile<float>& weights, Index rows, const tile<float>& values,
                              Index tokens, Index dim, float* value, Index value_stride) {
  add_outer_product(by_rows(weights), rows, values, tokens, dim, value, value_stride);
}

}  // namespace headroom::inline HEADROOM_ISA::detail
