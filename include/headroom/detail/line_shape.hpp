// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/packet.hpp>
#include <headroom/softmax_state.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>

// The order in which few rows meet many keys: in lines of a few keys from several places, and of
// several groups where these lie beside each other, as in a view [tokens, groups, dim]. Each place
// is then read from one end to the other, which a processor foresees; one group after another would
// read short pieces far apart.

namespace headroom::inline HEADROOM_ISA::detail {

/// Places in memory that keys of a line come from. A core reads several streams faster than one,
/// because its prefetcher follows each only to the end of a page.
inline constexpr Index streams = 4;

/// Most keys, or values, of a group that are taken at a time.
inline constexpr Index most_line_keys = std::max(32, lanes);

/// A line of scores, [groups, keys, rows], in whole packets. Its keys depend on the rows alone, so
/// that a group's result has the same bits whether or not others are taken with it.
struct line_shape {
  Index groups;
  Index keys;  // of each group: a power of two, so many that its numbers fill packets, and a
               // multiple of `streams`
  Index rows;  // of each group, padded to a power of two that divides lanes

  static line_shape of(Index groups, Index rows) {
    const Index width = static_cast<Index>(std::bit_ceil(static_cast<std::size_t>(rows)));
    return {groups, std::max<Index>(streams, lanes / width), width};
  }

  /// Keys of all groups.
  Index pairs() const { return groups * keys; }

  /// Numbers of a line.
  Index size() const { return pairs() * rows; }

  /// Hides what fills no key: all after the first `count` of each group.
  void pad(float* scores, Index count) const {
    for (Index g = 0; count < keys && g < groups; ++g)
      std::fill(scores + at(g, count, 0), scores + at(g + 1, 0, 0),
                softmax_state<float>::minus_infinity);
  }

  /// Numbers [keys, rows] of a group, those of each key times its factor, best some time after
  /// these were written: a packet is not loaded fast right after its numbers were stored.
  void multiply(const float* factors, const float* numbers, float* products) const {
    const line_shape shape = *this;  // which stores might change, as far as a compiler knows
    for (Index i = 0; i < shape.keys * shape.rows; i += lanes)
      store(products + i, detail::multiply(load(numbers + i),
                                           load_repeated(factors + shape.key_of(i), shape.rows)));
  }

  /// Of keys of a group in their order: the line that one is in, and its place there.
  Index line_of(Index key) const { return divided(key, keys); }
  Index place_of(Index key) const { return key & (keys - 1); }

  /// The key of a number of a group.
  Index key_of(Index number) const { return divided(number, rows); }

  /// Where the number of a row and a key stands.
  Index at(Index group, Index key, Index row) const { return (group * keys + key) * rows + row; }

 private:
  // A processor takes long to divide by what the compiler does not know to be a power of two.
  static Index divided(Index number, Index by) {
    return number >> std::countr_zero(static_cast<std::size_t>(by));
  }
};

/// Which key of a sequence each key of each line is.
struct line_order {
  Index first;
  Index distance;  // of two streams
  Index next;      // of two keys of a stream

  /// All keys from `first` on, one after another.
  static line_order in_turn(Index first) { return {first, 1, streams}; }

  /// From as many places at a time as there are streams, `distance` keys apart.
  static line_order in_streams(Index first, Index distance) { return {first, distance, 1}; }

  /// The same so many lines later.
  line_order later(Index lines, const line_shape& shape) const {
    return {first + lines * advance(shape), distance, next};
  }

  /// Key j, of as many as there are; those of the next line are `advance` further.
  Index position(Index j) const { return first + j % streams * distance + j / streams * next; }
  Index advance(const line_shape& shape) const { return shape.keys / streams * next; }

  bool operator==(const line_order&) const = default;
};

/// Keys that are walked through line by line, or none.
struct line_keys {
  line_order order{};
  Index count = 0;   // of each group
  Index groups = 0;  // from the groups at hand to those they are of
};

}  // namespace headroom::inline HEADROOM_ISA::detail
