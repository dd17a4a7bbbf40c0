// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/line_shape.hpp>
#include <headroom/mask.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

namespace headroom::inline HEADROOM_ISA::detail {

/// Fewer keys than this are not worth several streams.
inline constexpr Index least_streamed_keys = 64;

/// Long streams begin and end at multiples of so many keys: pages are mostly of as many, or of a
/// multiple, and then end in all streams at once. What is left over would be much of few keys.
inline constexpr Index page_keys = 16;
inline constexpr Index least_aligned_keys = 256;

/// Keys [begin, end) in the order in which few rows take them: what all rows see from several
/// streams, in whole lines, and what is before and after it key by key.
struct key_parts {
  Index begin;
  Index all_begin;      // [all_begin, all_end) is what all rows see
  line_order streamed;  // [streamed.first, rest) of it
  Index rest;
  Index all_end;
  Index end;

  static key_parts of(Index begin, Index end, const key_range& seen_by_all,
                      const line_shape& shape) {
    const Index all_begin = std::clamp(seen_by_all.begin, begin, end);
    const Index all_end = std::clamp(seen_by_all.end, all_begin, end);
    const Index all = all_end - all_begin, of_line = shape.keys / streams;
    const bool aligned = all >= least_aligned_keys;
    const Index unit = aligned ? std::max(of_line, page_keys) : of_line;
    const Index first = aligned ? (all_begin + unit - 1) / unit * unit : all_begin;
    const Index distance =
        all < least_streamed_keys ? 0 : (all_end - first) / (streams * unit) * unit;
    return {begin,   all_begin, line_order::in_streams(first, distance), first + streams * distance,
            all_end, end};
  }

  line_keys streams_of(Index groups) const { return {streamed, rest - streamed.first, groups}; }

  bool operator==(const key_parts&) const = default;
};

/// The parts as an array, each with what comes after it, so that the code that takes a part is
/// compiled in one place.
class parts_in_order {
 public:
  static constexpr int count = 5;
  static constexpr int streamed = 2;  // the part that comes from several streams

  /// \param next  what most likely comes after all of them
  parts_in_order(const key_parts& keys, const line_keys& next)
      : parts_{in_turn(keys.begin, keys.all_begin),
               in_turn(keys.all_begin, keys.streamed.first),
               keys.streams_of(0),
               in_turn(keys.rest, keys.all_end),
               in_turn(keys.all_end, keys.end),
               next} {}

  const line_keys& part(int i) const { return parts_[static_cast<std::size_t>(i)]; }

  /// Whether all rows see all keys of a part.
  bool seen_by_all(int i) const { return 0 < i && i < count - 1; }

  std::span<const line_keys> after(int i) const {
    return std::span(parts_).subspan(static_cast<std::size_t>(i) + 1);
  }

 private:
  static line_keys in_turn(Index begin, Index end) {
    return {line_order::in_turn(begin), end - begin};
  }

  std::array<line_keys, count + 1> parts_;
};

/// Keys [begin, end) of the groups so many further: what the same rows most likely take next.
/// There are none if it is empty.
struct keys_to_come {
  Index groups = 0;
  Index begin = 0;
  Index end = 0;
};

}  // namespace headroom::inline HEADROOM_ISA::detail
