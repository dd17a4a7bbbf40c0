// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/broadcast.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/dot_rows.hpp>
#include <headroom/detail/key_parts.hpp>
#include <headroom/detail/line_shape.hpp>
#include <headroom/detail/line_walk.hpp>
#include <headroom/detail/pages_in_turn.hpp>
#include <headroom/detail/prefetch.hpp>
#include <headroom/detail/read_pace.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/softmax_state.hpp>

#include <algorithm>
#include <new>
#include <span>

namespace headroom::inline HEADROOM_ISA::detail {

/// A block of very few query rows of each of some groups: decoding. Its time is that of reading
/// keys and values, so each is read once, where it lies and as it is stored, and widened in
/// registers; line_shape.hpp tells in which order.
///
/// \tparam Operand, most_rows  as of dot_rows
template <class Call, kv_source Source, class Operand = float, int most_rows = most_dot_rows>
class dot_block {
  using Rows = dot_rows<Call, Source, Operand, most_rows>;
  using Key = typename Source::KeyCodec::Storage;
  using Value = typename Source::ValueCodec::Storage;

 public:
  /// \param rows     of the first group; those of the others are the same rows of theirs
  /// \param states   of the groups, one each
  /// \param of_line  how many groups a line has: all of them, or one
  dot_block(const Call& call, const stacked_rows& rows,
            std::span<const softmax_state<float>> states, const Source& source, Index of_line,
            scratch& memory)
      : source_(source),
        pace_(pace_of(source, rows.group, call.kv_len, rows.count)),
        rows_(rows_of(call, rows, states, source, of_line, pace_.step_keys, memory)),
        keys_(rows_[0].key_shape(), source.qk_dim(),
              Source::KeyCodec::storage_size(source.qk_dim()), pace_.ahead, memory),
        values_(rows_[0].value_shape(), source.v_dim(),
                Source::ValueCodec::storage_size(source.v_dim()), pace_.ahead, memory) {}

  /// Takes in those of keys [begin, end) that some row sees.
  void add_keys(Index begin, Index end, const keys_to_come& next = {}) {
    // Keys of each group are cut as they are where it is alone.
    const auto alike = [&](const Rows& rows) { return rows.hidden() == rows_[0].hidden(); };
    if (std::ranges::all_of(rows_, alike))
      for_each_run(rows_[0], begin, end, next,
                   [&](Index from, Index to, const keys_to_come& after) {
                     if (!add_in_turn(from, to, after))
                       for (Index g = 0; g < together(); ++g)
                         add_alone(g, from, to, after_group(g, from, to, after));
                   });
    else
      for (Index g = 0; g < together(); ++g)
        for_each_run(rows_[static_cast<std::size_t>(g)], begin, end,
                     after_group(g, begin, end, next),
                     [&](Index from, Index to, const keys_to_come& after) {
                       add_alone(g, from, to, after);
                     });
    for (const Rows& rows : rows_) rows.finish();
  }

 private:
  // The keys before those that the rows hide, and after them, each with what comes next.
  template <class Take>
  static void for_each_run(const Rows& rows, Index begin, Index end, const keys_to_come& next,
                           const Take& take) {
    const hidden_keys hidden = rows.hidden().both({begin, end});
    if (hidden.begin >= hidden.end) return take(begin, end, next);
    take(begin, hidden.begin, keys_to_come{0, hidden.end, end});
    take(hidden.end, end, next);
  }

  // What comes after a group's keys: the same of the group after it, or what is next after all.
  keys_to_come after_group(Index g, Index begin, Index end, const keys_to_come& next) const {
    if (g + 1 < together()) return {1, begin, end};
    return {next.groups - g, next.begin, next.end};
  }

  static std::span<Rows> rows_of(const Call& call, const stacked_rows& rows,
                                 std::span<const softmax_state<float>> states, const Source& source,
                                 Index of_line, Index most_keys, scratch& memory) {
    const Index groups = static_cast<Index>(states.size()), count = groups / of_line;
    Rows* const made = memory.take<Rows>(count);
    for (Index i = 0; i < count; ++i)
      new (made + i) Rows(
          call, rows.of_group(i * of_line),
          states.subspan(static_cast<std::size_t>(i * of_line), static_cast<std::size_t>(of_line)),
          source, most_keys, memory);
    return {made, static_cast<std::size_t>(count)};
  }

  // Lines, each of all groups or of one; these are taken together, or one after another.
  Index together() const { return static_cast<Index>(rows_.size()); }

  auto runs_of_keys(Index group, Index end) const {
    return [&source = source_, group, end](Index g, Index first) {
      return source.keys(group + g, first, end);
    };
  }
  auto runs_of_values(Index group, Index end) const {
    return [&source = source_, group, end](Index g, Index first) {
      return source.values(group + g, first, end);
    };
  }

  void add_alone(Index g, Index begin, Index end, const keys_to_come& next) {
    Rows& rows = rows_[static_cast<std::size_t>(g)];
    const key_parts keys = rows.parts(begin, end), after = rows.parts(next.begin, next.end);
    const parts_in_order in_order(keys, after.streams_of(next.groups));
    for (int i = 0; i < in_order.count; ++i)
      add_part(rows, in_order.part(i), in_order.seen_by_all(i), in_order.after(i),
               std::max(keys.end, after.rest));
  }

  // Runs end before `end`.
  void add_part(Rows& rows, const line_keys& part, bool all_seen, std::span<const line_keys> after,
                Index end) {
    if (part.count == 0) return;
    keys_.start(part, after);
    values_.start(part, after);
    for_each_step(part, [&](const key_step& keys) {
      for (Index i = 0; i < keys.count; i += keys_at_once())
        rows.multiply_keys(keys_.next(runs_of_keys(rows.group(), end)), keys_.ahead(), i,
                           std::min(keys_at_once(), keys.count - i));
      prefetch_values(rows.group(), keys, end);
      const bool hides = rows.weigh(keys, all_seen);
      for (Index i = 0; i < keys.count; i += values_at_once())
        rows.add_values(values_.next(runs_of_values(rows.group(), end)), values_.ahead(), keys, i,
                        std::min(values_at_once(), keys.count - i), hides);
    });
  }

  template <class Step>
  void for_each_step(const line_keys& part, const Step& step) const {
    const line_shape& shape = rows_[0].key_shape();
    for (Index taken = 0; taken < part.count; taken += pace_.step_keys)
      step(key_step{part.order.later(taken / shape.keys, shape),
                    std::min(pace_.step_keys, part.count - taken)});
  }

  Index keys_at_once() const { return rows_[0].key_shape().keys; }
  Index values_at_once() const { return rows_[0].value_shape().keys; }

  // Asks for the first values, so that memory does not rest during the softmax.
  void prefetch_values(Index group, const key_step& keys, Index end) const {
    for (Index j = 0; j < std::min(streams, keys.count); ++j)
      prefetch_row(source_.values(group, keys.order.position(j), end).rows,
                   bytes_ahead / static_cast<Index>(sizeof(Value)));
  }

  // Takes the same keys of several groups in turn, as pages have them; or does nothing and returns
  // false.
  bool add_in_turn(Index begin, Index end, const keys_to_come& next) {
    if constexpr (has_one_run<Source>) {
      return false;
    } else {
      if (together() == 1) return false;
      const pages_in_turn pages{together()};
      const key_parts keys = rows_[0].parts(begin, end);
      const auto are_those_of = [&](const Rows& rows) { return rows.parts(begin, end) == keys; };
      if (!pages.hold(keys) || !std::ranges::all_of(rows_, are_those_of)) return false;
      const key_parts after = rows_[0].parts(next.begin, next.end);
      const line_keys after_streams = after.streams_of(next.groups);
      const parts_in_order in_order(keys, {});
      for (int i = 0; i < in_order.count; ++i)
        if (i == in_order.streamed)
          add_streams(pages, in_order.part(i), pages.hold(after) ? after_streams : line_keys(),
                      std::max(keys.end, after.rest));
        else
          for (Rows& rows : rows_)
            add_part(rows, in_order.part(i), in_order.seen_by_all(i), {}, keys.end);
      return true;
    }
  }

  // Of all groups, page after page. Runs end before `end`.
  void add_streams(const pages_in_turn& pages, const line_keys& part, const line_keys& next,
                   Index end) {
    const Index group = rows_[0].group(), of_pages = pages_in_turn::keys_at_once;
    const auto in_turn = [&](const auto& runs) {
      return [&](Index further, Index row) { return pages.run(runs, further, row); };
    };
    const auto keys_of_group = runs_of_keys(group, end);
    const auto values_of_group = runs_of_values(group, end);
    const line_keys all = pages.rows_of(part), after = pages.rows_of(next);
    keys_.start(all, std::span(&after, 1));
    values_.start(all, std::span(&after, 1));
    for_each_step(part, [&](const key_step& keys) {
      for (Index first = 0; first < keys.count; first += of_pages)
        for (const Rows& rows : rows_)
          for (Index i = first; i < first + of_pages; i += keys_at_once())
            rows.multiply_keys(keys_.next(in_turn(keys_of_group)), keys_.ahead(), i,
                               keys_at_once());
      prefetch_values(group, keys, end);
      for (Rows& rows : rows_) rows.weigh(keys, true);
      for (Index first = 0; first < keys.count; first += of_pages)
        for (const Rows& rows : rows_)
          for (Index i = first; i < first + of_pages; i += values_at_once())
            rows.add_values(values_.next(in_turn(values_of_group)), values_.ahead(), keys, i,
                            values_at_once(), false);
    });
  }

  const Source& source_;
  read_pace pace_;
  std::span<Rows> rows_;
  line_walk<Key, has_one_run<Source>> keys_;
  line_walk<Value, has_one_run<Source>> values_;
};

}  // namespace headroom::inline HEADROOM_ISA::detail
