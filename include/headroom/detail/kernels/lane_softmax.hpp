// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/packet.hpp>
#include <headroom/softmax_state.hpp>

#include <algorithm>
#include <array>
#include <limits>
#include <numbers>

namespace headroom::inline HEADROOM_ISA::detail {

/// The running softmax of `width` rows, a power of two and at most the lanes of a packet. Numbers
/// of scores [keys, width] fall into lanes as they lie, so that each row has several lanes.
///
/// They share the row's maximum, but each has a sum of its own until the end. A maximum that stays,
/// the common case after a few keys, needs no step across lanes.
class lane_softmax {
 public:
  explicit lane_softmax(Index width) : width_(width) {
    max_.fill(std::numeric_limits<float>::lowest());
    sum_.fill(0.f);
    factor_.fill(1.f);
  }

  /// Scores [keys, width] become weights e^(score - max); there is room for one packet more. Scores
  /// of minus infinity get weight 0. Returns whether a maximum moved: then factor(r) is what the
  /// values added up before are to be multiplied by.
  bool weigh(float* scores, Index keys) {
    const Index numbers = keys * width_, end = (numbers + lanes - 1) / lanes * lanes;
    std::fill(scores + numbers, scores + end, -std::numeric_limits<float>::infinity());
    const packet old_max = load(max_.data());
    packet new_max = old_max;
    for (Index i = 0; i < end; i += lanes) new_max = maximum(load(scores + i), new_max);
    const bool moved = any_less(old_max, new_max);
    if (moved) move_to(new_max);

    const packet log2_e = broadcast(std::numbers::log2e_v<float>);
    const packet max = load(max_.data());
    packet sum = load(sum_.data());
    for (Index i = 0; i < end; i += lanes) {
      const packet distance = subtract(load(scores + i), max);
      const packet weight = exp2_of_negative(multiply(distance, log2_e));
      store(scores + i, weight);
      sum = add(sum, weight);
    }
    store(sum_.data(), sum);
    return moved;
  }

  float factor(Index r) const { return factor_[static_cast<std::size_t>(r)]; }

  /// Maximum and sum of row r so far.
  float max(Index r) const {
    return sum(r) == 0.f ? softmax_state<float>::minus_infinity : max_[static_cast<std::size_t>(r)];
  }
  float sum(Index r) const {
    float sum = 0;
    for (Index i = r; i < lanes; i += width_) sum += sum_[static_cast<std::size_t>(i)];
    return sum;
  }

 private:
  void move_to(const packet& lane_max) {
    std::array<float, lanes> largest;
    store(largest.data(), lane_max);
    for (std::size_t i = static_cast<std::size_t>(width_); i < lanes; ++i) {
      float& row = largest[i % static_cast<std::size_t>(width_)];
      row = std::max(row, largest[i]);
    }
    for (std::size_t i = static_cast<std::size_t>(width_); i < lanes; ++i)
      largest[i] = largest[i % static_cast<std::size_t>(width_)];
    const packet max = load(largest.data());
    const packet log2_e = broadcast(std::numbers::log2e_v<float>);
    const packet factor = exp2_of_negative(multiply(subtract(load(max_.data()), max), log2_e));
    store(factor_.data(), factor);
    store(sum_.data(), multiply(load(sum_.data()), factor));
    store(max_.data(), max);
  }

  Index width_;
  std::array<float, lanes> max_;     // at least the lowest float: (-inf) - (-inf) would be NaN
  std::array<float, lanes> sum_;     // of each lane
  std::array<float, lanes> factor_;  // of the last move
};

}  // namespace headroom::inline HEADROOM_ISA::detail
