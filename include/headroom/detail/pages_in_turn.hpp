// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/key_parts.hpp>
#include <headroom/detail/line_shape.hpp>
#include <headroom/kv_source.hpp>

namespace headroom::inline HEADROOM_ISA::detail {

/// The order in which the rows of several groups lie in short pages, each of which has its part of
/// a group behind that of the group before: [pages, groups, page_keys, dim]. One group after
/// another would read short pieces far apart; so one page after another, four at a time, is read
/// from one end to the other.
///
/// Rows are counted in that order: those of all groups are then as those of one.
struct pages_in_turn {
  Index groups;

  /// Keys of a group that so many pages have as there are streams.
  static constexpr Index keys_at_once = streams * page_keys;

  /// Whether the streams of these keys are there, and begin and end with pages.
  static bool hold(const key_parts& parts) {
    return parts.rest > parts.streamed.first && parts.streamed.first % page_keys == 0 &&
           parts.streamed.distance % page_keys == 0;
  }

  /// The rows of these keys of all groups.
  line_keys rows_of(const line_keys& keys) const {
    return {line_order::in_streams(keys.order.first * groups, keys.order.distance * groups),
            keys.count * groups, keys.groups};
  }

  /// The longest run from a row on. It ends before a group that lies elsewhere.
  ///
  /// \param run      (group, first) -> the longest run of keys from `first` on
  /// \param further  from the groups at hand to those that are meant
  template <class Run>
  auto run(const Run& run, Index further, Index row) const {
    const Index all = groups * page_keys, first = row / all * page_keys;
    const Index group = row % all / page_keys, slot = row % page_keys;
    auto found = run(further + group, first + slot);
    if (found.tokens < page_keys - slot) return found;
    found.tokens = page_keys - slot;
    for (Index g = group + 1; g < groups; ++g, found.tokens += page_keys) {
      const auto next = run(further + g, first);
      if (next.rows != found.rows + found.tokens * found.stride || next.stride != found.stride ||
          next.tokens < page_keys)
        break;
    }
    return found;
  }
};

/// Whether the groups of a source lie so.
template <kv_source Source>
bool has_pages_in_turn(const Source& source, Index kv_len) {
  if (has_one_run<Source> || source.groups() == 1 || kv_len < 2 * page_keys) return false;
  const auto first = source.keys(0, 0, kv_len), second = source.keys(1, 0, kv_len);
  return first.tokens == page_keys && second.rows == first.rows + page_keys * first.stride;
}

}  // namespace headroom::inline HEADROOM_ISA::detail
