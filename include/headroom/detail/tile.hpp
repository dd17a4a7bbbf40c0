// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/codec.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/packet.hpp>
#include <headroom/detail/packet_end.hpp>
#include <headroom/detail/packet_stored.hpp>

#include <algorithm>
#include <concepts>
#include <span>
#include <type_traits>

// Operands of the kernels: rows of numbers, by where they lie and what they are read as.

namespace headroom::inline HEADROOM_ISA::detail {

/// Rows of numbers at a constant distance.
template <class Number>
struct tile {
  using number = Number;

  const Number* data;
  Index stride;  // numbers from one row to the next

  const Number* row(Index i) const { return data + i * stride; }

  /// The rows from `begin` on.
  tile from(Index begin) const { return {row(begin), stride}; }

  /// Calls f(rows, begin, end) with what has rows [begin, end): one tile.
  template <class F>
  HEADROOM_ALWAYS_INLINE void for_each_part(Index begin, Index end, const F& f) const {
    f(from(begin), begin, end);
  }
};
template <class Number>
tile(const Number*, Index) -> tile<Number>;

/// Rows of numbers in several tiles, one after another, as pages hold them.
template <class Number>
struct joined_tiles {
  using number = Number;

  /// Rows [begin, end) of all.
  struct part {
    tile<Number> rows;
    Index begin;
    Index end;
  };

  std::span<const part> parts;
  Index first = 0;  // what is row 0

  const Number* row(Index i) const {
    auto in = parts.begin();
    while (first + i >= in->end) ++in;
    return in->rows.row(first + i - in->begin);
  }

  joined_tiles from(Index begin) const { return {parts, first + begin}; }

  /// Calls f(rows, from, to) for rows [from, to) of [begin, end), one tile after another.
  template <class F>
  HEADROOM_ALWAYS_INLINE void for_each_part(Index begin, Index end, const F& f) const {
    for (const part& in : parts) {
      const Index from = std::max(begin, in.begin - first), to = std::min(end, in.end - first);
      if (from < to) f(in.rows.from(first + from - in.begin), from, to);
    }
  }
};

/// Rows of numbers anywhere.
template <class Number>
struct scattered {
  const Number* const* rows;

  const Number* row(Index i) const { return rows[i]; }
};
template <class Number>
scattered(const Number* const*) -> scattered<Number>;

/// Stored rows anywhere, each read through a functor: as the numbers it returns, or as a row that
/// widens itself.
template <class Stored, class Read>
struct rows_through {
  const Stored* const* rows;
  const Read& read;

  auto row(Index i) const { return read(rows[i]); }
};
template <class Stored, class Read>
rows_through(const Stored* const*, const Read&) -> rows_through<Stored, Read>;

/// The functor that takes numbers as they lie.
struct as_stored {
  template <class Number>
  const Number* operator()(const Number* row) const {
    return row;
  }
};

/// The packet at d of a row.
template <class Number>
packet load_at(const Number* row, Index d) {
  return load(row + d);
}
template <class Row>
packet load_at(const Row& row, Index d) requires(!std::is_pointer_v<Row>) {
  return row.load(d);
}

/// Of the packet at d the first `count` numbers, and 0: the end of a row that fills no packet.
template <class Row>
packet load_first_at(const Row& row, Index d, Index count) {
  if constexpr (std::is_pointer_v<Row>) {
    return load_first(row + d, count);
  } else if constexpr (requires { row.load_first(d, count); }) {
    return row.load_first(d, count);
  } else {
    float numbers[lanes] = {};
    for (Index i = 0; i < count; ++i) numbers[i] = row[d + i];
    return load(numbers);
  }
}

/// Where the numbers of a row lie from d on.
template <class Number>
const Number* numbers_at(const Number* row, Index d) {
  return row + d;
}
template <class Row>
auto numbers_at(const Row& row, Index d) requires(!std::is_pointer_v<Row>) {
  return row.numbers_at(d);
}

/// Which stored numbers a kernel reads as they are; all others are decoded to Scalar.
template <class Scalar_>
struct reads_scalar {
  using Scalar = Scalar_;
  template <class Number>
  static constexpr bool reads = std::same_as<Number, Scalar>;
};

/// The kernels on packets widen every number of at most 32 bits.
struct reads_packets {
  using Scalar = float;
  template <class Number>
  static constexpr bool reads = !std::same_as<Number, double>;
};

/// What such a reader gets of rows stored by Codec.
template <class Reader, class Codec>
struct number_read : std::type_identity<typename Reader::Scalar> {};
template <class Reader, class Stored>
struct number_read<Reader, scalar_codec<Stored>>
    : std::conditional<Reader::template reads<Stored>, Stored, typename Reader::Scalar> {};

/// Whether it gets the rows themselves.
template <class Reader, class Codec>
inline constexpr bool reads_in_place =
    std::same_as<Codec, scalar_codec<typename number_read<Reader, Codec>::type>>;

}  // namespace headroom::inline HEADROOM_ISA::detail
