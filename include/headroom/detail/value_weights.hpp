// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/kernels/round_to_int16.hpp>
#include <headroom/detail/line_shape.hpp>
#include <headroom/detail/operand.hpp>
#include <headroom/detail/packet.hpp>
#include <headroom/detail/packet_bfloat16.hpp>
#include <headroom/detail/scratch.hpp>

#include <algorithm>
#include <type_traits>

namespace headroom::inline HEADROOM_ISA::detail {

/// Weights as the products of values take them: those of a group side by side, of as many keys as
/// are taken at a time, where lines may have fewer and then other groups.
///
/// \tparam Operand  float; or a pair of bfloat16, or of whole numbers: the rounded weight of a key
///                  beside that of the key half of those taken at a time further on
template <class Operand>
class value_weights {
  // Whole numbers are rounded later: first, factors of values may be multiplied in.
  using Arranged = std::conditional_t<is_integer<Operand>, float, Operand>;

 public:
  /// \param line     of weights
  /// \param values   what is taken at a time, a line or several
  /// \param weights  [lines, line], and a packet that may be read
  /// \param lines    at most
  /// \param keeps_residuals  of weights that are rounded to bfloat16
  value_weights(const line_shape& line, const line_shape& values, float* weights, Index lines,
                bool keeps_residuals, scratch& memory)
      : line_(line),
        values_(values),
        weights_(weights),
        arranged_(memory.take<Arranged>(
            in_place() ? 0 : lines * line.size() / depth_of<Arranged> + lanes)),
        residuals_(keeps_residuals && is_pair<Arranged>
                       ? memory.take<Arranged>(lines * line.size() / depth_of<Arranged> + lanes)
                       : nullptr),
        rounded_(memory.take<Operand>(is_integer<Operand> ? values.keys / 2 * values.rows : 0)),
        products_(memory.take<float>(is_integer<Operand> ? values.keys * values.rows : 0)),
        units_(memory.take<float>(is_integer<Operand> ? lanes : 0)) {}

  /// Takes those of the first lines, as many as are taken at a time or a multiple.
  void make(Index lines) const {
    if (in_place()) return;
    for (Index first = 0; first < lines * line_.keys; first += values_.keys)
      for (Index g = 0; g < line_.groups; ++g)
        if constexpr (is_pair<Arranged>)
          pair(g, first);
        else
          for (Index j = first; j < first + values_.keys; j += line_.keys)
            std::copy_n(weights_of(g, j), line_.keys * line_.rows,
                        arranged_ + offset(g, first) + (j - first) * line_.rows);
  }

  /// Those of a group, of the keys from `first` on, a multiple of those taken at a time, as
  /// operands; of whole numbers, until the next call.
  ///
  /// \param factors  of values, to multiply the weights of their keys by, or none: only once, but
  ///                 for whole numbers
  const Operand* operands(Index group, Index first, const float* factors = nullptr) const {
    Arranged* const weights = at(group, first);
    if constexpr (is_integer<Operand>) {
      if (factors) values_.multiply(factors, weights, products_);
      round_weights(factors ? products_ : weights, values_.keys, values_.rows, rounded_, units_);
      return rounded_;
    } else {
      if constexpr (!is_pair<Operand>)
        if (factors) values_.multiply(factors, weights, weights);
      return weights;
    }
  }

  /// What rounding took from them, to be multiplied as well; nullptr where that is left out.
  const Operand* residuals(Index group, Index first) const {
    if constexpr (is_pair<Arranged>)
      if (residuals_) return residuals_ + offset(group, first);
    return nullptr;
  }

  /// What their sums of products are to be multiplied by, for each row.
  const float* units() const { return units_; }

 private:
  bool in_place() const {
    return !is_pair<Arranged> && (line_.groups == 1 || line_.keys == values_.keys);
  }

  Arranged* at(Index group, Index first) const {
    if constexpr (!is_pair<Arranged>)
      if (in_place()) return weights_of(group, first);
    return arranged_ + offset(group, first);
  }

  // Of half of the keys, those of a line lie side by side. Their numbers fill packets, or one in
  // part, which is overwritten by those to come.
  void pair(Index g, Index first) const {
    const Index half = values_.keys / 2;
    const Index together = std::min(line_.keys, half);
    for (Index j = first; j < first + half; j += together) {
      const Index to = offset(g, first) + (j - first) * line_.rows;
      for (Index i = 0; i < together * line_.rows; i += lanes) {
        const packet near = load(weights_of(g, j) + i), far = load(weights_of(g, j + half) + i);
        store_pairs(arranged_ + to + i, near, far);
        if (residuals_) store_residuals(residuals_ + to + i, arranged_ + to + i, near, far);
      }
    }
  }

  Index offset(Index group, Index first) const {
    return (first * line_.groups + group * values_.keys) * line_.rows / depth_of<Arranged>;
  }
  float* weights_of(Index group, Index key) const {
    return weights_ + line_.line_of(key) * line_.size() + line_.at(group, line_.place_of(key), 0);
  }

  line_shape line_;
  line_shape values_;
  float* weights_;
  Arranged* arranged_;   // [lines / lines taken at a time, groups, keys / depth, rows]
  Arranged* residuals_;  // the same, or none
  Operand* rounded_;     // [keys / 2, rows]
  float* products_;      // [keys, rows], of weights and factors
  float* units_;         // a packet
};

}  // namespace headroom::inline HEADROOM_ISA::detail
