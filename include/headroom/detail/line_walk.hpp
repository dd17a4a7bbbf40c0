// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/line_shape.hpp>
#include <headroom/detail/packet.hpp>
#include <headroom/detail/prefetch.hpp>
#include <headroom/detail/scratch.hpp>

#include <algorithm>
#include <limits>
#include <type_traits>
#include <utility>

namespace headroom::inline HEADROOM_ISA::detail {

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
};

/// The walk that most likely comes after one, through the same runs: memory does not rest in
/// between.
struct walk_to_come {
  line_order order{};
  Index count = 0;   // keys of each group; 0 if none comes
  Index groups = 0;  // from the first group of this walk to its own
};

/// Walks stored rows line by line: keys, or values. Kernels ask for memory so far ahead of a row as
/// they are told, while the run at hand goes on, and far ahead in the run that comes; where it is
/// about to end, the walk asks for what is near itself.
///
/// \tparam one_run  all rows of a group are of one run
template <class Storage, bool one_run = false>
class line_walk {
  using Ahead = std::conditional_t<one_run, read_ahead, paged_read_ahead<Storage>>;

 public:
  /// \param row_dim   numbers of a row
  /// \param row_size  the same in Storage elements
  /// \param distance  how far ahead of a stream memory is asked for
  line_walk(const line_shape& shape, Index row_dim, Index row_size, const read_ahead& distance,
            scratch& memory)
      : shape_(shape),
        row_size_(row_size),
        bytes_near_(distance.near),
        far_{std::min(tokens_in(distance.far, row_size * size),
                      tokens_in(numbers_far_ahead, row_dim))},
        near_{tokens_in(distance.near, row_size * size)},
        here_(shape.pairs(), memory),
        coming_(shape.pairs(), memory) {}

  /// Goes to line 0 of an order of `count` keys.
  void start(const line_order& order, Index count, const walk_to_come& after = {}) {
    order_ = order;
    rest_ = count;
    after_ = after;
    advance_ = order.advance(shape_);
    here_.lines = coming_.lines = 0;
    far_.lines = lines_of(far_.tokens);
    near_.lines = lines_of(near_.tokens);
  }

  /// Steps to the next line, or to the first, and returns its rows, [groups, keys]; if it is the
  /// last, there may be fewer keys than others have.
  ///
  /// \param run  (group, first) -> the longest run of rows from key `first` on
  template <class Runs>
  const Storage* const* next(const Runs& run) {
    if (here_.lines > 0) {
      for (Index i = 0; i < shape_.pairs(); ++i) here_.rows[i] += here_.strides[i];
    } else if (coming_.lines > 0) {
      std::swap(here_, coming_);
      coming_.lines = 0;
    } else {
      find(here_, run, 0);
    }
    --here_.lines;
    rest_ -= shape_.keys;
    order_ = order_.later(1, shape_);
    const asked far = ask_ahead(run, far_, !one_run, [](const Storage* row) { prefetch_far(row); });
    const asked near = ask_ahead(run, near_, false, [](const Storage* row) { prefetch(row); });
    // Less than a row if the next one follows it.
    const bool side_by_side = here_.token_bytes == row_size_ * size;
    const Index bytes_near = side_by_side ? std::min(bytes_near_, near.offset) : near.offset;
    if constexpr (one_run)
      ahead_ = {far.offset, bytes_near};
    else
      ahead_ = {far.rows, far.offset, bytes_near};
    return here_.rows;
  }

  /// Where kernels find what they are to ask for while they read these rows.
  const Ahead& ahead() const { return ahead_; }

 private:
  // Rows of a line, and for how many lines their runs go on.
  struct line_run {
    line_run(Index pairs, scratch& memory)
        : rows(memory.take<const Storage*>(pairs)), strides(memory.take<Index>(pairs)) {}

    const Storage** rows;  // [groups, keys]
    Index* strides;        // from each row to that of the next line
    Index lines = 0;
    Index token_bytes = 0;  // from the first row to that of the next token
  };

  // How far ahead memory is asked for. Lines are known from the start: divisions take long.
  struct step_ahead {
    Index tokens;     // of a stream
    Index lines = 0;  // that these take
  };

  // Tokens of a stream that so many bytes, or numbers, of all groups are.
  Index tokens_in(Index count, Index of_row) const {
    return (count - 1) / (shape_.groups * of_row) + 1;
  }

  // Lines that so many tokens of a stream take.
  Index lines_of(Index tokens) const { return (tokens - 1) / advance_ + 1; }

  // Finds the rows of the line so many lines from here.
  template <class Runs>
  void find(line_run& found, const Runs& run, Index lines) const {
    Index tokens = std::numeric_limits<Index>::max();
    const Index count = std::min(rest_ - lines * shape_.keys, shape_.keys);
    for_each_row(run, order_.later(lines, shape_), count,
                 [&](Index i, const Storage* row, Index stride, Index rest) {
                   if (i == 0) found.token_bytes = stride * size;
                   found.rows[i] = row;
                   found.strides[i] = stride * advance_;
                   tokens = std::min(tokens, rest);
                 });
    found.lines = lines_of(tokens);
    // Kernels that take whole lines ask for memory behind keys that are not there, too.
    for (Index g = 0; count < shape_.keys && g < shape_.groups; ++g)
      std::fill_n(found.rows + g * shape_.keys + count, shape_.keys - count,
                  found.rows[g * shape_.keys]);
  }

  // Calls f(i, row, stride, rest) for each row of the first line of an order, which has `count`
  // keys: the rest are the tokens of its run from it on. A stream's keys are mostly of one run,
  // which is found once.
  template <class Runs, class F>
  void for_each_row(const Runs& run, const line_order& order, Index count, const F& f) const {
    for (Index g = 0; g < shape_.groups; ++g)
      for (Index stream = 0; stream < streams; ++stream) {
        decltype(run(g, order.first)) found{};
        Index offset = 0;
        for (Index j = stream; j < count; j += streams) {
          if (offset >= found.tokens) {
            found = run(g, order.position(j));
            offset = 0;
          }
          f(g * shape_.keys + j, found.rows + offset * found.stride, found.stride,
            found.tokens - offset);
          offset += order.next;
        }
      }
  }

  // What kernels ask for while they read a line: so many bytes behind each of these rows.
  struct asked {
    const Storage* const* rows;
    Index offset;
  };

  // Where the line a step ahead is, if the runs at hand go on so long, or if kernels may ask
  // `in_coming` runs. Else asks for it, in this walk or in that to come, and kernels need not.
  template <class Runs, class Ask>
  asked ask_ahead(const Runs& run, const step_ahead& step, bool in_coming, const Ask& ask) {
    const bool leaves = step.lines * shape_.keys > rest_;
    if (!leaves && step.lines <= here_.lines) return {here_.rows, step.tokens * here_.token_bytes};
    const auto ask_for = [&](const Storage* row) {
      for (Index d = 0; d < row_size_; d += Index(64 / sizeof(Storage))) ask(row + d);
    };
    const auto ask_for_line = [&](const line_order& order, Index groups) {
      for_each_row([&](Index g, Index first) { return run(g + groups, first); }, order, shape_.keys,
                   [&](Index, const Storage* row, Index, Index) { ask_for(row); });
    };
    if (leaves) {
      const Index behind = step.lines - 1 - shape_.line_of(rest_ + shape_.keys - 1);
      if (behind >= 0 && (behind + 1) * shape_.keys <= after_.count)
        ask_for_line(after_.order.later(behind, shape_), after_.groups);
      return {here_.rows, 0};
    }
    if (coming_.lines == 0) find(coming_, run, here_.lines);
    const Index behind = step.lines - 1 - here_.lines;
    if (behind >= coming_.lines)
      ask_for_line(order_.later(step.lines - 1, shape_), 0);
    else if (in_coming)
      return {coming_.rows, behind * coming_.strides[0] * size};
    else
      for (Index i = 0; i < shape_.pairs(); ++i)
        ask_for(coming_.rows[i] + behind * coming_.strides[i]);
    return {here_.rows, 0};
  }

  static constexpr Index size = sizeof(Storage);

  line_shape shape_;
  Index row_size_;
  Index bytes_near_;
  step_ahead far_;
  step_ahead near_;
  line_order order_{};
  walk_to_come after_{};
  Index rest_ = 0;     // keys of each group after this line
  Index advance_ = 1;  // tokens of a stream from line to line
  line_run here_;
  line_run coming_;
  Ahead ahead_{};
};

}  // namespace headroom::inline HEADROOM_ISA::detail
