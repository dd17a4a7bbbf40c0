// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/line_shape.hpp>
#include <headroom/detail/memory.hpp>
#include <headroom/detail/packet.hpp>
#include <headroom/detail/prefetch.hpp>
#include <headroom/detail/scratch.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <span>
#include <utility>

namespace headroom::inline HEADROOM_ISA::detail {

/// Walks stored rows, keys or values, line by line, and tells kernels what memory to ask for: near
/// ahead in the run at hand, far ahead in it or in the next. Where the run at hand is about to end,
/// the walk itself asks for the first rows of the next.
///
/// \tparam one_run  all rows of a group are of one run
template <class Storage, bool one_run = false>
class line_walk {
 public:
  /// \param row_dim   numbers of a row
  /// \param row_size  the same in Storage elements
  /// \param distance  how far ahead of a stream memory is asked for
  line_walk(const line_shape& shape, Index row_dim, Index row_size, const read_ahead& distance,
            scratch& memory)
      : shape_(shape),
        row_size_(row_size),
        bytes_near_(distance.near),
        far_(of_tokens(std::min(tokens_in(distance.far, row_size * size),
                                tokens_in(numbers_far_ahead, row_dim)))),
        near_(of_tokens(tokens_in(distance.near, row_size * size))),
        here_(shape.pairs(), memory),
        coming_(shape.pairs(), memory) {}

  /// Goes to line 0 of these keys of the groups at hand.
  ///
  /// \param after  what most likely comes after them, through the same runs, in order: memory does
  ///               not rest in between. It is referred to until the last line.
  void start(const line_keys& keys, std::span<const line_keys> after = {}) {
    order_ = keys.order;
    rest_ = keys.count;
    after_ = after;
    here_.length.lines = coming_.length.lines = 0;
  }

  /// Steps to the next line, or to the first, and returns its rows, [groups, keys]; if it is the
  /// last, there may be fewer keys than others have.
  ///
  /// \param run  (group, first) -> the longest run of rows from key `first` on
  template <class Runs>
  const Storage* const* next(const Runs& run) {
    if (here_.length.lines > 0) {
      for (Index i = 0; i < shape_.pairs(); ++i) here_.rows[i] += here_.strides[i];
    } else if (coming_.length.lines > 0) {
      std::swap(here_, coming_);
      coming_.length.lines = 0;
    } else {
      find(here_, run, 0);
    }
    --here_.length.lines;
    rest_ -= shape_.keys;
    order_ = order_.later(1, shape_);
    const asked far = ask_ahead(run, far_, true);
    if (row_size_ * size % Index(alignment) != 0) ask_for_ends(far);
    const asked near = ask_ahead(run, near_, false);
    // Less than a row if the next one follows it.
    const bool side_by_side = here_.length.token_bytes == row_size_ * size;
    const Index bytes_near =
        side_by_side ? std::min(bytes_near_ * order_.next, near.offset) : near.offset;
    ahead_ = {far.rows, far.offset, bytes_near};
    return here_.rows;
  }

  /// Where kernels find what they are to ask for while they read these rows.
  const paged_read_ahead<Storage>& ahead() const { return ahead_; }

 private:
  // For how many lines runs go on, and how far it is from the first row to that of the next token.
  struct run_length {
    Index lines = 0;
    Index token_bytes = 0;
  };

  // Rows of a line, and where those of the next are.
  struct line_run {
    line_run(Index pairs, scratch& memory)
        : rows(memory.take<const Storage*>(pairs)), strides(memory.take<Index>(pairs)) {}

    const Storage** rows;  // [groups, keys]
    Index* strides;        // from each row to that of the next line
    run_length length{};
  };

  // How far ahead memory is asked for: so many keys of each stream, and the lines these take.
  struct step_ahead {
    Index tokens;
    Index lines;
  };

  step_ahead of_tokens(Index tokens) const {
    const Index of_line = shape_.keys / streams;
    return {tokens, (tokens + of_line - 1) / of_line};
  }

  // Tokens of a stream that so many bytes, or numbers, of all groups are.
  Index tokens_in(Index count, Index of_row) const {
    return (count + shape_.groups * of_row - 1) / (shape_.groups * of_row);
  }

  // Finds the rows of the line so many lines from here.
  template <class Runs>
  void find(line_run& found, const Runs& run, Index lines) const {
    found.length =
        found_length(run, shape_, order_.later(lines, shape_),
                     std::min(rest_ - lines * shape_.keys, shape_.keys), found.rows, found.strides);
  }

  // What is seldom to do is out of line, and told by value: what a walk knows can then stay in
  // registers from line to line.

  // Finds the rows of the first line of an order, which has `count` keys.
  template <class Runs>
  HEADROOM_NEVER_INLINE static run_length found_length(const Runs run, const line_shape shape,
                                                       const line_order order, Index count,
                                                       const Storage** rows, Index* strides) {
    const Index advance = order.advance(shape);
    if (!one_run && count == shape.keys)
      if (const run_length found = whole_runs(run, shape, order, rows, strides); found.lines > 0)
        return found;
    Index tokens = std::numeric_limits<Index>::max(), token_stride = 0;
    for_each_row(run, shape, order, count,
                 [&](Index i, const Storage* row, Index stride, Index rest) {
                   if (i == 0) token_stride = stride;
                   rows[i] = row;
                   strides[i] = stride * advance;
                   tokens = std::min(tokens, rest);
                 });
    // Kernels that take whole lines ask for memory behind keys that are not there, too.
    for (Index g = 0; count < shape.keys && g < shape.groups; ++g)
      std::fill_n(rows + g * shape.keys + count, shape.keys - count, rows[g * shape.keys]);
    return {(tokens - 1) / advance + 1, token_stride * size};
  }

  // The same of a whole line, in less time, if what it has of each stream is of one run; else
  // there are no lines.
  template <class Runs>
  static run_length whole_runs(const Runs& run, const line_shape& shape, const line_order& order,
                               const Storage** rows, Index* strides) {
    const Index advance = order.advance(shape), last = advance - order.next;
    Index tokens = std::numeric_limits<Index>::max(), token_stride = 0;
    for (Index g = 0; g < shape.groups; ++g) {
      // Of each stream: compilers then write those of all streams at once.
      std::array<const Storage*, streams> row;
      std::array<Index, streams> to_next, to_next_line;
      for (std::size_t stream = 0; stream < streams; ++stream) {
        const auto found = run(g, order.position(static_cast<Index>(stream)));
        tokens = std::min(tokens, found.tokens - last);
        if (g == 0 && stream == 0) token_stride = found.stride;
        row[stream] = found.rows;
        to_next[stream] = found.stride * order.next;
        to_next_line[stream] = found.stride * advance;
      }
      for (Index j = g * shape.keys; j < (g + 1) * shape.keys; j += streams) {
        std::copy(row.begin(), row.end(), rows + j);
        std::copy(to_next_line.begin(), to_next_line.end(), strides + j);
        for (std::size_t stream = 0; stream < streams; ++stream) row[stream] += to_next[stream];
      }
    }
    return {tokens > 0 ? (tokens - 1) / advance + 1 : 0, token_stride * size};
  }

  // Asks for the rows of a line of groups so many further.
  template <class Runs>
  HEADROOM_NEVER_INLINE static void ask_for_line(const Runs run, const line_shape shape,
                                                 const line_order order, Index groups,
                                                 Index row_size, bool far) {
    for_each_row([&](Index g, Index first) { return run(g + groups, first); }, shape, order,
                 shape.keys,
                 [&](Index, const Storage* row, Index, Index) { ask_for_row(row, row_size, far); });
  }

  static void ask_for_row(const Storage* row, Index row_size, bool far) {
    constexpr Index line = elements_of_line<Storage>;
    if (far)
      for (Index d = 0; d < row_size; d += line) prefetch_far(row + d);
    else
      for (Index d = 0; d < row_size; d += line) prefetch(row + d);
  }

  // Calls f(i, row, stride, rest) for each row of the first line of an order, which has `count`
  // keys: the rest are the tokens of its run from it on. A stream's keys are mostly of one run,
  // which is found once.
  template <class Runs, class F>
  static void for_each_row(const Runs& run, const line_shape& shape, const line_order& order,
                           Index count, const F& f) {
    for (Index g = 0; g < shape.groups; ++g)
      for (Index stream = 0; stream < streams; ++stream) {
        decltype(run(g, order.first)) found{};
        Index offset = 0;
        for (Index j = stream; j < count; j += streams) {
          if (offset >= found.tokens) {
            found = run(g, order.position(j));
            offset = 0;
          }
          f(g * shape.keys + j, found.rows + offset * found.stride, found.stride,
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

  // Asks for the end of the last row of each stream. Kernels ask for a row's whole cache lines, and
  // what is behind these lies where the next row begins, unless the row ends with a line: then
  // nobody asks for that. Of 128 bytes and a scale it is each 16th row, the last in pages of 16.
  void ask_for_ends(const asked& far) const {
    for (Index i = shape_.pairs() - streams; i < shape_.pairs(); ++i)
      prefetch_far(reinterpret_cast<const char*>(far.rows[i] + row_size_ - 1) + far.offset);
  }

  // Where the line a step ahead is, if the runs at hand go on so long, or of what is far, those
  // that come. Else asks for it, in this walk or in one to come, and kernels need not.
  template <class Runs>
  asked ask_ahead(const Runs& run, const step_ahead& step, bool far) {
    const bool leaves = step.lines * shape_.keys > rest_;
    if (!leaves && (one_run || step.lines <= here_.length.lines))
      return {here_.rows, step.tokens * order_.next * here_.length.token_bytes};
    if (leaves) {
      Index behind = step.lines - 1 - shape_.line_of(rest_ + shape_.keys - 1);
      for (const line_keys& keys : after_) {
        if (behind < 0) break;
        if ((behind + 1) * shape_.keys <= keys.count)
          ask_for_line(run, shape_, keys.order.later(behind, shape_), keys.groups, row_size_, far);
        behind -= shape_.line_of(keys.count + shape_.keys - 1);
      }
    } else if constexpr (!one_run) {
      if (coming_.length.lines == 0) find(coming_, run, here_.length.lines);
      const Index behind = step.lines - 1 - here_.length.lines;
      if (behind >= coming_.length.lines)
        ask_for_line(run, shape_, order_.later(step.lines - 1, shape_), 0, row_size_, far);
      else if (far)
        return {coming_.rows, behind * coming_.strides[0] * size};
      else
        for (Index i = 0; i < shape_.pairs(); ++i)
          ask_for_row(coming_.rows[i] + behind * coming_.strides[i], row_size_, far);
    }
    return {here_.rows, 0};
  }

  static constexpr Index size = sizeof(Storage);

  line_shape shape_;
  Index row_size_;
  Index bytes_near_;
  step_ahead far_;
  step_ahead near_;
  line_order order_{};
  std::span<const line_keys> after_;
  Index rest_ = 0;  // keys of each group after this line
  line_run here_;
  line_run coming_;
  paged_read_ahead<Storage> ahead_{};
};

}  // namespace headroom::inline HEADROOM_ISA::detail
