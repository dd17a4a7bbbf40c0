// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/block.hpp>
#include <headroom/detail/broadcast.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/line_shape.hpp>
#include <headroom/detail/mask_scores.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/mask.hpp>

#include <algorithm>
#include <new>

namespace headroom::inline HEADROOM_ISA::detail {

/// What the same rows of several groups see.
template <class Call>
class group_ranges {
 public:
  /// \param rows  of the first group
  group_ranges(const Call& call, const stacked_rows& rows, Index groups, scratch& memory)
      : call_(call),
        rows_(rows),
        groups_(groups),
        ranges_(memory.take<row_ranges>(groups)),
        begin_(call.kv_len),
        hidden_{0, call.kv_len},
        seen_by_all_{0, call.kv_len, true} {
    for (Index g = 0; g < groups; ++g) {
      const row_ranges& ranges = *new (ranges_ + g) row_ranges(call, rows.of_group(g), memory);
      begin_ = std::min(begin_, ranges.begin());
      end_ = std::max(end_, ranges.end());
      hidden_ = hidden_.both(ranges.hidden());
      for (Index r = 0; r < rows.count; ++r) {
        const key_range seen = ranges.in_tile(r, 0, call.kv_len);
        seen_by_all_.begin = std::max(seen_by_all_.begin, seen.full_begin);
        seen_by_all_.end = std::min(seen_by_all_.end, seen.full_end);
      }
    }
  }

  /// Keys [begin, end) hold every key that some row sees.
  Index begin() const { return begin_; }
  Index end() const { return end_; }
  const hidden_keys& hidden() const { return hidden_; }

  /// Keys that every row sees, as the mask tells without being asked about single keys.
  const key_range& seen_by_all() const { return seen_by_all_; }

  /// Whether row r of a group sees a key.
  bool sees(Index g, Index r, Index position) const {
    return sees_within(ranges_[g].of(r), call_.mask, call_.row(rows_.of_group(g), r), position);
  }

  /// Adds biases to the scores of the first `count` keys of an order, and hides those of keys that
  /// a row does not see; returns whether there is such a key.
  ///
  /// \param all_seen  whether every row sees all of them
  /// \param score     (group, key of the order, row) -> the score
  /// \param unit      what scores are multiplied by before biases are added
  template <class Score>
  bool modify(const line_order& order, Index count, bool all_seen, const Score& score,
              float unit = 1) const {
    bool hides = false;
    for (Index g = 0; g < groups_; ++g)
      for (Index r = 0; r < rows_.count; ++r)
        for (Index stream = 0; stream < std::min(streams, count); ++stream) {
          const key_run keys{order.position(stream), order.next,
                             (count - stream + streams - 1) / streams};
          hides |= mask_scores(
              call_.mask, call_.row(rows_.of_group(g), r), ranges_[g].of(r), keys, all_seen, unit,
              [&, stream](Index k) -> float& { return score(g, stream + k * streams, r); });
        }
    return hides;
  }

 private:
  const Call& call_;
  stacked_rows rows_;
  Index groups_;
  row_ranges* ranges_;  // [groups]
  Index begin_;
  Index end_ = 0;
  hidden_keys hidden_;
  key_range seen_by_all_;
};

}  // namespace headroom::inline HEADROOM_ISA::detail
