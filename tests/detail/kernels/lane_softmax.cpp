// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: scores become weights as softmax_state::add_scores makes them, row by row, for fewer rows
// than lanes: maxima and sums move on, and factor rescales what was added up before.
#include <headroom/detail/kernels/lane_softmax.hpp>
#include <headroom/softmax_state.hpp>

#include "support/catch.hpp"
#include "support/random.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;
using hr::detail::lanes;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

// Scores in three tiles of `keys`; some are hidden.
void check(Index width, Index keys, double deviation, double hidden) {
  INFO(width << " rows, " << keys << " keys");
  random_source random(43);
  const auto n = static_cast<std::size_t>(width);
  hr::detail::lane_softmax softmax(width);
  std::vector<double> max(n, -infinity), sum(n, 0);
  const hr::softmax_state<double> exact{width, 0, max.data(), sum.data(), nullptr};
  for (int tile = 0; tile < 3; ++tile) {
    std::vector<float> scores = random.numbers(keys * width, deviation);
    for (float& score : scores)
      if (random.chance(hidden)) score = -infinity;
    const std::vector<float> before = scores;
    scores.resize(scores.size() + static_cast<std::size_t>(lanes));
    std::vector<float> old_max;
    for (Index r = 0; r < width; ++r) old_max.push_back(softmax.max(r));
    const bool moved = softmax.weigh(scores.data(), keys);
    for (Index r = 0; r < width; ++r) {
      const auto at = static_cast<std::size_t>(r);
      std::vector<double> row;
      for (Index j = 0; j < keys; ++j)
        row.push_back(before[static_cast<std::size_t>(j * width + r)]);
      exact.add_scores(r, row.data(), keys);
      REQUIRE(double(softmax.max(r)) == max[at]);
      // Each weight errs by the exponential and by the rounding of score - max, which is scaled.
      const double error = 4e-7 + 2e-7 * 8 * deviation;
      for (Index j = 0; j < keys; ++j) {
        const double want = row[static_cast<std::size_t>(j)];
        const double got = scores[static_cast<std::size_t>(j * width + r)];
        REQUIRE(std::abs(got - want) <= error * want + 1e-37);
        if (before[static_cast<std::size_t>(j * width + r)] == -infinity) REQUIRE(got == 0);
      }
      REQUIRE(std::abs(softmax.sum(r) - sum[at]) <= (error + 1e-7 * double(3 * keys)) * sum[at]);
      if (!moved) REQUIRE(old_max[at] == softmax.max(r));
      if (moved && old_max[at] != -infinity) {
        const double want = std::exp(double(old_max[at]) - max[at]);
        REQUIRE(std::abs(softmax.factor(r) - want) <= error * want + 1e-37);
      }
    }
  }
}

}  // namespace

TEST_CASE("weights, sums and maxima are those of a running softmax") {
  for (Index width = 1; width <= lanes; width *= 2)
    for (const Index keys : {1, 2, 3, 32, 33})
      for (const double hidden : {0., 0.3, 0.95}) {
        check(width, keys, 1, hidden);
        check(width, keys, 20, hidden);
      }
}

TEST_CASE("a row that sees nothing stays empty") {
  hr::detail::lane_softmax softmax(1);
  std::vector<float> scores(static_cast<std::size_t>(3 + lanes), -infinity);
  CHECK(!softmax.weigh(scores.data(), 3));
  CHECK((softmax.max(0) == -infinity && softmax.sum(0) == 0 && scores[0] == 0));
}

TEST_CASE("a score that is not a number makes its row so, and no other") {
  const Index width = lanes;
  for (const float odd : {std::numeric_limits<float>::quiet_NaN(), infinity}) {
    hr::detail::lane_softmax softmax(width);
    for (int tile = 0; tile < 3; ++tile) {
      std::vector<float> scores(static_cast<std::size_t>(5 * width + lanes), 0.5f + float(tile));
      if (tile == 0) scores[static_cast<std::size_t>(3 * width - 1)] = odd;
      softmax.weigh(scores.data(), 5);
    }
    CHECK(std::isnan(softmax.sum(width - 1)));
    for (Index r = 0; r + 1 < width; ++r)
      CHECK(std::abs(softmax.sum(r) - 5 * (1 + std::exp(-1.) + std::exp(-2.))) < 1e-5);
  }
}
