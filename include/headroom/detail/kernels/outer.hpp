// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/packet.hpp>
#include <headroom/detail/packet_bfloat16.hpp>
#include <headroom/detail/packet_end.hpp>
#include <headroom/detail/prefetch.hpp>
#include <headroom/detail/rows_to_come.hpp>
#include <headroom/detail/tile.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <utility>

// The micro-kernel of all products with many rows: a sum of outer products in registers.
//
//   c[rows, columns] (+)= a[rows, depth] b[depth, columns]
//
// Columns stand in the lanes of packets, numbers of `a` are broadcast, nothing is transposed:
//
//   scores   keys x queries    a: keys, where they lie         b: queries, packed   c: scores
//   values   queries x dim     a: weights = scores, in place   b: values            c: the state
//
// Register tile: rows x packets accumulators, `packets` of b and one broadcast. 16 registers: 4 x 3
// and 4, 7 loads for 12 fused multiply-adds; 32: 6 x 4 and 5, 10 loads for 24. Loads are counted,
// because a core that shares its load units with another thread multiplies no faster than it loads.
//
// Where a and b hold pairs of bfloat16, two numbers of depth share an operand
// (packet_bfloat16.hpp).

namespace headroom::inline HEADROOM_ISA::detail {

/// The numbers of `a`, which lie by rows or by columns: one of the two strides is 1. Register tiles
/// take any two strides, so that keys and weights share their code.
template <class Number>
struct left_operand {
  const Number* data;
  Index row_stride;
  Index depth_stride;

  const Number& operator()(Index i, Index k) const {
    return data[i * row_stride + k * depth_stride];
  }
};
template <class Number>
left_operand<Number> by_rows(const tile<Number>& a) {
  return {a.data, a.stride, 1};
}
template <class Number>
left_operand<Number> by_columns(const tile<Number>& a) {
  return {a.data, 1, a.stride};
}

/// Packets of columns in the register tile, where there are rows enough.
inline constexpr int outer_packets = registers >= 32 ? 4 : 3;

/// Packets of columns where there are rows too few for that: as many sums must be under way as
/// additions wait for each other.
inline constexpr int most_packets = 8;
constexpr int widest_columns(Index rows) {
  return rows == 1 ? most_packets : rows == 2 ? 4 : outer_packets;
}

/// Rows of the register tile that go with so many packets of columns. More rows than six with
/// several packets are no faster, and each tile costs time to compile.
constexpr int outer_rows(int packets) {
  const int most = packets > outer_packets ? 2 : packets > 1 ? 6 : 12;
  return std::clamp((registers - packets - 1) / packets, 1, most);
}

/// Packets of the next tile where `left` packets of columns are left: the widest, but no single
/// packet at the end.
constexpr int next_columns(Index left, int widest) {
  if (left <= widest) return static_cast<int>(left);
  return left < 2 * widest ? static_cast<int>((left + 1) / 2) : widest;
}

/// Rows to come are asked for once in so many numbers of depth.
inline constexpr Index step_depth = 16;

/// Where a product goes: c[i, j] at data[i * stride + j].
struct product_target {
  float* data;
  Index stride;
  bool add;  // to the numbers that are there

  float* row(Index i) const { return data + i * stride; }
};

/// One register tile: columns [column, column + packets * lanes) of b.
template <int rows, int packets, class A, class B>
void outer_tile(const A& a, const B& b, Index column, Index depth, const product_target& c,
                rows_to_come& next) {
  packet sum[rows][packets];
  HEADROOM_UNROLL for (int i = 0; i < rows; ++i) {
    HEADROOM_UNROLL for (int p = 0; p < packets; ++p) sum[i][p] = broadcast(0.f);
  }
  const auto* left = a.data;
  b.for_each_part(0, depth, [&](const auto& part, Index begin, Index end) HEADROOM_ALWAYS_INLINE {
    const auto* right = part.data + column;
    for (Index k = 0; k < end - begin; ++k) {
      if (k % step_depth == 0) next.ask();
      keep(right);
      decltype(load(right)) columns[packets];
      HEADROOM_UNROLL for (int p = 0; p < packets; ++p) {
        columns[p] = load(right + p * lanes);
        if constexpr (rows > 1) keep(columns[p]);
      }
      HEADROOM_UNROLL for (int i = 0; i < rows; ++i) {
        auto number = broadcast(left[i * a.row_stride]);
        if constexpr (packets > 1) keep_broadcast(number);
        HEADROOM_UNROLL for (int p = 0; p < packets; ++p) {
          sum[i][p] = multiply_add(number, columns[p], sum[i][p]);
        }
      }
      left += a.depth_stride;
      right += part.stride;
    }
  });
  // What is there is added in the end: nothing waits for it, and fewer numbers are summed one after
  // another.
  if (c.add) {
    HEADROOM_UNROLL for (int i = 0; i < rows; ++i) {
      HEADROOM_UNROLL for (int p = 0; p < packets; ++p) {
        sum[i][p] = add(load(c.row(i) + p * lanes), sum[i][p]);
      }
    }
  }
  HEADROOM_UNROLL for (int i = 0; i < rows; ++i) {
    HEADROOM_UNROLL for (int p = 0; p < packets; ++p) store(c.row(i) + p * lanes, sum[i][p]);
  }
}

/// Rows of the next tile where `left` are left: the most, or a power of two below. Four and four
/// are faster than six and two, which would wait for their own additions.
constexpr Index next_rows(Index left, int most) {
  const auto below = [](Index rows) {
    return static_cast<Index>(std::bit_floor(static_cast<std::size_t>(rows)));
  };
  return left == 2 * below(most) ? below(most) : left >= most ? most : below(left);
}

/// Steps of the product in which rows to come are asked for.
constexpr Index outer_steps(Index rows, int packets, Index depth) {
  const Index most = outer_rows(packets);
  const Index tiles = rows / most + std::popcount(static_cast<std::size_t>(rows % most));
  return tiles * ((depth + step_depth - 1) / step_depth);
}

/// The product for any number of rows.
template <int packets, class A, class B>
void outer_columns(A a, Index rows, const B& b, Index column, Index depth, product_target c,
                   rows_to_come& next) {
  constexpr int most = outer_rows(packets);
  constexpr int smaller = static_cast<int>(std::bit_width(static_cast<std::size_t>(most - 1)));
  static constexpr auto tiles = []<int... n>(std::integer_sequence<int, n...>) {
    return std::array{&outer_tile<1 << n, packets, A, B>..., &outer_tile<most, packets, A, B>};
  }
  (std::make_integer_sequence<int, smaller>{});
  while (rows > 0) {
    const Index count = next_rows(rows, most);
    // What the next tile reads is on its way while this one is multiplied.
    for (Index i = count; i < std::min(2 * count, rows); ++i) {
      if (c.add) prefetch_row(c.row(i), packets * lanes);
      if (a.depth_stride == 1) prefetch_row(&a(i, 0), depth);
    }
    next.find_next_run();
    const auto tile = static_cast<std::size_t>(
        count == most ? smaller : std::countr_zero(static_cast<std::size_t>(count)));
    tiles[tile](a, b, column, depth, c, next);
    a.data += count * a.row_stride;
    c.data += count * c.stride;
    rows -= count;
  }
}

/// The same for a number of packets of columns known at run time only, at most `widest`.
template <int widest = outer_packets, class A, class B>
void outer_product(A a, Index rows, int packets, const B& b, Index column, Index depth,
                   const product_target& c, rows_to_come& next) {
  static constexpr auto columns = []<int... n>(std::integer_sequence<int, n...>) {
    return std::array{&outer_columns<n + 1, A, B>...};
  }
  (std::make_integer_sequence<int, widest>{});
  columns[static_cast<std::size_t>(packets - 1)](a, rows, b, column, depth, c, next);
}

/// Calls f(first, packets) for one tile of columns after another, of `dim` columns; returns the
/// column behind the last whole packet.
template <class F>
Index for_each_columns(Index dim, int widest, const F& f) {
  Index column = 0;
  for (Index left = dim / lanes; left > 0;) {
    const int packets = next_columns(left, widest);
    f(column, packets);
    column += packets * lanes;
    left -= packets;
  }
  return column;
}

/// Rows of c that add_last_columns_tile takes at a time: as many sums as are to be under way.
inline constexpr int last_columns_rows = 8;

/// c += a b for the `end` columns from `column` on, fewer than a packet, of at most
/// last_columns_rows rows. Pairs of b fill packets all the same.
template <class A, class B>
void add_last_columns_tile(const A& a, Index rows, const B& b, Index column, Index end, Index depth,
                           float* c, Index c_stride) {
  decltype(a.data) left[last_columns_rows];
  packet sum[last_columns_rows];
  HEADROOM_UNROLL for (int i = 0; i < last_columns_rows; ++i) {
    left[i] = a.data + std::min<Index>(i, rows - 1) * a.row_stride;  // some twice, for nothing
    sum[i] = broadcast(0.f);
  }
  Index left_offset = 0;
  b.for_each_part(0, depth, [&](const auto& part, Index from, Index to) HEADROOM_ALWAYS_INLINE {
    const auto* right = part.data + column;
    for (Index k = from; k < to; ++k, right += part.stride, left_offset += a.depth_stride) {
      const auto numbers = [&] {
        if constexpr (std::same_as<typename B::number, float>)
          return load_first(right, end);
        else
          return load(right);
      }();
      HEADROOM_UNROLL for (int i = 0; i < last_columns_rows; ++i) {
        sum[i] = multiply_add(broadcast(left[i][left_offset]), numbers, sum[i]);
      }
    }
  });
  HEADROOM_UNROLL for (int i = 0; i < last_columns_rows; ++i) {
    float* const to = c + i * c_stride;
    if (i < rows) store_first(to, add(load_first(to, end), sum[i]), end);
  }
}

/// The same for any number of rows.
template <class A, class B>
void add_last_columns(A a, Index rows, const B& b, Index column, Index end, Index depth, float* c,
                      Index c_stride) {
  for (Index i = 0; i < rows; i += last_columns_rows) {
    add_last_columns_tile(a, std::min<Index>(rows - i, last_columns_rows), b, column, end, depth, c,
                          c_stride);
    a.data += last_columns_rows * a.row_stride;
    c += last_columns_rows * c_stride;
  }
}

/// c[rows, dim] += a[rows, depth] b[depth, dim], for any number of columns.
template <class A, class B>
void add_outer_product(const A& a, Index rows, const B& b, Index depth, Index dim, float* c,
                       Index c_stride) {
  rows_to_come none;
  const Index last = for_each_columns(dim, widest_columns(rows), [&](Index column, int packets) {
    outer_product<most_packets>(a, rows, packets, b, column, depth, {c + column, c_stride, true},
                                none);
  });
  if (last < dim) add_last_columns(a, rows, b, last, dim - last, depth, c + last, c_stride);
}

// Numbers of depth for which a panel of b stays in the first-level cache, 24 KiB. The second-level
// caches behind the widest packets feed a register tile of theirs as fast as it multiplies.
inline constexpr Index most_depth =
    (lanes >= 16 ? 256 : 24) * 1024 / (outer_packets * lanes * Index(sizeof(float)));

/// Parts of the depth that are summed each on its own: no longer than a panel may be, and two or
/// three, as rounding errors add up along a sum. Large scores of width 128 err half as much in two
/// parts, of latents a third as much in three; more parts take time.
constexpr Index summed_parts(Index depth) {
  constexpr Index least_depth = 64, most_parts = 3;
  const Index panels = (depth + most_depth - 1) / most_depth;
  return std::max({Index(1), panels, std::min(depth / least_depth, most_parts)});
}

/// c[rows, width] = a[rows, depth] b[depth, width], width = packets * lanes, contiguous; any depth.
template <class Operand>
void deep_outer_product(const tile<Operand>& a, Index rows, int packets, const Operand* b,
                        Index depth, float* c, rows_to_come& next) {
  const Index width = packets * lanes;
  const Index parts = summed_parts(depth);
  Index begin = 0;
  for (Index part = 0; part < parts; ++part) {
    const Index end = depth * (part + 1) / parts;
    const tile<Operand> slice{a.data + begin, a.stride};
    const tile<Operand> panel{b + begin * width, width};
    outer_product(by_rows(slice), rows, packets, panel, 0, end - begin, {c, width, part > 0}, next);
    begin = end;
  }
}

}  // namespace headroom::inline HEADROOM_ISA::detail
