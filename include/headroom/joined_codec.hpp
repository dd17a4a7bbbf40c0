// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/codec.hpp>
#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/packet.hpp>
#include <headroom/detail/packet_end.hpp>
#include <headroom/detail/packet_stored.hpp>
#include <headroom/detail/tile.hpp>

#include <algorithm>
#include <concepts>

namespace headroom::inline HEADROOM_ISA {

/// Two codecs in one row: the first `width` numbers by First, the others by Second. The first
/// part of a stored row is a row of First, so that [c, k_pe] of a latent cache serves as a key and
/// its prefix c as a value.
///
/// A stored row is that of First, then that of Second where it is aligned, padded to keep the next
/// row so; in elements of First. In memory of your own the first row is to be aligned as Storage
/// and SecondStorage both are.
template <codec First, Index width, codec Second>
struct joined_codec {
  static_assert(width >= 1, "joined_codec<First, width, Second>: width must be at least 1");

  using Storage = typename First::Storage;
  using SecondStorage = typename Second::Storage;

  /// \throws std::invalid_argument if a row is narrower than its first part, `width`
  static constexpr Index storage_size(Index dim) {
    if (dim < width)
      detail::refuse({"joined_codec: a row has ", dim, " numbers, expected at least ", width,
                      ", those of its first part"});
    return second_begin() + aligned(detail::parts(detail::row_bytes<Second>(dim - width), unit));
  }

  /// Where the second part of a stored row lies.
  static SecondStorage* second(Storage* stored) {
    return reinterpret_cast<SecondStorage*>(stored + second_begin());
  }
  static const SecondStorage* second(const Storage* stored) {
    return reinterpret_cast<const SecondStorage*>(stored + second_begin());
  }

  template <class In>
  static void encode(const In* row, Storage* stored, Index dim) {
    First::encode(row, stored, width);
    Second::encode(row + width, second(stored), dim - width);
  }

  template <class Out>
  static void decode(const Storage* stored, Out* row, Index dim) {
    First::decode(stored, row, width);
    Second::decode(second(stored), row + width, dim - width);
  }

  /// A stored row as micro-kernels read it, widened in registers.
  struct packet_row {
    decltype(First::read(nullptr, 0)) first;
    const SecondStorage* second;
    Index begin;  // of a row from a column on: that column

    detail::packet load(Index d) const {
      d += begin;
      return d < width ? first.load(d) : detail::load(second + (d - width));
    }
    // Of a packet at the end of a row: only the second part has one that is not whole.
    detail::packet load_first(Index d, Index count) const {
      return detail::load_first(second + (begin + d - width), count);
    }
    float operator[](Index d) const {
      d += begin;
      return d < width ? first[d] : static_cast<float>(second[d - width]);
    }
    packet_row from(Index column) const { return {first, second, begin + column}; }
  };
  /// A stored row for kernels that read each once, in place of decode.
  static packet_row read(const Storage* stored,
                         Index) requires(detail::packet_codec<First>&& width % detail::lanes == 0 &&
                                         std::same_as<Second, scalar_codec<SecondStorage>> &&
                                         detail::reads_packets::reads<SecondStorage>) {
    return {First::read(stored, width), second(stored), 0};
  }

 private:
  static constexpr Index unit = sizeof(Storage);

  // Elements of First, rounded up to whole alignments of Second.
  static constexpr Index aligned(Index elements) {
    constexpr Index step = std::max<Index>(1, Index(alignof(SecondStorage)) / unit);
    return (elements + step - 1) / step * step;
  }
  static constexpr Index second_begin() { return aligned(First::storage_size(width)); }
};

}  // namespace headroom::inline HEADROOM_ISA
