// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>

#include <concepts>
#include <ranges>

namespace headroom::inline HEADROOM_ISA::detail {

/// Integers in memory: an array, a vector, a span.
template <class T>
concept integer_list = std::ranges::contiguous_range<const T> &&
    std::signed_integral<std::ranges::range_value_t<const T>>;

/// Which of a cache's tokens from `first` on stay, counted from there: ascending, each once.
template <integer_list List>
class kept_list {
 public:
  /// \param who   the cache
  /// \param size  its tokens
  /// \throws std::invalid_argument naming what is wrong
  kept_list(const char* who, Index first, const List& list, Index size)
      : first_(first),
        list_(std::ranges::data(list)),
        count_(static_cast<Index>(std::ranges::size(list))) {
    require(0 <= first && first <= size, who, ": keeping of the tokens from ", first,
            " on, expected 0 to size = ", size);
    for (Index i = 0; i < count_; ++i)
      require((i == 0 ? 0 : (*this)[i - 1] + 1) <= (*this)[i] && (*this)[i] < size - first, who,
              ": kept[", i, "] = ", (*this)[i], ", expected ascending, each once, and less than ",
              size - first, ", the tokens from ", first, " on");
  }

  /// Tokens that are left.
  Index end() const { return first_ + count_; }

  /// The first token whose place another takes; end() if all stay where they are.
  Index first_moved() const {
    Index i = 0;
    while (i < count_ && (*this)[i] == i) ++i;
    return first_ + i;
  }

  /// Calls move(from, to) for each token that moves, in an order in which none is overwritten
  /// before it has moved.
  template <class Move>
  void for_each_moved(const Move& move) const {
    for (Index to = first_moved(); to < end(); ++to) move(first_ + (*this)[to - first_], to);
  }

 private:
  Index operator[](Index i) const { return static_cast<Index>(list_[i]); }

  Index first_;
  const std::ranges::range_value_t<const List>* list_;
  Index count_;
};

}  // namespace headroom::inline HEADROOM_ISA::detail
