// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/kernels/dot.hpp>
#include <headroom/detail/packet.hpp>

#include <algorithm>
#include <bit>

// The micro-kernel of the value product with few rows: values come from memory, each is read and
// widened once for all rows, and sums stay in registers over all keys.
//
//   value[rows, dim] += weights[keys, rows]^T values[keys, dim]
//
// Register tile: rows x packets of sums, at most 8 packets, so that 4 registers are left. With 32
// registers and 4 rows: 4 packets, 4 loads and 4 broadcasts for 16 fused multiply-adds.

namespace headroom::inline HEADROOM_ISA::detail {

/// Packets of columns in the register tile for so many rows.
constexpr int sum_packets(int rows) {
  return static_cast<int>(
      std::bit_floor(static_cast<unsigned>(std::clamp((registers - 4) / rows, 1, 8))));
}

/// One register tile: columns [column, column + packets * lanes).
template <int rows, int packets, class Rows, class Stored>
void weighted_sum_tile(const float* weights, Index stride, const Rows& values, Index count,
                       Index column, float* value, Index value_stride, const Stored* const* ahead) {
  packet sum[rows][packets];
  unroll<rows>([&](auto r) HEADROOM_ALWAYS_INLINE {
    unroll<packets>([&](auto p) HEADROOM_ALWAYS_INLINE {
      sum[r][p] = load(value + r * value_stride + column + p * lanes);
    });
  });
  for (Index j = 0; j < count; ++j) {
    const Stored* const next = ahead[j] + column;
    const auto row = values.row(j);
    packet numbers[packets];
    unroll<packets>([&](auto p) HEADROOM_ALWAYS_INLINE {
      if constexpr (p * lanes * sizeof(Stored) % 64 == 0) prefetch_far(next + p * lanes);
      numbers[p] = load_at(row, column + p * lanes);
      if constexpr (rows > 1) keep(numbers[p]);
    });
    unroll<rows>([&](auto r) HEADROOM_ALWAYS_INLINE {
      packet weight = broadcast(weights[j * stride + r]);
      keep(weight);
      unroll<packets>([&](auto p) HEADROOM_ALWAYS_INLINE {
        sum[r][p] = multiply_add(weight, numbers[p], sum[r][p]);
      });
    });
  }
  unroll<rows>([&](auto r) HEADROOM_ALWAYS_INLINE {
    unroll<packets>([&](auto p) HEADROOM_ALWAYS_INLINE {
      store(value + r * value_stride + column + p * lanes, sum[r][p]);
    });
  });
}

/// All columns from `column` on, by tiles of at most `packets` packets. Returns the first that
/// fills no packet.
template <int rows, int packets, class Rows, class Stored>
Index weighted_sum_columns(const float* weights, Index stride, const Rows& values, Index count,
                           Index column, Index dim, float* value, const Stored* const* ahead) {
  for (; column + packets * lanes <= dim; column += packets * lanes)
    weighted_sum_tile<rows, packets>(weights, stride, values, count, column, value, dim, ahead);
  if constexpr (packets > 1)
    return weighted_sum_columns<rows, packets / 2>(weights, stride, values, count, column, dim,
                                                   value, ahead);
  else
    return column;
}

/// value[rows, dim] += weights[count, stride]^T values[count, dim], of the first `rows` weights of
/// each key. While value j is read, memory at ahead[j] is asked for.
template <int rows, class Rows, class Stored>
void add_weighted_sum(const float* weights, Index stride, const Rows& values, Index count,
                      Index dim, float* value, const Stored* const* ahead) {
  const Index last = weighted_sum_columns<rows, sum_packets(rows)>(weights, stride, values, count,
                                                                   0, dim, value, ahead);
  for (Index j = 0; last < dim && j < count; ++j)
    for (Index r = 0; r < rows; ++r)
      for (Index d = last; d < dim; ++d)
        value[r * dim + d] += weights[j * stride + r] * static_cast<float>(values.row(j)[d]);
}

}  // namespace headroom::inline HEADROOM_ISA::detail
