// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: the running softmax of support/softmax_laws.hpp, over lines of keys of one group or
// several.
#include <headroom/detail/kernels/lane_softmax.hpp>

#include "support/catch.hpp"
#include "support/random.hpp"
#include "support/softmax_laws.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;
using hr::detail::lanes;
using hr::detail::line_shape;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

// Each row of the law is a group of one row, or all are rows of one group; a line has `keys` keys.
template <bool groups, Index keys>
class in_lines {
 public:
  static constexpr double most_excess = hr::detail::lane_softmax::most_excess;

  explicit in_lines(Index width)
      : shape_(groups ? line_shape{width, keys, 1} : line_shape{1, keys, width}),
        softmax_(shape_, memory_) {}

  // Scores [count, width], in lines and back.
  bool weigh(float* scores, Index count, float unit = 1) {
    const Index lines = (count + keys - 1) / keys;
    std::vector<float> in_order(static_cast<std::size_t>(lines * shape_.size()), 7.f);
    const auto each = [&](const auto& use) {
      for (Index i = 0; i < count; ++i)
        for (Index r = 0; r < width(); ++r)
          use(scores[i * width() + r],
              in_order[static_cast<std::size_t>(i / keys * shape_.size() + at(i % keys, r))]);
    };
    each([](float score, float& in_line) { in_line = score; });
    for (Index l = 0; l < lines; ++l)
      shape_.pad(in_order.data() + l * shape_.size(), std::min(keys, count - l * keys));
    const bool moved = softmax_.weigh(in_order.data(), lines, unit);
    each([](float& weight, float in_line) { weight = in_line; });
    return moved;
  }

  float max(Index r) const { return groups ? softmax_.max(r, 0) : softmax_.max(0, r); }
  float sum(Index r) const { return groups ? softmax_.sum(r, 0) : softmax_.sum(0, r); }
  float factor(Index r) const { return groups ? softmax_.factor(r, 0) : softmax_.factor(0, r); }

 private:
  Index width() const { return groups ? shape_.groups : shape_.rows; }
  Index at(Index key, Index r) const {
    return groups ? shape_.at(r, key, 0) : shape_.at(0, key, r);
  }

  hr::detail::scratch memory_;
  line_shape shape_;
  hr::detail::lane_softmax softmax_;
};

}  // namespace

TEST_CASE("weights, sums and maxima are those of a running softmax") {
  for (const Index keys : {1, 2, 3, 32, 33})
    for (const double hidden : {0., 0.3, 0.95})
      for (const double deviation : {1., 20.}) {
        for (Index width = std::max(1, lanes / 4); width <= std::max(2, lanes); width *= 2)
          check_running_softmax<in_lines<false, 4>>(width, keys, deviation, hidden);
        check_running_softmax<in_lines<false, 16>>(1, keys, deviation, hidden);
        for (const Index width : {1, 3, 8, 35})
          check_running_softmax<in_lines<true, std::max(4, lanes)>>(width, keys, deviation, hidden);
      }
}

TEST_CASE("a maximum stays until a score exceeds it by much, and then is exact") {
  in_lines<false, 16> softmax(1);
  const auto moves = [&](float score) { return softmax.weigh(&score, 1); };
  CHECK((moves(1) && softmax.max(0) == 1));
  CHECK((!moves(-50) && !moves(5) && !moves(9) && softmax.max(0) == 1));
  CHECK(std::abs(softmax.sum(0) / (1 + std::exp(4.) + std::exp(8.)) - 1) < 1e-6);
  CHECK((moves(9.5f) && softmax.max(0) == 9.5f &&
         std::abs(softmax.factor(0) / std::exp(-8.5) - 1) < 1e-6));
}

TEST_CASE("a row has the bits that it has alone, whatever maxima move beside it") {
  const Index keys = std::max(4, lanes);
  in_lines<true, std::max(4, lanes)> alone(1), beside(3);
  for (const float step : {0.f, 5.f, 7.f, 9.f, 20.f}) {
    std::vector<float> row = random_source(7).numbers(2 * keys, 1), rows;
    for (float& score : row) score += step;
    for (const float score : row) rows.insert(rows.end(), {3 * score, score, -score});
    alone.weigh(row.data(), 2 * keys);
    beside.weigh(rows.data(), 2 * keys);
    for (Index j = 0; j < 2 * keys; ++j)
      CHECK(rows[static_cast<std::size_t>(3 * j + 1)] == row[static_cast<std::size_t>(j)]);
    CHECK((beside.max(1) == alone.max(0) && beside.sum(1) == alone.sum(0)));
  }
}

TEST_CASE("scores may be in a unit, and stay in it") {
  const Index width = std::max(2, lanes / 4);
  in_lines<false, 4> softmax(width), halved(width);
  const std::vector<float> scores = random_source(5).numbers(9 * width, 3);
  std::vector<float> weights = scores, of_halves = scores;
  for (float& score : of_halves) score *= 0.5f;
  CHECK((softmax.weigh(weights.data(), 9) && halved.weigh(of_halves.data(), 9, 2.f)));
  CHECK(weights == of_halves);
  for (Index r = 0; r < width; ++r)
    CHECK((softmax.max(r) == halved.max(r) && softmax.sum(r) == halved.sum(r)));
}

TEST_CASE("a row that sees nothing stays empty") {
  in_lines<false, 16> softmax(1);
  std::vector<float> scores(3, -infinity);
  CHECK(!softmax.weigh(scores.data(), 3));
  CHECK((softmax.max(0) == -infinity && softmax.sum(0) == 0 && scores[0] == 0));
}

TEST_CASE("a score that is not a number makes its row so, and no other") {
  const Index width = std::max(2, lanes / 4);
  for (const float odd : {std::numeric_limits<float>::quiet_NaN(), infinity}) {
    in_lines<false, 4> softmax(width);
    for (int tile = 0; tile < 3; ++tile) {
      std::vector<float> scores(static_cast<std::size_t>(5 * width), 0.5f + float(tile));
      if (tile == 0) scores[static_cast<std::size_t>(3 * width - 1)] = odd;
      softmax.weigh(scores.data(), 5);
    }
    CHECK(std::isnan(softmax.sum(width - 1)));
    for (Index r = 0; r + 1 < width; ++r)
      CHECK(std::abs(softmax.sum(r) * std::exp(double(softmax.max(r)) - 2.5) -
                     5 * (1 + std::exp(-1.) + std::exp(-2.))) < 1e-5);
  }
}
