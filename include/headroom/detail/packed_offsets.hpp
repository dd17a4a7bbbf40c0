// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>

#include <concepts>
#include <ranges>

// Things of many that are packed one after another, such as the tokens of all sequences of a batch,
// and the offsets that say where those of each begin.

namespace headroom::inline HEADROOM_ISA::detail {

// Integers in memory, one after another: std::vector<int>, std::span<const Index>, an array.
template <class T>
concept offset_range = std::ranges::contiguous_range<const T> &&
    std::ranges::sized_range<const T> && std::integral<std::ranges::range_value_t<const T>>;

template <class Range>
Index length(const Range& range) {
  return static_cast<Index>(std::ranges::size(range));
}

template <class Range>
const auto& at(const Range& range, Index i) {
  return std::ranges::data(range)[i];
}

// Where each of `parts` parts of `total` things begins, and where the last ends.
template <offset_range Offsets>
void check_offsets(const char* who, const char* name, const Offsets& offsets, Index parts,
                   Index total, const char* total_name) {
  require(length(offsets) == parts + 1, who, ": ", length(offsets), " ", name,
          " were given, expected ", parts + 1, ", where each of ", parts,
          " begins and the last ends");
  const auto value = [&](Index i) { return static_cast<Index>(at(offsets, i)); };
  require(value(0) == 0, who, ": ", name, "[0] = ", value(0), ", expected 0");
  for (Index i = 0; i < parts; ++i)
    require(value(i) <= value(i + 1), who, ": ", name, " not monotone: ", name, "[", i + 1,
            "] = ", value(i + 1), ", expected at least ", name, "[", i, "] = ", value(i));
  require(value(parts) == total, who, ": ", name, "[", parts, "] = ", value(parts), ", expected ",
          total_name, " = ", total);
}

// Where those of the i-th begin, or where the last end.
template <offset_range Offsets>
Index offset(const Offsets& offsets, Index i) {
  return static_cast<Index>(at(offsets, i));
}

}  // namespace headroom::inline HEADROOM_ISA::detail
