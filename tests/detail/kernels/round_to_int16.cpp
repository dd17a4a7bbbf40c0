// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a whole number times its row's unit is the number rounded, to half a unit; the unit tells
// of what is no number, and of nothing that is another row's.
#include <headroom/detail/kernels/round_to_int16.hpp>

#include "support/catch.hpp"
#include "support/error_bound.hpp"
#include "support/pairs.hpp"
#include "support/random.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace hr = headroom::detail;
using namespace headroom_tests;
using Eigen::Index;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

double largest_of(const std::vector<float>& row) {
  double largest = 0;
  for (const float x : row) largest = std::max(largest, std::abs(double(x)));
  return largest;
}

void check_row(const std::vector<float>& row) {
  std::vector<std::int16_t> rounded(row.size());
  const float unit = hr::round_row(row.data(), Index(row.size()), rounded.data());
  const double share = operand_rounding::whole_numbers().query;
  for (std::size_t d = 0; d < row.size(); ++d)
    REQUIRE(std::abs(double(unit) * rounded[d] - double(row[d])) <= share * largest_of(row));
}

// Weights [keys, rows] of one row.
std::vector<float> of_row(const std::vector<float>& weights, Index rows, Index r) {
  std::vector<float> row;
  for (std::size_t i = std::size_t(r); i < weights.size(); i += std::size_t(rows))
    row.push_back(weights[i]);
  return row;
}

}  // namespace

TEST_CASE("a row comes back to half a unit, of any size") {
  random_source random(91);
  for (const Index dim : {1, 2, 8})
    for (const double size : {1e-30, 1., 1e30}) {
      auto row = random.numbers(dim * hr::lanes, size);
      check_row(row);
      for (float& x : row) x = -std::abs(x);
      check_row(row);
    }
}

TEST_CASE("a row of zeros, or below the least, is zeros") {
  for (const float x : {0.f, -0.f, 1e-35f, std::numeric_limits<float>::denorm_min()}) {
    const std::vector<float> row(static_cast<std::size_t>(2 * hr::lanes), x);
    std::vector<std::int16_t> rounded(row.size(), 7);
    CHECK(hr::round_row(row.data(), Index(row.size()), rounded.data()) == 0.f);
    CHECK(std::count(rounded.begin(), rounded.end(), 0) == std::ptrdiff_t(row.size()));
  }
}

TEST_CASE("what is no number makes the unit of its row NaN") {
  for (const float odd : {std::numeric_limits<float>::quiet_NaN(), infinity, -infinity})
    for (const int at : {0, hr::lanes, 2 * hr::lanes - 1}) {
      std::vector<float> row(static_cast<std::size_t>(2 * hr::lanes), 1.f);
      row[static_cast<std::size_t>(at)] = odd;
      std::vector<std::int16_t> rounded(row.size(), 7);
      CHECK(std::isnan(hr::round_row(row.data(), Index(row.size()), rounded.data())));
      CHECK(std::count(rounded.begin(), rounded.end(), 0) == std::ptrdiff_t(row.size()));
    }
}

TEMPLATE_LIST_TEST_CASE("weights are rounded row by row, and paired", "", int16_pairs) {
  random_source random(92);
  for (Index rows = 1; rows <= std::min(hr::lanes, 8); rows *= 2)
    for (const Index keys : {2 * hr::lanes / int(rows), 32}) {
      if (keys * rows < 2 * hr::lanes) continue;
      auto weights = random.numbers(keys * rows);
      for (std::size_t i = 0; i < weights.size(); ++i)
        weights[i] = std::abs(weights[i]) * static_cast<float>(1 + 999 * (i % std::size_t(rows)));
      const auto start = weights;
      const bool poisoned = rows > 1;
      if (poisoned) weights[std::size_t(rows) + 1] = infinity;  // of row 1
      std::vector<TestType> pairs(std::size_t(keys / 2 * rows));
      std::vector<float> units(static_cast<std::size_t>(hr::lanes));
      hr::round_weights(weights.data(), keys, rows, pairs.data(), units.data());
      for (Index i = rows; i < hr::lanes; ++i)
        REQUIRE(std::memcmp(&units[std::size_t(i)], &units[std::size_t(i % rows)], 4) == 0);
      for (Index r = 0; r < rows; ++r) {
        const double unit = double(units[std::size_t(r)]);
        REQUIRE(std::isnan(unit) == (poisoned && r == 1));
        if (std::isnan(unit)) continue;
        const auto row = of_row(start, rows, r);
        const double bound = operand_rounding::whole_numbers().query * largest_of(row);
        for (Index j = 0; j < keys / 2; ++j) {
          const TestType pair = pairs[std::size_t(j * rows + r)];
          REQUIRE(std::abs(unit * pair.first - double(row[std::size_t(j)])) <= bound);
          REQUIRE(std::abs(unit * pair.second - double(row[std::size_t(j + keys / 2)])) <= bound);
        }
      }
    }
}

TEST_CASE("weights of nothing but zeros are zeros") {
  const std::vector<float> weights(static_cast<std::size_t>(4 * hr::lanes), 0.f);
  std::vector<hr::int16_pair> pairs(static_cast<std::size_t>(2 * hr::lanes));
  std::vector<float> units(static_cast<std::size_t>(hr::lanes), -1.f);
  hr::round_weights(weights.data(), 4 * hr::lanes, 1, pairs.data(), units.data());
  CHECK((units[0] >= 0 && std::isfinite(units[0])));
  for (const hr::int16_pair pair : pairs) CHECK((pair.first == 0 && pair.second == 0));
}
