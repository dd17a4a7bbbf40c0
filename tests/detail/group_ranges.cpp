// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: each row of each group sees what the mask shows it, the union and what all see are those of
// all groups; scores of keys that a row does not see are hidden, those of others have their biases.
#include <headroom/detail/group_ranges.hpp>
#include <headroom/score_mod.hpp>

#include "support/block_call.hpp"
#include "support/catch.hpp"

#include <cmath>
#include <vector>

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

constexpr Index keys = 20, groups = 2, heads = 2, queries = 3, rows = heads * queries;

// Asks `f` about the ranges of three queries of two heads in each of two groups.
template <class Mask, class F>
void with_ranges(const Mask& mask, const F& f) {
  answer_by(
      [&](const auto& call, const auto&) {
        hr::detail::scratch memory;
        const hr::detail::stacked_rows all{0, heads, 0, rows};
        f(hr::detail::group_ranges(call, all, groups, memory), call, all);
      },
      problem({queries, keys, groups * heads, groups, 8, 8}), mask, {.first_position = 10});
}

}  // namespace

TEST_CASE("rows see what the mask shows them") {
  // Head 3, the second of the second group, sees even keys only, and not the first four.
  const auto odd_one = hr::mask([](const hr::query_row& row, Index key) {
    return row.head != 3 || (key % 2 == 0 && key > 3);
  });
  with_ranges(hr::causal() & odd_one, [&](const auto& ranges, const auto& call, const auto& all) {
    CHECK((ranges.begin() == 0 && ranges.end() == 13));
    for (Index g = 0; g < groups; ++g)
      for (Index r = 0; r < rows; ++r)
        for (Index key = 0; key < keys; ++key) {
          const hr::query_row row = call.row(all.of_group(g), r);
          const bool shown = key <= row.position && (row.head != 3 || (key % 2 == 0 && key > 3));
          REQUIRE(ranges.sees(g, r, key) == shown);
        }
  });
}

TEST_CASE("what all rows see is within what each sees") {
  with_ranges(hr::causal() & hr::sliding_window(6),
              [](const auto& ranges, const auto&, const auto&) {
                const hr::key_range all = ranges.seen_by_all();
                CHECK((all.begin == 7 && all.end == 11));  // queries at 10 to 12
                CHECK((ranges.begin() == 5 && ranges.end() == 13));
              });
}

TEST_CASE("hidden is what all rows of all groups hide") {
  with_ranges(hr::causal() & (hr::sliding_window(4) | hr::prefix(2)),
              [](const auto& ranges, const auto&, const auto&) {
                CHECK((ranges.hidden().begin == 2 && ranges.hidden().end == 7));
              });
  with_ranges(hr::causal(), [](const auto& ranges, const auto&, const auto&) {
    CHECK(ranges.hidden().begin >= ranges.hidden().end);
  });
}

TEST_CASE("scores are hidden, or biased, in any order of keys") {
  const auto far = [](float score, const hr::query_row& row, Index key) {
    return score + static_cast<float>(100 * row.head + key);
  };
  with_ranges(hr::causal() & hr::score_mod(far),
              [](const auto& ranges, const auto& call, const auto& all) {
                const auto order = hr::detail::line_order::in_streams(1, 4);
                std::vector<float> scores(static_cast<std::size_t>(groups * keys * rows), 0.25f);
                const auto score = [&](Index g, Index i, Index r) -> float& {
                  return scores[static_cast<std::size_t>((g * keys + i) * rows + r)];
                };
                CHECK(ranges.modify(order, 16, false, score, 2));
                for (Index g = 0; g < groups; ++g)
                  for (Index r = 0; r < rows; ++r) {
                    const hr::query_row row = call.row(all.of_group(g), r);
                    for (Index i = 0; i < keys; ++i) {
                      const Index key = order.position(i);
                      const float expected = i >= 16 ? 0.25f
                                             : key > row.position
                                                 ? -std::numeric_limits<float>::infinity()
                                                 : 0.5f + static_cast<float>(100 * row.head + key);
                      REQUIRE(score(g, i, r) == expected);
                    }
                  }
                CHECK(!ranges.modify(order, 8, true, score));
              });
}
