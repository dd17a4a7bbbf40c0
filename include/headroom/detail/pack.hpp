// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/codec.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/kernels/outer.hpp>
#include <headroom/detail/packet.hpp>
#include <headroom/detail/packet_bfloat16.hpp>
#include <headroom/detail/packet_end.hpp>
#include <headroom/detail/packet_stored.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/detail/tile.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdlib>
#include <optional>

// How operands are laid out for the micro-kernels. Packing costs one pass over a tile and is done
// where many rows share it; fewer rows read keys and values where they lie.

namespace headroom::inline HEADROOM_ISA::detail {

/// packed[dim, width] = scale rows[width, dim]^T; width is a multiple of the lanes. As many rows as
/// there are lanes are read side by side, so that their cache lines come together.
template <class Rows>
void pack_panel(const Rows& rows, Index width, Index dim, float* packed, float scale = 1) {
  const packet factor = broadcast(scale);
  const Index whole = dim / lanes * lanes;
  for (Index r = 0; r < width; r += lanes) {
    for (Index d = 0; d < whole; d += lanes) {
      square numbers;
      for (int i = 0; i < lanes; ++i)
        numbers.packet[i] = multiply(load(rows.row(r + i) + d), factor);
      transpose(numbers);
      for (int i = 0; i < lanes; ++i) store(packed + (d + i) * width + r, numbers.packet[i]);
    }
    for (Index d = whole; d < dim; ++d)
      for (Index i = r; i < r + lanes; ++i)
        packed[d * width + i] = static_cast<float>(rows.row(i)[d]) * scale;
  }
}

/// packed[dim / 2, width] = the same, in pairs along dim, which is even.
template <class Rows, class Pair>
requires is_pair<Pair>
void pack_panel(const Rows& rows, Index width, Index dim, Pair* packed, float scale = 1) {
  scratch memory;
  float* const numbers = memory.take<float>(width * dim);
  pack_panel(rows, width, dim, numbers, scale);
  for (Index d = 0; d < dim; d += 2)
    for (Index r = 0; r < width; r += lanes)
      store_pairs(packed + d / 2 * width + r, load(numbers + d * width + r),
                  load(numbers + (d + 1) * width + r));
}

/// rows[width, count] += packed[count, width]^T for the first `width` of the rows that a panel of
/// `stride` numbers holds.
inline void add_unpacked(const float* packed, Index stride, Index count, Index width, float* rows,
                         Index rows_stride) {
  Index j = 0;
  for (; j + lanes <= count; j += lanes) {
    Index r = 0;
    for (; r + lanes <= width; r += lanes) {
      square numbers;
      for (int i = 0; i < lanes; ++i) numbers.packet[i] = load(packed + (j + i) * stride + r);
      transpose(numbers);
      for (int i = 0; i < lanes; ++i) {
        float* const to = rows + (r + i) * rows_stride + j;
        store(to, add(load(to), numbers.packet[i]));
      }
    }
    for (; r < width; ++r)
      for (Index i = j; i < j + lanes; ++i) rows[r * rows_stride + i] += packed[i * stride + r];
  }
  for (; j < count; ++j)
    for (Index r = 0; r < width; ++r) rows[r * rows_stride + j] += packed[j * stride + r];
}

/// A tile as floats at a moderate distance: in place if it is, else copied. Rows that lie a page or
/// more apart fall into few sets of the first-level cache and evict each other.
template <class Number>
tile<float> dense(const tile<Number>& rows, Index count, Index dim, scratch& memory) {
  if constexpr (std::same_as<Number, float>)
    if (std::abs(rows.stride) < Index(4096 / sizeof(float))) return rows;
  float* const copy = memory.take<float>(count * dim);
  for (Index i = 0; i < count; ++i) scalar_codec<Number>::decode(rows.row(i), copy + i * dim, dim);
  return {copy, dim};
}

/// A tile as operands of a product whose depth is the width of its rows.
template <class Operand, class Number>
tile<Operand> as_operands(const tile<Number>& rows, Index count, Index dim, scratch& memory) {
  if constexpr (is_pair<Operand>) {
    static_assert(std::same_as<Number, Eigen::bfloat16>);
    tile<Number> near = rows;
    if (rows.stride % 2 != 0 || std::abs(rows.stride) >= Index(4096 / sizeof(Number))) {
      Number* const copy = memory.take<Number>(count * dim);
      for (Index i = 0; i < count; ++i) std::copy_n(rows.row(i), dim, copy + i * dim);
      near = {copy, dim};
    }
    return {reinterpret_cast<const Operand*>(near.data), near.stride / 2};
  } else {
    return dense(rows, count, dim, memory);
  }
}

/// The same of joined tiles, each where it is if it may be.
template <class Operand, class Number>
joined_tiles<Operand> as_operands(const joined_tiles<Number>& rows, Index count, Index dim,
                                  scratch& memory) {
  using part = typename joined_tiles<Operand>::part;
  part* const parts = memory.take<part>(static_cast<Index>(rows.parts.size()));
  std::size_t taken = 0;
  rows.for_each_part(0, count, [&](const tile<Number>& stored, Index begin, Index end) {
    parts[taken++] = {as_operands<Operand>(stored, end - begin, dim, memory), begin, end};
  });
  return {{parts, taken}};
}

/// Whether no number is infinite or NaN. Weight 0 times such a value is NaN: where a row must not
/// see it, values are added one visible key at a time.
template <class Rows>
bool all_finite(const Rows& rows, Index count, Index dim) {
  packet sum = broadcast(0.f);
  float tail = 0;
  for (Index j = 0; j < count; ++j) {
    const auto row = rows.row(j);
    Index d = 0;
    for (; d + lanes <= dim; d += lanes) sum = multiply_add(load_at(row, d), broadcast(0.f), sum);
    for (; d < dim; ++d) tail += static_cast<float>(row[d]) * 0.f;
  }
  return sum_of(sum) + tail == 0.f;
}

/// The values of a tile of tokens as the value product reads them: in place, or as panels of
/// columns, each [tokens, width] and contiguous; pairs of bfloat16 are those of two tokens,
/// [tokens / 2, width].
///
/// \tparam Rows      a tile, or joined ones
/// \tparam multiple  of which their columns are
template <class Rows, class Operand = float, int multiple = 1>
class value_tile {
  using Number = typename Rows::number;

 public:
  value_tile(const Rows& rows, Index row_count, Index row_dim)
      : rows_(rows), tokens_(row_count), dim_(row_dim) {}

  /// Copies the columns into panels, as operands; the last are filled up to a packet.
  void pack(scratch& memory) {
    packed_ = memory.take<Operand>(depth() * parts(dim_, lanes) * lanes);
    scratch pointers;
    const Number** const stored = pointers.take<const Number*>(tokens_);
    rows_.for_each_part(0, tokens_, [&](const tile<Number>& part, Index begin, Index end) {
      for (Index j = begin; j < end; ++j) stored[j] = part.row(j - begin);
    });
    for (Index j = 0; j < depth(); ++j) {  // in the order of memory
      const Index last = for_each_columns(dim_, outer_packets, [&](Index d, int packets) {
        const Index width = packets * lanes;
        const auto numbers = [d](const Number* row, Index i) { return load(row + d + i); };
        pack_row(stored, j, numbers, width, packed_ + d * depth() + j * width);
      });
      if (const Index end = dim_ - last; has_end && end > 0) {
        const auto numbers = [=](const Number* row, Index) { return load_first(row + last, end); };
        pack_row(stored, j, numbers, lanes, packed_ + last * depth() + j * lanes);
      }
    }
  }

  const Rows& rows() const { return rows_; }

  bool all_finite() const {
    if (!finite_) {
      finite_ = true;
      rows_.for_each_part(0, tokens_, [&](const tile<Number>& part, Index begin, Index end) {
        *finite_ = *finite_ && detail::all_finite(part, end - begin, dim_);
      });
    }
    return *finite_;
  }

  /// value[rows, dim] += weights^T [rows, keys] * values[begin, begin + keys). Only floats need not
  /// be packed. Pairs begin at an even token; a last key alone has weight 0 beside it.
  void add_product(const tile<Operand>& weights, Index rows, Index begin, Index keys, float* value,
                   rows_to_come& next) const {
    const Index deep = (keys + depth_of<Operand> - 1) / depth_of<Operand>;
    next.spread(std::max<Index>(1, dim_ / lanes / outer_packets) *
                outer_steps(rows, outer_packets, deep));
    // Calls add(columns, column) with those of the keys from d on, so many packets.
    const auto with_columns = [&](Index d, Index packets, const auto& add) {
      if constexpr (std::same_as<Number, Operand>)
        if (packed_ == nullptr) return add(rows_.from(begin), d);
      const Index width = packets * lanes;
      add(tile<Operand>{packed_ + d * depth() + begin / depth_of<Operand> * width, width}, 0);
    };
    const Index last = for_each_columns(dim_, outer_packets, [&](Index d, int packets) {
      with_columns(d, packets, [&](const auto& columns, Index column) {
        outer_product(by_columns(weights), rows, packets, columns, column, deep,
                      {value + d, dim_, true}, next);
      });
    });
    if (has_end && last < dim_)
      with_columns(last, 1, [&](const auto& columns, Index column) {
        add_last_columns(by_columns(weights), rows, columns, column, dim_ - last, deep,
                         value + last, dim_);
      });
  }

 private:
  static constexpr bool has_end = multiple % lanes != 0;  // columns may fill no packet

  Index depth() const { return (tokens_ + depth_of<Operand> - 1) / depth_of<Operand>; }

  // `width` columns of operand j of the depth: numbers(row, i) are those of a packet.
  template <class Numbers>
  void pack_row(const Number* const* stored, Index j, const Numbers& numbers, Index width,
                Operand* to) const {
    for (Index i = 0; i < width; i += lanes)
      if constexpr (is_pair<Operand>)
        store_pairs(to + i, numbers(stored[2 * j], i),
                    2 * j + 1 == tokens_ ? broadcast(0.f) : numbers(stored[2 * j + 1], i));
      else
        store(to + i, numbers(stored[j], i));
  }

  Rows rows_;
  Index tokens_;
  Index dim_;
  Operand* packed_ = nullptr;
  mutable std::optional<bool> finite_;
};

}  // namespace headroom::inline HEADROOM_ISA::detail
