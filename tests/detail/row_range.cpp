// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a row's least and most are those of its numbers, of any count of them, and a number that is
// not finite is never overlooked.
#include <headroom/detail/row_range.hpp>

#include "support/catch.hpp"
#include "support/problem.hpp"
#include "support/random.hpp"

#include <algorithm>
#include <limits>
#include <vector>

namespace hr = headroom::detail;
using namespace headroom_tests;
using Eigen::Index;

TEMPLATE_TEST_CASE("least and most are those of the row", "", float, double, Eigen::half,
                   Eigen::bfloat16) {
  random_source random(5);
  for (Index dim = 1; dim <= 3 * hr::lanes + 2; ++dim)
    for (const double shift : {-3., 0., 3.}) {
      std::vector<TestType> row;
      for (const float x : random.numbers<float>(dim))
        row.push_back(static_cast<TestType>(x + float(shift)));
      const auto range = hr::row_range::of(row.data(), dim);
      const auto [least, most] = std::minmax_element(row.begin(), row.end());
      CHECK(range.least == static_cast<float>(*least));
      CHECK(range.most == static_cast<float>(*most));
      CHECK(range.largest() == std::max(range.most, -range.least));
      CHECK(range.finite);
    }
}

TEST_CASE("a row without numbers is not read") {
  const auto range = hr::row_range::of(static_cast<const float*>(nullptr), 0);
  CHECK(range.least == 0);
  CHECK(range.most == 0);
  CHECK(range.finite);
}

TEST_CASE("what is not finite is seen wherever it stands") {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  for (Index dim = 1; dim <= 2 * hr::lanes + 3; ++dim)
    for (Index at = 0; at < dim; ++at)
      for (const float bad : {quiet_nan<float>(), infinity, -infinity}) {
        std::vector<float> row(std::size_t(dim), 1.5f);
        row[std::size_t(at)] = bad;
        REQUIRE(!hr::row_range::of(row.data(), dim).finite);
      }
  const double beyond = 1e39;
  CHECK(!hr::row_range::of(&beyond, 1).finite);
}
