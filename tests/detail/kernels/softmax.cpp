// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: the running softmax of support/softmax_laws.hpp, for rows that fill packets; in pairs of
// bfloat16 too.
#include <headroom/detail/kernels/softmax.hpp>

#include "support/catch.hpp"
#include "support/pairs.hpp"
#include "support/random.hpp"
#include "support/softmax_laws.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;
using hr::detail::lanes;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

// Rows that fill packets, with what they keep.
class columns_softmax {
 public:
  static constexpr double most_excess = 0;

  explicit columns_softmax(Index width)
      : max_(static_cast<std::size_t>(width), -infinity),
        sum_(max_.size(), 0),
        factor_(max_.size()) {}

  bool weigh(float* scores, Index keys) {
    hr::detail::weigh_scores(scores, keys, static_cast<Index>(max_.size()), max_.data(),
                             sum_.data(), factor_.data());
    return true;
  }
  float max(Index r) const { return max_[static_cast<std::size_t>(r)]; }
  float sum(Index r) const { return sum_[static_cast<std::size_t>(r)]; }
  float factor(Index r) const { return factor_[static_cast<std::size_t>(r)]; }

 private:
  std::vector<float> max_, sum_, factor_;
};

}  // namespace

TEST_CASE("weights, sums and maxima are those of a running softmax") {
  for (const Index width : {1, 2, 4, 8, 16, 32, 48, 64})
    if (width % lanes == 0)
      for (const Index keys : {1, 2, 3, 32, 33})
        for (const double hidden : {0., 0.3, 0.95}) {
          check_running_softmax<columns_softmax>(width, keys, 1, hidden);
          check_running_softmax<columns_softmax>(width, keys, 20, hidden);
        }
}

TEMPLATE_LIST_TEST_CASE("weights in pairs are those in float, rounded", "", bfloat16_pairs) {
  random_source random(42);
  for (const Index width : {lanes, 3 * lanes, 4 * lanes, 5 * lanes})
    for (const Index keys : {1, 2, 7, 32}) {
      const auto n = static_cast<std::size_t>(width);
      std::vector<float> scores = random.numbers(keys * width, 3);
      scores.resize(scores.size() + static_cast<std::size_t>(lanes));
      std::vector<float> rounded = scores;
      std::vector<float> max(n, -infinity), sum(n, 0), factor(n), max2 = max, sum2 = sum,
                                                                  factor2 = factor;
      hr::detail::weigh_scores(scores.data(), keys, width, max.data(), sum.data(), factor.data());
      hr::detail::weigh_scores<TestType>(rounded.data(), keys, width, max2.data(), sum2.data(),
                                         factor2.data());
      CHECK(max == max2);
      CHECK(sum == sum2);
      const auto* const pairs = reinterpret_cast<const TestType*>(rounded.data());
      for (Index j = 0; j < keys + keys % 2; ++j)
        for (Index r = 0; r < width; ++r) {
          const TestType& pair = pairs[j / 2 * width + r];
          const auto want = j == keys ? 0.f : scores[static_cast<std::size_t>(j * width + r)];
          REQUIRE((j % 2 == 0 ? pair.first : pair.second) == Eigen::bfloat16(want));
        }
    }
}

TEST_CASE("scores may be in a unit, and stay in it") {
  const Index keys = 7, width = 5 * lanes;
  std::vector<float> scores = random_source(5).numbers(keys * width, 3), halved = scores;
  for (float& score : halved) score *= 0.5f;
  const auto n = static_cast<std::size_t>(width);
  std::vector<float> max(n, -infinity), sum(n, 0), factor(n), max2 = max, sum2 = sum,
                                                              factor2 = factor;
  for (int step = 0; step < 2; ++step) {
    hr::detail::weigh_scores(scores.data(), keys, width, max.data(), sum.data(), factor.data());
    hr::detail::weigh_scores(halved.data(), keys, width, max2.data(), sum2.data(), factor2.data(),
                             2.f);
    CHECK(max == max2);
    CHECK(sum == sum2);
    CHECK(factor == factor2);
    REQUIRE(scores == halved);
    for (float& weight : halved) weight *= 0.5f;  // the next scores
  }
}

TEST_CASE("a row that sees nothing stays empty") {
  std::vector<float> scores(static_cast<std::size_t>(3 * lanes + lanes), -infinity);
  std::vector<float> max(static_cast<std::size_t>(lanes), -infinity), sum(max.size(), 0),
      factor(max.size());
  hr::detail::weigh_scores(scores.data(), 3, lanes, max.data(), sum.data(), factor.data());
  for (int r = 0; r < lanes; ++r) {
    const auto at = static_cast<std::size_t>(r);
    CHECK((max[at] == -infinity && sum[at] == 0 && scores[at] == 0));
  }
}

TEST_CASE("a score that is not a number makes its row so, and no other") {
  const Index width = lanes;
  std::vector<float> scores(static_cast<std::size_t>(5 * width + lanes), 0.5f);
  const std::size_t row = static_cast<std::size_t>(width - 1);
  scores[row + static_cast<std::size_t>(2 * width)] = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> max(static_cast<std::size_t>(width), -infinity), sum(max.size(), 0),
      factor(max.size());
  hr::detail::weigh_scores(scores.data(), 5, width, max.data(), sum.data(), factor.data());
  for (std::size_t r = 0; r < max.size(); ++r) {
    if (r == row)
      CHECK(std::isnan(sum[r]));
    else
      CHECK(sum[r] == 5);
  }
}

TEST_CASE("a cap is c tanh(s / c), for any number of scores") {
  for (const Index count : {1, 7, 8, 21}) {
    random_source random(42);
    std::vector<float> scores = random.numbers(count, 4);
    const std::vector<float> before = scores;
    scores.resize(scores.size() + static_cast<std::size_t>(lanes));
    hr::detail::cap_scores(scores.data(), count, 3);
    for (std::size_t i = 0; i < before.size(); ++i)
      CHECK(std::abs(scores[i] - 3 * std::tanh(double(before[i]) / 3)) <= 3e-6);
  }
}

TEMPLATE_LIST_TEST_CASE("weights are split in their place into pairs and residuals", "",
                        bfloat16_pairs) {
  using number = Eigen::bfloat16;
  random_source random(43);
  for (const Index width : {lanes, 3 * lanes})
    for (const Index keys : {1, 2, 7, 32}) {
      const std::vector<float> weights = random.numbers(keys * width);
      std::vector<float> split = weights;
      split.resize(split.size() + static_cast<std::size_t>(width));
      std::vector<TestType> residuals(static_cast<std::size_t>((keys + 1) / 2 * width));
      hr::detail::split_weights(split.data(), keys, width, residuals.data());
      const auto* const pairs = reinterpret_cast<const TestType*>(split.data());
      for (Index j = 0; j < keys + keys % 2; ++j)
        for (Index r = 0; r < width; ++r) {
          const auto at = static_cast<std::size_t>(j / 2 * width + r);
          const auto weight = j == keys ? 0.f : weights[static_cast<std::size_t>(j * width + r)];
          const number whole = j % 2 == 0 ? pairs[at].first : pairs[at].second;
          const number residual = j % 2 == 0 ? residuals[at].first : residuals[at].second;
          REQUIRE(whole == number(weight));
          REQUIRE(residual == number(weight - float(whole)));
        }
    }
}
