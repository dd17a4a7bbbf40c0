// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/broadcast.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/kernels/round_to_int16.hpp>
#include <headroom/detail/line_shape.hpp>
#include <headroom/detail/operand.hpp>
#include <headroom/detail/packet.hpp>
#include <headroom/detail/scratch.hpp>

#include <algorithm>

namespace headroom::inline HEADROOM_ISA::detail {

/// Few query rows of some groups as products with keys take them: scaled, padded with rows of
/// zeros, rounded to what products multiply.
template <class Operand>
class dot_queries {
 public:
  using Number = number_of<Operand>;

  /// \param rows  of the first group; those of the others are the same rows of theirs
  template <class Call>
  dot_queries(const Call& call, const stacked_rows& rows, const line_shape& shape, scratch& memory)
      : shape_(shape),
        scale_(split_scale::of<Operand>(call.scale)),
        numbers_(memory.take<Number>(shape.groups * shape.rows * call.q.dim())),
        units_(memory.take<float>(is_integer<Operand> ? shape.groups * lanes : 0)) {
    for (Index g = 0; g < shape.groups; ++g) take(call, rows.of_group(g), g);
  }

  /// [groups, rows, dim]
  const Number* numbers() const { return numbers_; }

  /// What scores of all rows are to be multiplied by, more than 0.
  float unit() const { return is_integer<Operand> ? 1 : scale_.of_scores; }

  /// Multiplies scores [keys, rows] of a group by the units of its rows; they fill packets.
  void multiply_by_units(Index g, float* scores, Index keys) const requires(is_integer<Operand>) {
    for (Index i = 0; i < keys * shape_.rows; i += lanes)
      store(scores + i, multiply(load(scores + i), load(units_ + g * lanes)));
  }

 private:
  template <class Call>
  void take(const Call& call, const stacked_rows& rows, Index g) {
    const Index dim = call.q.dim();
    Number* const numbers = numbers_ + g * shape_.rows * dim;
    std::fill(numbers + rows.count * dim, numbers + shape_.rows * dim, Number(0));
    if constexpr (is_integer<Operand>) {
      scratch memory;
      float* const stacked = memory.take<float>(rows.count * dim);
      stack_queries(call.q, rows, scale_.of_queries, stacked);
      std::fill_n(units_ + g * lanes, lanes, 0.f);
      for (Index r = 0; r < rows.count; ++r) {
        const float unit = scale_.of_scores * round_row(stacked + r * dim, dim, numbers + r * dim);
        for (Index i = r; i < lanes; i += shape_.rows) units_[g * lanes + i] = unit;
      }
    } else {
      stack_queries(call.q, rows, scale_.of_queries, numbers);
    }
  }

  line_shape shape_;
  split_scale scale_;
  Number* numbers_;
  float* units_;  // [groups, lanes] of whole numbers: those of the rows, again and again
};

}  // namespace headroom::inline HEADROOM_ISA::detail
