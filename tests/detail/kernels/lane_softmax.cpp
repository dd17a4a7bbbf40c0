// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: the running softmax of support/softmax_laws.hpp, for no more rows than lanes.
#include <headroom/detail/kernels/lane_softmax.hpp>

#include "support/catch.hpp"
#include "support/softmax_laws.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;
using hr::detail::lanes;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

}  // namespace

TEST_CASE("weights, sums and maxima are those of a running softmax") {
  for (Index width = 1; width <= lanes; width *= 2)
    for (const Index keys : {1, 2, 3, 32, 33})
      for (const double hidden : {0., 0.3, 0.95}) {
        check_running_softmax<hr::detail::lane_softmax>(width, keys, 1, hidden);
        check_running_softmax<hr::detail::lane_softmax>(width, keys, 20, hidden);
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
