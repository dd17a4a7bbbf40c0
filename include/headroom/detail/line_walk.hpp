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

  /// Key j, of as many as there are; those of the next line are `advance` further.
  Index position(Index j) const { return first + j % streams * distance + j / streams * next; }
  Index advance(const line_shape& shape) const { return shape.keys / streams * next; }
};

/// Walks stored rows line by line: keys, or values. Kernels ask for memory that follows a row;
/// where runs are about to end, the walk asks for the rows that come as much later in their stead.
template <class Storage>
class line_walk {
 public:
  /// \param row_size  Storage elements of a row
  line_walk(const line_shape& shape, Index row_size, scratch& memory)
      : shape_(shape),
        row_size_(row_size),
        rows_(memory.take<const Storage*>(shape.pairs())),
        strides_(memory.take<Index>(shape.pairs())) {}

  /// Goes to line 0 of an order of `count` keys.
  void start(const line_order& order, Index count) {
    order_ = order;
    rest_ = count;
    lines_ = 0;
    const Index advance = order.advance(shape_);
    lines_far_ahead_ = (tokens_in(bytes_far_ahead) - 1) / advance + 1;
    lines_ahead_ = (tokens_in(bytes_ahead) - 1) / advance + 1;
  }

  /// Where the memory lies that is to be asked for ahead of a row.
  const read_ahead& ahead() const { return ahead_; }

  /// Steps to the next line, or to the first, and returns its rows, [groups, keys]; if it is the
  /// last, there may be fewer keys than others have.
  ///
  /// \param run  (group, first) -> the longest run of rows from key `first` on
  template <class Runs>
  const Storage* const* next(const Runs& run) {
    const Index advance = order_.advance(shape_);
    if (lines_ > 0) {
      for (Index i = 0; i < shape_.pairs(); ++i) rows_[i] += strides_[i];
    } else {
      find(run, std::min(rest_, shape_.keys), advance);
    }
    --lines_;
    rest_ -= shape_.keys;
    order_.first += advance;
    ask_ahead(run, lines_far_ahead_, [](const Storage* row) { prefetch_far(row); });
    ask_ahead(run, lines_ahead_, [](const Storage* row) { prefetch(row); });
    return rows_;
  }

 private:
  // Tokens of a stream, each of all groups, that hold so many bytes.
  Index tokens_in(Index bytes) const {
    const Index token = shape_.groups * row_size_ * static_cast<Index>(sizeof(Storage));
    return (bytes - 1) / token + 1;
  }

  // Finds the rows of the line at hand, and for how many lines their runs go on.
  template <class Runs>
  void find(const Runs& run, Index count, Index advance) {
    lines_ = std::numeric_limits<Index>::max();
    for (Index g = 0; g < shape_.groups; ++g)
      for (Index j = 0; j < count; ++j) {
        const auto found = run(g, order_.position(j));
        rows_[g * shape_.keys + j] = found.rows;
        strides_[g * shape_.keys + j] = found.stride * advance;
        lines_ = std::min(lines_, (found.tokens - 1) / advance + 1);
      }
    const Index stride = strides_[0] / advance * static_cast<Index>(sizeof(Storage));
    ahead_ = {tokens_in(bytes_far_ahead) * stride, tokens_in(bytes_ahead) * stride};
  }

  // Asks for the rows so many lines ahead, if the runs at hand end before.
  template <class Runs, class Ask>
  void ask_ahead(const Runs& run, Index lines, const Ask& ask) const {
    if (lines <= lines_ || lines * shape_.keys > rest_) return;
    const Index distance = (lines - 1) * order_.advance(shape_);
    for (Index g = 0; g < shape_.groups; ++g)
      for (Index j = 0; j < shape_.keys; ++j) {
        const Storage* const row = run(g, order_.position(j) + distance).rows;
        for (Index i = 0; i < row_size_; i += Index(64 / sizeof(Storage))) ask(row + i);
      }
  }

  line_shape shape_;
  Index row_size_;
  line_order order_{};
  Index rest_ = 0;   // keys of each group from this line on
  Index lines_ = 0;  // for which the rows at hand only move on
  Index lines_far_ahead_ = 0;
  Index lines_ahead_ = 0;
  read_ahead ahead_;
  const Storage** rows_;  // [groups, keys]
  Index* strides_;        // from each row to that of the next line
};

}  // namespace headroom::inline HEADROOM_ISA::detail
