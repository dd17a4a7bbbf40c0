// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/line_shape.hpp>
#include <headroom/detail/line_walk.hpp>
#include <headroom/mask.hpp>

#include <algorithm>
#include <array>

namespace headroom::inline HEADROOM_ISA::detail {

/// Fewer keys than this are not worth several streams.
inline constexpr Index least_streamed_keys = 64;

/// Keys [order.first, end), in that order.
struct ordered_keys {
  line_order order;
  Index end;
  bool all_seen;       // by all rows
  walk_to_come after;  // most likely
};

/// Keys [begin, end) in the order in which few rows take them: what all rows see from several
/// streams, in whole lines, and what is before and after it key by key.
struct key_parts {
  Index begin;
  Index all_begin;      // [all_begin, all_end) is what all rows see
  line_order streamed;  // [all_begin, rest) of it
  Index rest;
  Index all_end;
  Index end;

  static key_parts of(Index begin, Index end, const key_range& seen_by_all,
                      const line_shape& shape) {
    const Index all_begin = std::clamp(seen_by_all.begin, begin, end);
    const Index all_end = std::clamp(seen_by_all.end, all_begin, end);
    const Index all = all_end - all_begin;
    const Index lines = all < least_streamed_keys ? 0 : shape.line_of(all);
    const Index distance = lines * (shape.keys / streams);
    return {begin,
            all_begin,
            line_order::in_streams(all_begin, distance),
            all_begin + streams * distance,
            all_end,
            end};
  }

  /// How many keys are streamed.
  Index count() const { return rest - all_begin; }

  /// The parts, one after another: what takes them is long to compile, and need be called once.
  ///
  /// \param after  what most likely comes after all of them
  std::array<ordered_keys, 4> in_order(const walk_to_come& after) const {
    return {{{line_order::in_turn(begin), all_begin, false, {}},
             {streamed, rest, true, after},
             {line_order::in_turn(rest), all_end, true, {}},
             {line_order::in_turn(all_end), end, false, {}}}};
  }
};

/// Keys [begin, end) of the groups so many further: what the same rows most likely take next.
/// There are none if it is empty.
struct keys_to_come {
  Index groups = 0;
  Index begin = 0;
  Index end = 0;
};

}  // namespace headroom::inline HEADROOM_ISA::detail
