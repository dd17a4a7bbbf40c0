// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: row r of group g is query r / heads_per_group of head g * heads_per_group +
// r % heads_per_group. Over all groups each query of each head is exactly one row, and stacking a
// row scales it once. Both factors of a scale make it up.
#include <headroom/detail/broadcast.hpp>
#include <headroom/detail/packet_bfloat16.hpp>

#include <cmath>
#include <set>
#include <utility>

#include "support/catch.hpp"
#include "support/poison.hpp"
#include "support/random.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;
using hr::detail::stacked_rows;

TEST_CASE("each query of each head is one row of one group, whatever the blocks") {
  const Index q_len = 5, groups = 3;
  for (const Index heads_per_group : {1, 2, 5, 8})
    for (const Index block : {1, 3, 64}) {
      std::set<std::pair<Index, Index>> seen;
      const Index rows = q_len * heads_per_group;
      for (Index g = 0; g < groups; ++g)
        for (Index first = 0; first < rows; first += block) {
          const stacked_rows stacked{g, heads_per_group, first, std::min(block, rows - first)};
          for (Index r = 0; r < stacked.count; ++r) {
            CHECK(stacked.head(r) / heads_per_group == g);
            CHECK(seen.insert({stacked.query(r), stacked.head(r)}).second);
          }
        }
      CHECK(Index(seen.size()) == q_len * groups * heads_per_group);
      CHECK(*seen.rbegin() == std::pair(q_len - 1, groups * heads_per_group - 1));
    }
}

TEST_CASE("rows of one query lie next to each other") {
  const stacked_rows stacked{1, 4, 0, 8};
  for (Index r = 0; r < 8; ++r) CHECK(stacked.query(r) == r / 4);
  CHECK((stacked.head(0) == 4 && stacked.head(3) == 7 && stacked.head(4) == 4));
}

TEMPLATE_TEST_CASE("stacked queries are contiguous, scaled, and of the computed scalar", "", float,
                   double, Eigen::half, Eigen::bfloat16) {
  const layout order = GENERATE(from_range(all_layouts));
  tensor<TestType> q(6, 4, 7, order);
  random_source random(3);
  random.fill(q.view());
  const stacked_rows stacked{1, 2, 3, 6};  // rows 3 to 8 of heads 2 and 3
  std::vector<float> rows(6 * 7 + 1, -5.f);
  hr::detail::stack_queries(std::as_const(q).view(), stacked, 0.25f, rows.data());
  for (Index r = 0; r < 6; ++r)
    for (Index d = 0; d < 7; ++d)
      CHECK(rows[std::size_t(r * 7 + d)] ==
            0.25f * static_cast<float>(q((3 + r) / 2, 2 + (3 + r) % 2, d)));
  CHECK(rows.back() == -5.f);
}

TEST_CASE("the scale is split where products multiply numbers of 16 bits, at a power of two") {
  using hr::detail::split_scale;
  using hr::detail::widened_pair;
  for (const float scale : {0.f, -0.f, 1.f, 0.3f, -0.3f, 100.f, 1e-30f, 1e30f}) {
    const auto whole = split_scale::of<float>(scale);
    CHECK((whole.of_queries == scale && whole.of_scores == 1.f));
    const auto split = split_scale::of<widened_pair>(scale);
    CHECK(split.of_scores > 0.f);
    CHECK(split.of_queries * split.of_scores == scale);
    int exponent = 0;
    if (scale != 0.f) CHECK(std::abs(std::frexp(split.of_queries, &exponent)) == 0.5f);
  }
}
