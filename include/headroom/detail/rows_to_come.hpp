// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/packet.hpp>
#include <headroom/detail/prefetch.hpp>

namespace headroom::inline HEADROOM_ISA::detail {

/// Stored rows that are read soon. Their cache lines are asked for one after another in the course
/// of other work, so that memory does not rest while a product is computed. The lines of a whole
/// tile at once would be more than a core can have under way.
class rows_to_come {
 public:
  /// Rows at a constant distance.
  struct run {
    const char* first;
    Index stride;  // in bytes
    Index count;   // at least 1
  };
  /// The run of rows from `begin` on, of those before `end`.
  using find_run = run (*)(const void* rows, Index begin, Index end);

  /// None.
  rows_to_come() = default;

  /// Rows [begin, end), each of so many bytes.
  rows_to_come(const void* rows, find_run find, Index begin, Index end, Index bytes)
      : rows_(rows), find_(find), begin_(begin), end_(end), bytes_(bytes) {}

  /// All are to be asked for in so many steps, at least 1. Of several runs more at a time, since
  /// what is left of a run may be less than a step's part.
  void spread(Index steps) {
    const Index lines = (bytes_ + line - 1) / line * (end_ - begin_);
    lines_a_step_ = (lines + steps - 1) / steps;
    find_next_run();
    if (run_.count < end_ - begin_) lines_a_step_ *= 2;
  }

  /// Goes on to the next run where one has ended. Not for the middle of a product, whose sums would
  /// have to leave their registers for it.
  void find_next_run() {
    if (run_.count == 0 && begin_ < end_) run_ = find_(rows_, begin_, end_);
  }

  /// One step: asks for some lines of the run at hand.
  void ask() {
    if (lines_a_step_ > most_near_lines)
      step([](const char* address) { prefetch_far(address); });
    else
      step([](const char* address) { prefetch(address); });
  }

  /// One step: calls ask_for with an address in each of its lines.
  template <class AskFor>
  void step(const AskFor& ask_for) {
    for (Index i = 0; i < lines_a_step_ && run_.count > 0; ++i) {
      ask_for(run_.first + byte_);
      byte_ += line;
      if (byte_ < bytes_) continue;
      byte_ = 0;
      run_.first += run_.stride;
      --run_.count;
      ++begin_;
    }
  }

 private:
  static constexpr Index line = 64;

  // More at a time leave the first-level cache no place for what is read meanwhile: it has a few
  // dozen for all that is on its way. Asked for in the second-level cache, they take a quarter off
  // the time of 16 rows on a Zen 4.
  static constexpr Index most_near_lines = 8;

  const void* rows_ = nullptr;
  find_run find_ = nullptr;
  Index begin_ = 0;
  Index end_ = 0;
  Index bytes_ = 0;
  Index lines_a_step_ = 0;
  run run_{};       // from row begin_ on
  Index byte_ = 0;  // where the next line begins in that row
};

}  // namespace headroom::inline HEADROOM_ISA::detail
