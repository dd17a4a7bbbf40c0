// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/packet.hpp>

namespace headroom::inline HEADROOM_ISA::detail {

/// Stored rows that are read soon. Their cache lines are asked for one after another in the course
/// of other work, so that memory does not rest while a product is computed. The lines of a whole
/// tile at once would be more than a core can have under way.
class rows_to_come {
 public:
  /// None.
  rows_to_come() = default;

  /// \param size  numbers of a row, as stored
  template <class Stored>
  rows_to_come(const Stored* first, Index stride, Index count, Index size)
      : row_(reinterpret_cast<const char*>(first)),
        stride_(stride * static_cast<Index>(sizeof(Stored))),
        bytes_(size * static_cast<Index>(sizeof(Stored))),
        rows_(count) {}

  /// All are to be asked for in so many steps, at least 1.
  void spread(Index steps) {
    const Index lines = (bytes_ + line - 1) / line * rows_;
    lines_a_step_ = (lines + steps - 1) / steps;
  }

  /// One step: asks for some lines.
  void ask() {
    step([](const char* address) { prefetch(address); });
  }

  /// One step: calls ask_for with an address in each of its lines.
  template <class AskFor>
  void step(const AskFor& ask_for) {
    for (Index i = 0; i < lines_a_step_ && rows_ > 0; ++i) {
      ask_for(row_ + begin_);
      begin_ += line;
      if (begin_ < bytes_) continue;
      begin_ = 0;
      row_ += stride_;
      --rows_;
    }
  }

 private:
  static constexpr Index line = 64;

  const char* row_ = nullptr;
  Index stride_ = 0;
  Index bytes_ = 0;
  Index rows_ = 0;   // left
  Index begin_ = 0;  // of the next line in its row
  Index lines_a_step_ = 0;
};

}  // namespace headroom::inline HEADROOM_ISA::detail
