// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/block_for.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/parallel.hpp>

#include <algorithm>
#include <concepts>

namespace headroom::inline HEADROOM_ISA::detail {

/// Work items to aim for where there may be several threads. Where taking the groups of pages
/// together would leave fewer, they are taken one by one, although memory is then read more slowly.
inline constexpr Index items_of_threads = 16;

/// The same for those that an executor may have.
template <class Executor>
inline constexpr Index least_items = std::same_as<Executor, serial> ? 1 : items_of_threads;

/// How the rows of a call are cut: into blocks of at most block_rows, x groups, or few of them
/// together where that reads memory better. Units are counted block after block.
class row_units {
 public:
  /// \param least  about as many units are made at least, if there are the groups
  template <class Call, kv_source Source>
  row_units(const Call& call, const Source& source, Index least)
      : blocks_(parts(call.rows_per_group(), block_rows)),
        together_(groups_together(call, source, least / std::max(blocks_, Index(1)))),
        spans_(parts(call.groups(), together_)) {}

  Index blocks() const { return blocks_; }
  Index count() const { return blocks_ * spans_; }

  /// Unit i where the last block comes first, and the groups of each in order.
  Index from_last_block(Index i) const { return (blocks_ - 1 - i / spans_) * spans_ + i % spans_; }

  /// The rows of a unit, those of its first group.
  template <class Call>
  stacked_rows rows(const Call& call, Index unit) const {
    const Index first = unit / spans_ * block_rows;
    return {unit % spans_ * together_, call.heads_per_group, first,
            std::min(block_rows, call.rows_per_group() - first)};
  }

  /// How many groups a unit has.
  template <class Call>
  Index groups(const Call& call, Index unit) const {
    return std::min(together_, call.groups() - unit % spans_ * together_);
  }

  /// What the rows of a unit are to take after the keys before `end`, so many at a time: those that
  /// follow, or the first ones of the unit to come, if it has the same rows of as many groups.
  template <class Call>
  keys_to_come next(const Call& call, Index unit, Index end, Index keys) const {
    const Index further = end < call.kv_len ? 0 : together_;
    const Index group = unit % spans_ * together_ + further;
    if (group + groups(call, unit) > call.groups()) return {};
    const Index begin = further > 0 ? 0 : end;
    return {further, begin, std::min(begin + keys, call.kv_len)};
  }

  /// Pairs of a row and a key of [begin, end) in a unit, by what the mask shows its first and its
  /// last row: enough to tell large units from small ones.
  template <class Call>
  Index cost(const Call& call, Index unit, Index begin, Index end) const {
    const stacked_rows stacked = rows(call, unit);
    const key_range first = call.mask.keys(call.row(stacked, 0));
    const key_range last = call.mask.keys(call.row(stacked, stacked.count - 1));
    begin = std::max(begin, std::min(first.begin, last.begin));
    end = std::min(end, std::max(first.end, last.end));
    const Index hidden_begin = std::max({begin, first.hidden_begin, last.hidden_begin});
    const Index hidden_end = std::min({end, first.hidden_end, last.hidden_end});
    end -= std::max(hidden_end - hidden_begin, Index(0));
    return groups(call, unit) * stacked.count * std::max(end - begin, Index(0));
  }

 private:
  Index blocks_;
  Index together_;
  Index spans_;
};

}  // namespace headroom::inline HEADROOM_ISA::detail
