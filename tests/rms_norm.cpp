// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// rms_norm: x = gain * x / sqrt(mean(x^2) + eps), each row of a view on its own.

#include <headroom/rms_norm.hpp>

#include "support/catch.hpp"
#include "support/random.hpp"

#include <cmath>
#include <limits>
#include <vector>

namespace {

using headroom::Index;
using headroom_tests::random_source;

}  // namespace

TEST_CASE("a row of known numbers has known values") {
  std::vector<double> x = {3, 4};  // mean square 12.5
  const std::vector<double> gain = {1, 2};
  headroom::rms_norm(headroom::tokens_major(x.data(), 1, 1, 2), std::span<const double>(gain), 0.0);
  REQUIRE(std::abs(x[0] - 3 / std::sqrt(12.5)) <= 1e-15);
  REQUIRE(std::abs(x[1] - 8 / std::sqrt(12.5)) <= 1e-15);
}

TEST_CASE("gains are a span, a vector, or a vector of Eigen's") {
  const auto normed = [](const auto& gain) {
    std::vector<float> x = {3, 4};
    headroom::rms_norm(headroom::tokens_major(x.data(), 1, 1, 2), gain, 0.0);
    return x;
  };
  const std::vector<float> gain = {1, 2};
  const std::vector<float> expected = normed(std::span<const float>(gain));
  REQUIRE(normed(gain) == expected);
  REQUIRE(normed(Eigen::Vector2f(1, 2)) == expected);
  REQUIRE(normed(Eigen::RowVector2d(1, 2)) == expected);
  REQUIRE(normed(Eigen::Map<const Eigen::VectorXf>(gain.data(), 2)) == expected);
}

TEST_CASE("with unit gain and no eps the mean square of each row is one") {
  random_source random(3);
  const Index tokens = 5, heads = 3, dim = 67;
  std::vector<float> x = random.numbers<float>(tokens * heads * dim, 30);
  const std::vector<Eigen::half> gain(static_cast<std::size_t>(dim), Eigen::half(1));
  const auto rows = headroom::tokens_major(x.data(), tokens, heads, dim);
  headroom::rms_norm(rows, std::span<const Eigen::half>(gain), 0.0);
  for (Index t = 0; t < tokens; ++t)
    for (Index h = 0; h < heads; ++h) {
      double mean_square = 0;
      for (Index d = 0; d < dim; ++d) mean_square += double(rows(t, h, d)) * double(rows(t, h, d));
      mean_square /= double(dim);
      // The sum of dim squares, a root, a division and two products: gamma of dim + 8 roundings,
      // twice for the square.
      const double bound = 2 * double(dim + 8) * std::numeric_limits<float>::epsilon() / 2;
      REQUIRE(std::abs(mean_square - 1) <= bound);
    }
}

TEST_CASE("scaling a row changes nothing, and eps keeps a row of zeros at zero") {
  std::vector<float> x = {1, -2, 3, 4, -8, 12};  // the second token is four times the first
  const std::vector<float> gain = {0.5f, 1, 2};
  const auto rows = headroom::tokens_major(x.data(), 2, 1, 3);
  headroom::rms_norm(rows, std::span<const float>(gain), 0.0);
  for (Index d = 0; d < 3; ++d)
    REQUIRE(std::abs(rows(0, 0, d) - rows(1, 0, d)) <= 8 * std::numeric_limits<float>::epsilon());

  std::vector<float> zeros(3, 0.f);
  headroom::rms_norm(headroom::tokens_major(zeros.data(), 1, 1, 3), std::span<const float>(gain),
                     1e-6);
  REQUIRE(zeros == std::vector<float>(3, 0.f));
}

TEST_CASE("only the view's own channels are read and written") {
  std::vector<float> x = {3, 4, NAN, 3, 4, NAN};
  const std::vector<float> gain = {1, 1};
  const headroom::view<float> rows(x.data(), 2, 1, 2, 3, 3);
  headroom::rms_norm(rows, std::span<const float>(gain), 0.0);
  REQUIRE(rows(0, 0, 0) == rows(1, 0, 0));
  REQUIRE(std::abs(rows(0, 0, 1) - 4 / std::sqrt(12.5)) <= 1e-6);
  REQUIRE(std::isnan(x[2]));
}

TEST_CASE("a gain of another width is refused") {
  std::vector<float> x = {3, 4};
  const std::vector<float> gain = {1, 1, 1};
  REQUIRE_THROWS_WITH(headroom::rms_norm(headroom::tokens_major(x.data(), 1, 1, 2),
                                         std::span<const float>(gain), 0.0),
                      "rms_norm: gain has 3 numbers, expected the width of a row, 2");
  REQUIRE(x == std::vector<float>{3, 4});
}

TEST_CASE("an eps that may make a root of less than nothing is refused") {
  std::vector<float> x = {3, 4};
  const std::vector<float> gain = {1, 1};
  for (const double eps : {-1e-9, std::numeric_limits<double>::quiet_NaN()})
    REQUIRE_THROWS_WITH(headroom::rms_norm(headroom::tokens_major(x.data(), 1, 1, 2),
                                           std::span<const float>(gain), eps),
                        headroom_tests::contains("expected 0 or a positive number"));
  REQUIRE(x == std::vector<float>{3, 4});
}

TEST_CASE("rows of no numbers stay so") {
  float x = 3;
  headroom::rms_norm(headroom::tokens_major(&x, 2, 1, 0), std::span<const float>(), 1e-6);
  REQUIRE(x == 3);
}
