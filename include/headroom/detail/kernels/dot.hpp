// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/codec.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/lane_sums.hpp>
#include <headroom/detail/memory.hpp>
#include <headroom/detail/operand.hpp>
#include <headroom/detail/packet.hpp>
#include <headroom/detail/packet_bfloat16.hpp>
#include <headroom/detail/packet_int16.hpp>
#include <headroom/detail/prefetch.hpp>
#include <headroom/detail/tile.hpp>

#include <algorithm>
#include <cstdint>
#include <type_traits>

// The micro-kernel of products with few rows, too few to fill the lanes of a packet: channels stand
// in the lanes, and each key is read once, from memory, for all rows.
//
//   scores[groups, keys, rows] = keys[groups, keys, dim] queries[groups, rows, dim]^T
//
// Register tile: as many pairs of a group and a key as give one packet of sums, so that whole
// packets of sums are added up across lanes at once. At most four keys are read at a time, one from
// each stream of line_shape.hpp.

namespace headroom::inline HEADROOM_ISA::detail {

/// More rows than this are faster as outer products, whose packets they fill, or half of one.
inline constexpr int most_dot_rows = std::min(lanes, 8);

/// Keys of a group that are read at the same time; rows is a power of two. Half of the registers
/// hold sums.
constexpr int dot_keys(int rows) {
  return std::clamp(registers / 2 / rows, 1, 4);
}

/// The operands from number d of a row on, in a packet; a pair is two neighbours.
template <class Operand, class Row>
packet_of<Operand> operands_at(const Row& row, Index d) {
  if constexpr (is_integer<Operand> && !std::is_same_v<Row, const std::int16_t*>) {
    packet_of<Operand> numbers;
    load_pairs(numbers_at(row, d), numbers);
    return numbers;
  } else if constexpr (is_pair<Operand>) {
    return load(reinterpret_cast<const Operand*>(row + d));
  } else {
    return load_at(row, d);
  }
}

/// The first `count` floats from number d of a row on, to its end.
template <class Operand, class Row>
packet operands_at(const Row& row, Index d, Index count) {
  static_assert(!is_pair<Operand>);
  return load_first_at(row, d, count);
}

/// Packets of pairs that are taken at a time: of a block those that are summed before its factor,
/// two where they fill it, for which registers have room.
template <class Row>
inline constexpr int block_packets = 1;
template <block_integer_row Row>
inline constexpr int block_packets<Row> = Row::numbers_of_block % (4 * lanes) == 0 ? 2 : 1;

/// scores[parts, keys, rows] of keys[parts, keys], part i with the queries at q[i].
template <class Operand, int parts, int keys, int rows, int multiple, class Stored, class Read,
          class Ahead>
void dot_tile(const number_of<Operand>* const (&q)[parts], const Stored* const* k, const Read& read,
              Index dim, float* scores, const Ahead& ahead) {
  constexpr int sums = parts * keys * rows;
  constexpr Index line = elements_of_line<Stored>;  // asked for once
  // Blocks of whole numbers have factors of their own: their sums are floats.
  using row_read = std::invoke_result_t<const Read&, const Stored*>;
  constexpr bool scales_blocks = is_integer<Operand> && block_integer_row<row_read>;
  using sum_of_rows = sum_packet<std::conditional_t<scales_blocks, float, Operand>>;
  sum_of_rows sum[sums];
  HEADROOM_UNROLL for (int i = 0; i < sums; ++i) sum[i] = sum_of_rows();
  const auto add_products = [&]<class As>(As, int part, Index d,
                                          auto... count) HEADROOM_ALWAYS_INLINE {
    packet_of<As> key[keys];
    HEADROOM_UNROLL for (int j = 0; j < keys; ++j) {
      key[j] = operands_at<As>(read(k[part * keys + j]), d, count...);
      if constexpr (rows > 1) keep(key[j]);
    }
    HEADROOM_UNROLL for (int r = 0; r < rows; ++r) {
      packet_of<As> query = operands_at<As>(q[part] + r * dim, d, count...);
      // One row is read so fast that a core, its loads far ahead of it, waits longer for memory;
      // loads of the query between them hold it back.
      if constexpr (rows > 1) keep(query);
      HEADROOM_UNROLL for (int j = 0; j < keys; ++j) {
        auto& to = sum[(part * keys + j) * rows + r];
        to = multiply_add(query, key[j], to);
      }
    }
  };
  // The same of numbers that share a factor: what they add up to is multiplied by it.
  constexpr int of_block = is_integer<Operand> ? block_packets<row_read> : 1;
  const auto add_blocks = [&]<class As>(As, int part, Index d) HEADROOM_ALWAYS_INLINE {
    if constexpr (scales_blocks) {
      constexpr Index step = lanes * depth_of<As>;
      packet_of<As> key[keys][of_block];
      packet factor[keys];
      HEADROOM_UNROLL for (int j = 0; j < keys; ++j) {
        const auto row = read(k[part * keys + j]);
        factor[j] = broadcast(row.factor_at(d));
        HEADROOM_UNROLL for (int p = 0; p < of_block; ++p) {
          key[j][p] = operands_at<As>(row, d + p * step);
          if constexpr (rows > 1) keep(key[j][p]);
        }
      }
      HEADROOM_UNROLL for (int r = 0; r < rows; ++r) {
        packet_of<As> query[of_block];
        HEADROOM_UNROLL for (int p = 0; p < of_block; ++p) {
          query[p] = operands_at<As>(q[part] + r * dim, d + p * step);
          if constexpr (rows > 1 && of_block == 1) keep(query[p]);
        }
        HEADROOM_UNROLL for (int j = 0; j < keys; ++j) {
          sum_packet<As> whole{};
          HEADROOM_UNROLL for (int p = 0; p < of_block; ++p) {
            whole = multiply_add(query[p], key[j][p], whole);
          }
          auto& to = sum[(part * keys + j) * rows + r];
          to = multiply_add(as_floats(whole), factor[j], to);
        }
      }
    }
  };
  const auto ask_ahead = [&](int part, Index d) HEADROOM_ALWAYS_INLINE {
    HEADROOM_UNROLL for (int j = part * keys; j < (part + 1) * keys; ++j) {
      prefetch_ahead(k[j], ahead.far_row(k[j], j, 0), d, ahead);
    }
  };
  constexpr Index step = lanes * depth_of<Operand> * of_block;
  // What fills no packet is multiplied as floats. Whole numbers have no such widths.
  constexpr bool has_end = !is_integer<Operand> && multiple % step != 0;
  const Index whole = dim / step * step;
  HEADROOM_UNROLL for (int part = 0; part < parts; ++part) {
    for (Index d = 0; d < whole; d += step) {
      if (line <= step || d % line == 0) ask_ahead(part, d);
      if constexpr (scales_blocks)
        add_blocks(Operand(), part, d);
      else
        add_products(Operand(), part, d);
    }
    if constexpr (has_end) {
      if (whole < dim) ask_ahead(part, whole);
      for (Index d = whole; d < dim; d += lanes)
        add_products(0.f, part, d, std::min<Index>(lanes, dim - d));
    }
  }
  if constexpr (sums % lanes == 0) {
    HEADROOM_UNROLL for (int i = 0; i < sums / lanes; ++i) {
      square packets;
      HEADROOM_UNROLL for (int j = 0; j < lanes; ++j) {
        packets.packet[j] = as_floats(sum[i * lanes + j]);
      }
      store(scores + i * lanes, lane_sums(packets));
    }
  } else {
    HEADROOM_UNROLL for (int i = 0; i < sums; ++i) scores[i] = lane_sum(as_floats(sum[i]));
  }
}

/// scores[groups, keys, rows] = k[groups, keys, dim] q[groups, rows, dim]^T, of the first `count`
/// keys of each group.
///
/// \tparam Operand  what products multiply: floats; or pairs of bfloat16 where that is what q and k
///                  are stored as; or of whole numbers where k is bytes, of at most most_int16 in
///                  q, and most_int16_depth of them; dim is then whole packets, block_packets
///                  of a row that is read in blocks
/// \tparam multiple  of which dim is
/// \param keys   a multiple of dot_keys(rows)
/// \param ahead  what to ask for meanwhile, for the rows of k
template <int rows, class Operand = float, int multiple = 1, class Stored, class Read,
          class Ahead = read_ahead>
void dot_product(const number_of<Operand>* q, const Stored* const* k, const Read& read,
                 Index groups, Index keys, Index count, Index dim, float* scores,
                 const Ahead& ahead = {}) {
  constexpr int together = dot_keys(rows);
  constexpr int parts = std::max(1, lanes / (rows * together));
  if (count < keys) {
    for (Index g = 0; g < groups; ++g)
      for (Index j = g * keys; j < g * keys + count; ++j)
        dot_tile<Operand, 1, 1, rows, multiple>({q + g * rows * dim}, k + j, read, dim,
                                                scores + j * rows, ahead.from(j));
    return;
  }
  Index of_group = 0;  // keys of the group at q that are taken
  const auto next_queries = [&] {
    const auto* const queries = q;
    of_group += together;
    if (of_group == keys) {
      of_group = 0;
      q += rows * dim;
    }
    return queries;
  };
  const Index all = groups * keys;
  Index j = 0;
  for (; j + parts * together <= all; j += parts * together) {
    const number_of<Operand>* queries[parts];
    for (auto& part : queries) part = next_queries();
    dot_tile<Operand, parts, together, rows, multiple>(queries, k + j, read, dim, scores + j * rows,
                                                       ahead.from(j));
  }
  for (; j < all; j += together)
    dot_tile<Operand, 1, together, rows, multiple>({next_queries()}, k + j, read, dim,
                                                   scores + j * rows, ahead.from(j));
}

}  // namespace headroom::inline HEADROOM_ISA::detail
