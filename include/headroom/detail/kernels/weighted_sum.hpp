// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/packet.hpp>
#include <headroom/detail/prefetch.hpp>
#include <headroom/detail/tile.hpp>

#include <algorithm>
#include <bit>
#include <type_traits>

// The micro-kernel of the value product with few rows: values come from memory, each is read and
// widened once for all rows.
//
//   value[rows, dim] += weights[keys, rows]^T values[keys, dim]
//
// Register tile: rows x packets of sums, at most 8 packets, so that 4 registers are left. With 32
// registers and 4 rows: 4 packets, 4 loads and 4 broadcasts for 16 fused multiply-adds.

namespace headroom::inline HEADROOM_ISA::detail {

/// Weights of a key: those of all rows, padded to a power of two.
constexpr int weights_of_key(int rows) {
  return static_cast<int>(std::bit_ceil(static_cast<unsigned>(rows)));
}

/// Packets of columns in the register tile for so many rows.
constexpr int sum_packets(int rows) {
  return static_cast<int>(
      std::bit_floor(static_cast<unsigned>(std::clamp((registers - 4) / rows, 1, 8))));
}

/// Keys for which sums stay in their registers. The columns of a tile are a part of each row: with
/// more keys, memory is read in pieces too far apart.
inline constexpr Index most_sum_keys = 8;

// A row from a column on.
template <class Number>
const Number* columns_from(const Number* row, Index column) {
  row += column;
  keep(row);
  return row;
}
template <class Row>
auto columns_from(const Row& row, Index column) requires(!std::is_pointer_v<Row>) {
  return row.from(column);
}

/// One register tile: columns [column, column + packets * lanes) of `count` values, a multiple of
/// `keys`.
template <int rows, int packets, int keys, class Stored, class Read>
HEADROOM_ALWAYS_INLINE inline void weighted_sum_tile(const float* weights,
                                                     const Stored* const* values, Index count,
                                                     const Read& read, Index column, float* value,
                                                     Index value_stride) {
  packet sum[rows][packets];
  unroll<rows>([&](auto r) HEADROOM_ALWAYS_INLINE {
    const float* const from = columns_from(value + r * value_stride, column);
    unroll<packets>([&](auto p) HEADROOM_ALWAYS_INLINE { sum[r][p] = load(from + p * lanes); });
  });
  for (const Stored* const* const end = values + count; values != end; values += keys) {
    unroll<keys>([&](auto j) HEADROOM_ALWAYS_INLINE {
      const auto row = columns_from(read(values[j]), column);
      const Stored* const stored = columns_from(values[j], column);
      packet numbers[packets];
      unroll<packets>([&](auto p) HEADROOM_ALWAYS_INLINE {
        if constexpr (p * lanes * sizeof(Stored) % 64 == 0) prefetch_ahead(stored, p * lanes);
        numbers[p] = load_at(row, p * lanes);
        if constexpr (rows > 1) keep(numbers[p]);
      });
      unroll<rows>([&](auto r) HEADROOM_ALWAYS_INLINE {
        packet weight = broadcast(weights[j * weights_of_key(rows) + r]);
        keep(weight);
        unroll<packets>([&](auto p) HEADROOM_ALWAYS_INLINE {
          sum[r][p] = multiply_add(weight, numbers[p], sum[r][p]);
        });
      });
    });
    weights += keys * weights_of_key(rows);
  }
  unroll<rows>([&](auto r) HEADROOM_ALWAYS_INLINE {
    float* to = value + r * value_stride + column;
    keep(to);
    unroll<packets>([&](auto p) HEADROOM_ALWAYS_INLINE { store(to + p * lanes, sum[r][p]); });
  });
}

/// All columns from `column` on, by tiles of at most `packets` packets: of as many, of four, and of
/// one, since each tile costs time to compile. Returns the first column that fills no packet.
template <int rows, int packets, int keys, class Stored, class Read>
HEADROOM_ALWAYS_INLINE inline Index weighted_sum_columns(const float* weights,
                                                         const Stored* const* values, Index count,
                                                         const Read& read, Index column, Index dim,
                                                         float* value) {
  for (; column + packets * lanes <= dim; column += packets * lanes)
    weighted_sum_tile<rows, packets, keys>(weights, values, count, read, column, value, dim);
  constexpr int fewer = packets > 4 ? 4 : 1;
  if constexpr (packets > 1)
    return weighted_sum_columns<rows, fewer, keys>(weights, values, count, read, column, dim,
                                                   value);
  else
    return column;
}

/// value[rows, dim] += weights[count, weights_of_key(rows)]^T values[count, dim], of the first
/// `rows` weights of each key.
template <int rows, class Stored, class Read>
void add_weighted_sum(const float* weights, const Stored* const* values, const Read& read,
                      Index count, Index dim, float* value) {
  constexpr int packets = sum_packets(rows);
  Index j = 0;
  for (Index some; (some = std::min(most_sum_keys, (count - j) / 4 * 4)) > 0; j += some)
    weighted_sum_columns<rows, packets, 4>(weights + j * weights_of_key(rows), values + j, some,
                                           read, 0, dim, value);
  for (; j < count; ++j)
    weighted_sum_columns<rows, 1, 1>(weights + j * weights_of_key(rows), values + j, 1, read, 0,
                                     dim, value);
  for (Index d = dim / lanes * lanes; d < dim; ++d)
    for (j = 0; j < count; ++j)
      for (Index r = 0; r < rows; ++r)
        value[r * dim + d] +=
            weights[j * weights_of_key(rows) + r] * static_cast<float>(read(values[j])[d]);
}

}  // namespace headroom::inline HEADROOM_ISA::detail
