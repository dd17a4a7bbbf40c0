// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/packet.hpp>
#include <headroom/softmax_state.hpp>

#include "support/catch.hpp"
#include "support/random.hpp"

#include <cmath>
#include <limits>
#include <vector>

// What holds for every kernel of the running softmax: scores become weights, row by row, as
// softmax_state::add_scores makes them, but for a maximum that may stay as long as no score exceeds
// it by much; sums move on, and factor rescales what was added up before.

namespace headroom_tests {

/// Scores [keys, width] in three tiles; some are hidden.
///
/// \tparam Softmax  of `width` rows: weigh(scores, keys) tells whether a maximum moved; max(r),
///                  sum(r) and factor(r); most_excess of a score over max(r)
template <class Softmax>
void check_running_softmax(Eigen::Index width, Eigen::Index keys, double deviation, double hidden) {
  using Eigen::Index;
  constexpr float infinity = std::numeric_limits<float>::infinity();
  INFO(width << " rows, " << keys << " keys");
  random_source random(41);
  const auto n = static_cast<std::size_t>(width);
  Softmax softmax(width);
  std::vector<double> max(n, -infinity), sum(n, 0);
  const headroom::softmax_state<double> exact{width, 0, max.data(), sum.data(), nullptr};
  for (int tile = 0; tile < 3; ++tile) {
    std::vector<float> scores = random.numbers(keys * width, deviation);
    for (float& score : scores)
      if (random.chance(hidden)) score = -infinity;
    const std::vector<float> before = scores;
    scores.resize(scores.size() + static_cast<std::size_t>(headroom::detail::lanes));
    std::vector<float> old_max;
    for (Index r = 0; r < width; ++r) old_max.push_back(softmax.max(r));
    const bool moved = softmax.weigh(scores.data(), keys);
    for (Index r = 0; r < width; ++r) {
      const auto at = static_cast<std::size_t>(r);
      std::vector<double> row;
      for (Index j = 0; j < keys; ++j)
        row.push_back(before[static_cast<std::size_t>(j * width + r)]);
      exact.add_scores(r, row.data(), keys);
      const double kept = softmax.max(r);
      if (max[at] == -infinity) {
        REQUIRE(kept == -infinity);
        REQUIRE(softmax.sum(r) == 0);
        continue;
      }
      REQUIRE(kept <= max[at]);
      REQUIRE(kept + Softmax::most_excess >= max[at]);
      // Each weight errs by the exponential and by the rounding of score - max, which is scaled.
      const double error = 4e-7 + 2e-7 * 8 * deviation;
      for (Index j = 0; j < keys; ++j) {
        const double want = row[static_cast<std::size_t>(j)] * std::exp(max[at] - kept);
        const double got = scores[static_cast<std::size_t>(j * width + r)];
        REQUIRE(std::abs(got - want) <= error * want + 1e-37);
        if (before[static_cast<std::size_t>(j * width + r)] == -infinity) REQUIRE(got == 0);
      }
      const double all = sum[at] * std::exp(max[at] - kept);
      REQUIRE(std::abs(softmax.sum(r) - all) <= (error + 1e-7 * double(3 * keys)) * all);
      if (!moved) {
        REQUIRE(old_max[at] == softmax.max(r));
      } else if (old_max[at] != -infinity) {
        const double want = std::exp(double(old_max[at]) - kept);
        REQUIRE(std::abs(softmax.factor(r) - want) <= error * want + 1e-37);
      }
    }
  }
}

}  // namespace headroom_tests
