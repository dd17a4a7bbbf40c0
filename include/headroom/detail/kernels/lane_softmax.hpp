// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/line_shape.hpp>
#include <headroom/detail/packet.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/softmax_state.hpp>

#include <algorithm>
#include <limits>
#include <numbers>

namespace headroom::inline HEADROOM_ISA::detail {

/// The running softmax of few rows of some groups, over scores in lines: each number of a line has
/// a lane, and each row has as many lanes as a line has keys.
///
/// They share the row's maximum, but each has a sum of its own until the end. The maximum moves
/// only where a score exceeds it by much, for any shift gives the same softmax: while it stays
/// there is no step across lanes, and nothing to rescale.
class lane_softmax {
 public:
  /// By so much a score may exceed what is kept as its row's maximum: weights are at most e^8.
  static constexpr float most_excess = 8;

  lane_softmax(const line_shape& shape, scratch& memory)
      : shape_(shape),
        max_(memory.take<float>(shape.size())),
        sum_(memory.take<float>(shape.size())),
        new_max_(memory.take<float>(shape.size())),
        factor_(memory.take<float>(shape.size())) {
    // At least the lowest float: (-inf) - (-inf) would be NaN.
    std::fill(max_, max_ + shape.size(), std::numeric_limits<float>::lowest());
    std::fill(sum_, sum_ + shape.size(), 0.f);
    std::fill(factor_, factor_ + shape.size(), 1.f);
  }

  /// Scores [lines, shape] become weights e^(unit score - max). Scores of minus infinity get weight
  /// 0. Returns whether a maximum moved: then factor(g, r) is what the values added up before are
  /// to be multiplied by, 1 for rows whose maximum did not.
  ///
  /// \param unit  of the scores, more than 0; maxima are not in it
  bool weigh(float* scores, Index lines, float unit = 1) {
    const Index size = shape_.size();
    const packet units = broadcast(unit);
    bool moved = false;
    for (Index i = 0; i < size; i += lanes) {
      packet largest = broadcast(softmax_state<float>::minus_infinity);
      for (Index l = 0; l < lines; ++l) largest = maximum(load(scores + l * size + i), largest);
      const packet old_max = load(max_ + i), new_max = maximum(multiply(largest, units), old_max);
      moved |= any_less(add(old_max, broadcast(most_excess)), new_max);
      store(new_max_ + i, new_max);
    }
    if (moved) move();

    const packet log2_e = broadcast(std::numbers::log2e_v<float>);
    for (Index i = 0; i < size; i += lanes) {
      const packet minus_max = subtract(broadcast(0.f), load(max_ + i));
      packet sum = load(sum_ + i);
      for (Index l = 0; l < lines; ++l) {
        float* const score = scores + l * size + i;
        const packet difference = multiply_add(load(score), units, minus_max);
        const packet weight = power_of_2(multiply(difference, log2_e));
        store(score, weight);
        sum = add(sum, weight);
      }
      store(sum_ + i, sum);
    }
    return moved;
  }

  float factor(Index g, Index r) const { return factor_[shape_.at(g, 0, r)]; }

  /// Of row r of group g so far: what is kept as its maximum, and the sum of weights.
  float max(Index g, Index r) const {
    return sum(g, r) == 0.f ? softmax_state<float>::minus_infinity : max_[shape_.at(g, 0, r)];
  }
  float sum(Index g, Index r) const {
    float sum = 0;
    for (Index j = 0; j < shape_.keys; ++j) sum += sum_[shape_.at(g, j, r)];
    return sum;
  }

 private:
  // Takes the largest of a row's new maxima, one for each lane, for its maximum, if it exceeds that
  // by much. Other rows keep theirs: their bits do not depend on what this one sees.
  void move() {
    for (Index g = 0; g < shape_.groups; ++g)
      for (Index r = 0; r < shape_.rows; ++r) {
        const float kept = max_[shape_.at(g, 0, r)];
        float largest = kept;
        for (Index j = 0; j < shape_.keys; ++j)
          largest = std::max(largest, new_max_[shape_.at(g, j, r)]);
        const float max = kept + most_excess < largest ? largest : kept;
        for (Index j = 0; j < shape_.keys; ++j) new_max_[shape_.at(g, j, r)] = max;
      }
    const packet log2_e = broadcast(std::numbers::log2e_v<float>);
    for (Index i = 0; i < shape_.size(); i += lanes) {
      const packet max = load(new_max_ + i);
      const packet factor = power_of_2(multiply(subtract(load(max_ + i), max), log2_e));
      store(factor_ + i, factor);
      store(sum_ + i, multiply(load(sum_ + i), factor));
      store(max_ + i, max);
    }
  }

  line_shape shape_;
  float* max_;      // [shape], the same in all lanes of a row
  float* sum_;      // [shape], of each lane
  float* new_max_;  // [shape], of the scores at hand
  float* factor_;   // [shape], of the last move
};

}  // namespace headroom::inline HEADROOM_ISA::detail
