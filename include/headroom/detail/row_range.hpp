// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/packet.hpp>
#include <headroom/detail/packet_stored.hpp>

#include <algorithm>

namespace headroom::inline HEADROOM_ISA::detail {

/// What rounding numbers to fewer bits begins with: how far they reach.
struct row_range {
  float least;  // whatever they are, if the numbers are not finite
  float most;
  bool finite;  // no number is a NaN, an infinity, or beyond the floats

  /// Of the size that a number has at most.
  float largest() const { return std::max(most, -least); }

  /// Of no numbers, as rotary keys of width 0 are, it is that of a 0.
  template <class Number>
  static row_range of(const Number* row, Index dim) {
    const float first = dim > 0 ? static_cast<float>(row[0]) : 0.f;
    packet least = broadcast(first), most = least, poison = broadcast(0.f);
    const Index whole = dim / lanes * lanes;
    for (Index d = 0; d < whole; d += lanes) {
      const packet numbers = load(row + d);
      least = minimum(least, numbers);
      most = maximum(most, numbers);
      poison = multiply_add(numbers, broadcast(0.f), poison);
    }
    row_range range{least_of(least), largest_of(most), false};
    float poison_of_rest = 0;
    for (Index d = whole; d < dim; ++d) {
      const float number = static_cast<float>(row[d]);
      range.least = std::min(range.least, number);
      range.most = std::max(range.most, number);
      poison_of_rest += number * 0.f;
    }
    range.finite = sum_of(poison) + poison_of_rest == 0.f;
    return range;
  }
};

}  // namespace headroom::inline HEADROOM_ISA::detail
