// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/kernels/dot.hpp>
#include <headroom/detail/kernels/outer.hpp>
#include <headroom/detail/kernels/weighted_sum.hpp>
#include <headroom/detail/line_shape.hpp>
#include <headroom/detail/pack.hpp>
#include <headroom/detail/packet.hpp>
#include <headroom/detail/prefetch.hpp>
#include <headroom/detail/read_pace.hpp>
#include <headroom/detail/rows_to_come.hpp>
#include <headroom/detail/scratch.hpp>

#include <algorithm>
#include <array>

// The two products of attention on micro-kernels: the float twins of eigen_product.hpp, for keys
// and values of any stored number.

namespace headroom::inline HEADROOM_ISA::detail {

// Rows of `keys` that share a pass over q, and with it the sums of all rows of q; and the numbers
// of each that are taken at a time: 256 KiB of floats, which stay in a second-level cache until all
// rows of q have met them.
inline constexpr Index product_tokens = 256;
inline constexpr Index product_depth = std::min<Index>(256, most_depth);

// Few rows of the other matrix: keys, or values, are read once, from several places at a time as in
// line_shape.hpp. Calls f(pointers, positions, count) for some tokens after others, at most
// step_keys, in an order that depends on their number alone.
inline constexpr Index step_keys = 32;
template <class Number, class F>
void in_streams(const tile<Number>& rows, Index tokens, const F& f) {
  std::array<const Number*, step_keys> pointers;
  std::array<Index, step_keys> positions;
  const Index length = (tokens + streams - 1) / streams;
  for (Index j = 0; j < length; j += step_keys / streams) {
    Index count = 0;
    for (Index i = j; i < std::min(j + step_keys / streams, length); ++i)
      for (Index token = i; token < tokens; token += length) {
        positions[static_cast<std::size_t>(count)] = token;
        pointers[static_cast<std::size_t>(count++)] = rows.row(token);
      }
    f(pointers.data(), positions.data(), count);
  }
}

template <int width, class Number>
void packet_add_few_keys(const tile<float>& q, Index rows, const tile<Number>& keys, Index tokens,
                         Index dim, float* scores, Index scores_stride) {
  if constexpr (width > 1)
    if (rows <= width / 2)
      return packet_add_few_keys<width / 2>(q, rows, keys, tokens, dim, scores, scores_stride);
  scratch memory;
  const Index row_bytes = dim * Index(sizeof(Number));
  const Index across = read_pace::loads_across_lines(width, sizeof(Number), row_bytes) ? 1 : 0;
  float* const queries = memory.take<float>(width * dim + across) + across;
  for (Index r = 0; r < rows; ++r) std::copy(q.row(r), q.row(r) + dim, queries + r * dim);
  std::fill(queries + rows * dim, queries + width * dim, 0.f);
  float products[step_keys * width];
  const Index stream_bytes = (tokens + streams - 1) / streams * row_bytes;
  const read_ahead ahead = read_pace::of_keys(width, sizeof(Number), row_bytes, stream_bytes);
  in_streams(keys, tokens, [&](const Number* const* k, const Index* positions, Index count) {
    dot_product<width>(queries, k, as_stored(), 1, step_keys, count, dim, products, ahead);
    for (Index i = 0; i < count; ++i)
      for (Index r = 0; r < rows; ++r)
        scores[r * scores_stride + positions[i]] += products[i * width + r];
  });
}

template <int width, class Number>
void packet_add_few_values(const tile<float>& weights, Index rows, const tile<Number>& values,
                           Index tokens, Index dim, float* value, Index value_stride) {
  if constexpr (width > 1)
    if (rows <= width / 2)
      return packet_add_few_values<width / 2>(weights, rows, values, tokens, dim, value,
                                              value_stride);
  scratch memory;
  float* const sums = memory.take<float>(width * dim);
  std::fill(sums, sums + width * dim, 0.f);
  float of_keys[step_keys * width] = {};  // rows that are none weigh 0
  in_streams(values, tokens, [&](const Number* const* v, const Index* positions, Index count) {
    for (Index i = 0; i < count; ++i)
      for (Index r = 0; r < rows; ++r) of_keys[i * width + r] = weights.row(r)[positions[i]];
    // Rows are long: one of each stream at a time.
    for (Index i = 0; i < count; i += streams)
      add_weighted_sum<width>(of_keys + i * width, v + i, as_stored(), std::min(streams, count - i),
                              dim, sums, 0, read_pace::of_values(width));
  });
  for (Index r = 0; r < rows; ++r)
    for (Index d = 0; d < dim; ++d) value[r * value_stride + d] += sums[r * dim + d];
}

// The first numbers of the first rows of a tile that outlives the use.
template <class Number>
rows_to_come coming(const tile<Number>& rows, Index count, Index depth) {
  const auto find = [](const void* tile_of_rows, Index begin, Index end) {
    const auto& all = *static_cast<const tile<Number>*>(tile_of_rows);
    return rows_to_come::run{reinterpret_cast<const char*>(all.row(begin)),
                             all.stride * Index(sizeof(Number)), end - begin};
  };
  return {&rows, find, 0, count, depth * Index(sizeof(Number))};
}

/// scores[rows, tokens] += q[rows, dim] * keys[tokens, dim]^T.
///
/// Rows of q stand in the lanes, in panels; keys are the broadcast operand and are never
/// transposed. While one part of them is multiplied, memory is asked for the next.
template <class Number>
void packet_add_key_products(const tile<float>& q, Index rows, const tile<Number>& keys,
                             Index tokens, Index dim, float* scores, Index scores_stride) {
  if (rows <= most_dot_rows)
    return packet_add_few_keys<most_dot_rows>(q, rows, keys, tokens, dim, scores, scores_stride);
  constexpr Index wide = outer_packets * lanes;
  const Index panels = (rows + wide - 1) / wide;
  const int widest = static_cast<int>((std::min(rows, wide) + lanes - 1) / lanes);
  for (Index first = 0; first < tokens; first += product_tokens) {
    scratch memory;
    const Index count = std::min(product_tokens, tokens - first);
    float* const sums = memory.take<float>(panels * count * wide);  // [panels, count, wide]
    std::fill(sums, sums + panels * count * wide, 0.f);
    for (Index d = 0; d < dim; d += product_depth) {
      scratch local;
      const Index depth = std::min(product_depth, dim - d);
      const bool last = d + depth == dim;
      const Index next_first = last ? first + count : first, next_d = last ? 0 : d + depth;
      const tile<Number> next{keys.row(next_first) + next_d, keys.stride};
      rows_to_come ahead = coming(next, std::min(product_tokens, tokens - next_first),
                                  std::min(product_depth, dim - next_d));
      ahead.spread(panels * outer_steps(count, widest, depth));
      const tile<float> part =
          dense<Number>({keys.row(first) + d, keys.stride}, count, depth, local);
      float* const zeros = local.take<float>(depth);
      std::fill(zeros, zeros + depth, 0.f);
      float* const packed = local.take<float>(wide * depth);
      for (Index p = 0; p < panels; ++p) {
        const Index exist = std::min(wide, rows - p * wide);
        const Index width = (exist + lanes - 1) / lanes * lanes;
        const float* of_panel[wide];
        for (Index r = 0; r < exist; ++r) of_panel[r] = q.row(p * wide + r) + d;
        std::fill(of_panel + exist, of_panel + width, zeros);
        pack_panel(scattered{of_panel}, width, depth, packed);
        outer_product(by_rows(part), count, static_cast<int>(width / lanes),
                      tile<float>{packed, width}, 0, depth, {sums + p * count * wide, wide, true},
                      ahead);
      }
    }
    for (Index p = 0; p < panels; ++p)
      add_unpacked(sums + p * count * wide, wide, count, std::min(wide, rows - p * wide),
                   scores + p * wide * scores_stride + first, scores_stride);
  }
}

/// value[rows, dim] += weights[rows, tokens] * values[tokens, dim].
template <class Number>
void packet_add_values(const tile<float>& weights, Index rows, const tile<Number>& values,
                       Index tokens, Index dim, float* value, Index value_stride) {
  if (rows <= most_dot_rows)
    return packet_add_few_values<most_dot_rows>(weights, rows, values, tokens, dim, value,
                                                value_stride);
  scratch memory;
  add_outer_product(by_rows(weights), rows, dense(values, tokens, dim, memory), tokens, dim, value,
                    value_stride);
}

}  // namespace headroom::inline HEADROOM_ISA::detail
