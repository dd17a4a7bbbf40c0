// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/line_shape.hpp>
#include <headroom/detail/memory.hpp>
#include <headroom/detail/operand.hpp>
#include <headroom/detail/packet.hpp>
#include <headroom/detail/packet_bfloat16.hpp>
#include <headroom/detail/packet_end.hpp>
#include <headroom/detail/packet_int16.hpp>
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
//
// Values that are bfloat16, or bytes, may be multiplied in pairs, two keys at a time, whose rows
// are brought together in registers.

namespace headroom::inline HEADROOM_ISA::detail {

/// Weights of a key: those of all rows, padded to a power of two.
constexpr int weights_of_key(int rows) {
  return static_cast<int>(std::bit_ceil(static_cast<unsigned>(rows)));
}

/// Packets of columns in the register tile for so many rows. Pairs wait in registers until all
/// rows have had them, beside a weight and how two rows come together.
template <class Operand>
constexpr int sum_packets(int rows) {
  const int most = is_pair<Operand>
                       ? std::clamp((registers - 3) / (rows + 1), 1, is_integer<Operand> ? 8 : 4)
                       : std::clamp((registers - 4) / rows, 1, 8);
  return static_cast<int>(std::bit_floor(static_cast<unsigned>(most)));
}

/// Rows of a register tile. Where all of them would leave room for one packet of columns,
/// broadcasts are most of what is loaded, and half of the rows at a time are faster: values are
/// then read from the first-level cache once more, unless that means to decode them.
template <class Operand, class Stored, class Read>
constexpr int tile_rows(int rows) {
  using Row = std::invoke_result_t<const Read&, const Stored*>;
  const bool halves = rows > 4 && sum_packets<Operand>(rows) == 1 &&
                      (std::is_pointer_v<Row> || is_integer<Operand>);
  return halves ? (rows + 1) / 2 : rows;
}

/// Keys for which sums of so many rows stay in their registers. The columns of a tile are a part of
/// each row: with more keys, memory is read in pieces too far apart, unless rows have few bits or
/// multiplying takes longer than reading. Sums of whole numbers are converted in the end: there may
/// be as many keys as a line takes.
template <class Operand, class Stored>
constexpr Index most_sum_keys(Index rows) {
  if (is_integer<Operand>) return most_line_keys;
  return sizeof(Stored) < sizeof(float) || rows > 4 ? 16 : 8;
}

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

// The numbers of a key from a column on; or of two, the second so many values after the first.
template <class Operand, int packets, class Stored, class Read, class Ahead>
HEADROOM_ALWAYS_INLINE inline void load_values(const Stored* const* values, Index partner,
                                               const Read& read, Index column,
                                               packet_of<Operand> (&numbers)[packets],
                                               const Ahead& ahead) {
  constexpr Index line = elements_of_line<Stored>;  // asked for once
  HEADROOM_UNROLL for (int j = 0; j < depth_of<Operand>; ++j) {
    const Stored* const stored = columns_from(values[j * partner], column);
    const auto* const far = ahead.far_row(stored, j * partner, column);
    HEADROOM_UNROLL for (int p = 0; p < packets; ++p) {
      if (p * lanes % line == 0) prefetch_ahead(stored, far, p * lanes, ahead);
    }
  }
  if constexpr (is_pair<Operand>) {
    interleave(numbers_at(read(values[0]), column), numbers_at(read(values[partner]), column),
               numbers);
  } else {
    const auto row = columns_from(read(values[0]), column);
    HEADROOM_UNROLL for (int p = 0; p < packets; ++p) numbers[p] = load_at(row, p * lanes);
  }
}

/// One register tile: columns [column, column + packets * lanes) of `count` operands, a multiple of
/// `together`.
///
/// \tparam of_key  weights from one key to the next
/// \param units    of each row, of weights that are whole numbers
template <class Operand, int rows, int packets, int together, int of_key, class Stored, class Read,
          class Ahead>
HEADROOM_ALWAYS_INLINE inline void weighted_sum_tile(const Operand* weights,
                                                     const Stored* const* values, Index partner,
                                                     Index count, const Read& read, Index column,
                                                     float* value, Index value_stride,
                                                     const float* units, const Ahead& ahead) {
  sum_packet<Operand> sum[rows][packets];
  HEADROOM_UNROLL for (int r = 0; r < rows; ++r) {
    const float* const from = columns_from(value + r * value_stride, column);
    HEADROOM_UNROLL for (int p = 0; p < packets; ++p) {
      if constexpr (is_integer<Operand>)
        sum[r][p] = sum_packet<Operand>();
      else
        sum[r][p] = load(from + p * lanes);
    }
  }
  Ahead next = ahead;
  for (const auto end = values + count; values != end; values += together) {
    HEADROOM_UNROLL for (int j = 0; j < together; ++j) {
      packet_of<Operand> numbers[packets];
      load_values<Operand>(values + j, partner, read, column, numbers, next.from(j));
      if constexpr (rows > 1) {
        HEADROOM_UNROLL for (int p = 0; p < packets; ++p) keep(numbers[p]);
      }
      HEADROOM_UNROLL for (int r = 0; r < rows; ++r) {
        auto weight = broadcast(weights[j * of_key + r]);
        keep_broadcast(weight);
        HEADROOM_UNROLL for (int p = 0; p < packets; ++p) {
          sum[r][p] = multiply_add(weight, numbers[p], sum[r][p]);
        }
      }
    }
    weights += together * of_key;
    next = next.from(together);
  }
  HEADROOM_UNROLL for (int r = 0; r < rows; ++r) {
    float* to = value + r * value_stride + column;
    keep(to);
    HEADROOM_UNROLL for (int p = 0; p < packets; ++p) {
      if constexpr (is_integer<Operand>)
        store(to + p * lanes,
              multiply_add(as_floats(sum[r][p]), broadcast(units[r]), load(to + p * lanes)));
      else
        store(to + p * lanes, sum[r][p]);
    }
  }
}

/// The last columns, `end` of them from `column` on, which fill no packet: as floats.
template <int rows, class Operand, class Stored, class Read, class Ahead>
void weighted_sum_end(const Operand* weights, const Stored* const* values, Index partner,
                      Index count, const Read& read, Index column, Index end, float* value,
                      Index value_stride, const float* units, const Ahead& ahead) {
  const auto weight_of = [&](float weight, int r) {
    return broadcast(is_integer<Operand> ? weight * units[r] : weight);
  };
  packet sum[rows];
  HEADROOM_UNROLL for (int r = 0; r < rows; ++r) {
    sum[r] = load_first(value + r * value_stride + column, end);
  }
  for (Index j = 0; j < count; ++j, weights += weights_of_key(rows)) {
    const auto numbers = [&](Index i) HEADROOM_ALWAYS_INLINE {
      const Stored* const stored = values[i] + column;
      prefetch_ahead(stored, ahead.far_row(stored, i, column), 0, ahead);
      return load_first_at(read(values[i]), column, end);
    };
    if constexpr (is_pair<Operand>) {
      const packet first = numbers(j), second = numbers(j + partner);
      HEADROOM_UNROLL for (int r = 0; r < rows; ++r) {
        sum[r] = multiply_add(
            weight_of(static_cast<float>(weights[r].second), r), second,
            multiply_add(weight_of(static_cast<float>(weights[r].first), r), first, sum[r]));
      }
    } else {
      const packet number = numbers(j);
      HEADROOM_UNROLL for (int r = 0; r < rows; ++r) {
        sum[r] = multiply_add(broadcast(weights[r]), number, sum[r]);
      }
    }
  }
  HEADROOM_UNROLL for (int r = 0; r < rows; ++r) {
    store_first(value + r * value_stride + column, sum[r], end);
  }
}

/// Columns [column, end), by tiles of at most `packets` packets: of as many, of four, and of
/// one, since each tile costs time to compile. Returns the first column that fills no packet.
template <class Operand, int rows, int packets, int together, class Stored, class Read, class Ahead>
HEADROOM_ALWAYS_INLINE inline Index weighted_sum_columns(const Operand* weights,
                                                         const Stored* const* values, Index partner,
                                                         Index count, const Read& read,
                                                         Index column, Index end, Index dim,
                                                         float* value, const float* units,
                                                         const Ahead& ahead) {
  constexpr int of_key = weights_of_key(rows);
  constexpr int first = tile_rows<Operand, Stored, Read>(rows);
  for (; column + packets * lanes <= end; column += packets * lanes) {
    weighted_sum_tile<Operand, first, packets, together, of_key>(
        weights, values, partner, count, read, column, value, dim, units, ahead);
    if constexpr (first < rows)
      weighted_sum_tile<Operand, rows - first, packets, together, of_key>(
          weights + first, values, partner, count, read, column, value + first * dim, dim,
          is_integer<Operand> ? units + first : units, ahead);
  }
  constexpr int fewer = packets > 4 ? 4 : 1;
  if constexpr (packets > 1)
    return weighted_sum_columns<Operand, rows, fewer, together>(
        weights, values, partner, count, read, column, end, dim, value, units, ahead);
  else
    return column;
}

/// Columns of values, and of their sums.
struct value_columns {
  Index begin;
  Index end;
  Index dim;  // of a row
};

/// value[rows, dim] += weights[count, weights_of_key(rows)]^T values[count, dim], of the first
/// `rows` weights of each key, and of some columns.
///
/// \tparam Operand  what products multiply: floats; or pairs of bfloat16, or of whole numbers for
///                  values of bytes, each for a value and that which is `partner` values after it
/// \tparam most_packets  of columns, in one tile
/// \tparam multiple      of which columns are
/// \param units     [rows], what sums of whole numbers are to be multiplied by
template <int rows, int most_packets = registers, int multiple = 1, class Operand, class Stored,
          class Read, class Ahead = read_ahead>
HEADROOM_NEVER_INLINE void add_weighted_sum(const Operand* weights, const Stored* const* values,
                                            const Read& read, Index count,
                                            const value_columns& columns, float* value,
                                            Index partner = 0, const Ahead& ahead = {},
                                            const float* units = nullptr) {
  constexpr int packets =
      std::min(most_packets, sum_packets<Operand>(tile_rows<Operand, Stored, Read>(rows)));
  constexpr int together = 4 / depth_of<Operand>;
  constexpr Index most = most_sum_keys<Operand, Stored>(rows) / depth_of<Operand>;
  Index j = 0;
  for (Index some; (some = std::min(most, (count - j) / together * together)) > 0; j += some)
    weighted_sum_columns<Operand, rows, packets, together>(
        weights + j * weights_of_key(rows), values + j, partner, some, read, columns.begin,
        columns.end, columns.dim, value, units, ahead.from(j));
  for (; j < count; ++j)
    weighted_sum_columns<Operand, rows, 1, 1>(weights + j * weights_of_key(rows), values + j,
                                              partner, 1, read, columns.begin, columns.end,
                                              columns.dim, value, units, ahead.from(j));
  if constexpr (multiple % lanes != 0)
    if (const Index end = (columns.end - columns.begin) % lanes; end > 0)
      weighted_sum_end<rows>(weights, values, partner, count, read, columns.end - end, end, value,
                             columns.dim, units, ahead);
}

/// The same of all columns.
template <int rows, class Operand, class Stored, class Read, class Ahead = read_ahead>
void add_weighted_sum(const Operand* weights, const Stored* const* values, const Read& read,
                      Index count, Index dim, float* value, Index partner = 0,
                      const Ahead& ahead = {}, const float* units = nullptr) {
  add_weighted_sum<rows>(weights, values, read, count, value_columns{0, dim, dim}, value, partner,
                         ahead, units);
}

}  // namespace headroom::inline HEADROOM_ISA::detail
