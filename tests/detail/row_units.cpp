// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: units hold every row of every group once, the cost of a unit counts the keys that its rows
// may see, and what comes next is the keys that follow.
#include <headroom/detail/row_units.hpp>

#include <map>

#include "support/catch.hpp"
#include "support/kernel_call.hpp"
#include "support/paged_source.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

// Calls use(call, units) for attention of these sizes over keys in either order.
template <class Mask, class Use>
void for_units(const problem_size& size, layout order, const Mask& mask, const Use& use) {
  const problem<> p(size, 1, order);
  answer_by([&](const auto& call,
                const auto& source) { use(call, hr::detail::row_units(call, source, 1)); },
            p, mask);
}

}  // namespace

TEST_CASE("units hold every row of every group once") {
  const Index B = hr::detail::block_rows;
  for (const layout order : {layout::tokens_major, layout::heads_major})
    for (const problem_size& size : {problem_size{1, 9, 6, 6, 4, 4},
                                     {0, 9, 2, 1, 4, 4},
                                     {B / 2 + 1, 9, 6, 3, 4, 4},
                                     {1, 9, 40, 40, 64, 64},
                                     {2 * B, 9, 1, 1, 4, 4}}) {
      for_units(size, order, hr::none(), [&](const auto& call, const auto& units) {
        std::map<std::pair<Index, Index>, int> seen;
        for (Index unit = 0; unit < units.count(); ++unit) {
          const auto rows = units.rows(call, unit);
          CHECK(rows.first % B == 0);
          CHECK(rows.count <= B);
          for (Index g = 0; g < units.groups(call, unit); ++g)
            for (Index r = 0; r < rows.count; ++r) ++seen[{rows.group + g, rows.first + r}];
        }
        CHECK(static_cast<Index>(seen.size()) == size.q_len * size.Q_heads);
        for (const auto& [row, times] : seen) CHECK(times == 1);
      });
    }
}

TEST_CASE("of groups in pages as many are left apart as units are wanted") {
  const problem<> p({1, 200, 8, 8, 4, 4});
  const paged_source<float> pages(p.keys(), p.values(), hr::detail::page_keys);
  answer_by(
      [&](const auto& call, const auto&) {
        if (!hr::detail::has_kernels<float>) return;
        for (const auto& [least, count] :
             {std::pair<Index, Index>{1, 1}, {2, 2}, {3, 4}, {4, 4}, {5, 8}, {100, 8}})
          CHECK(hr::detail::row_units(call, pages, least).count() == count);
      },
      p, hr::none());
}

TEST_CASE("a unit costs as many pairs as its first and last row may see") {
  const Index B = hr::detail::block_rows;
  const problem_size size{2 * B, 2 * B, 1, 1, 4, 4};
  for_units(size, layout::tokens_major, hr::causal(), [&](const auto& call, const auto& units) {
    REQUIRE(units.count() == 2);
    CHECK(units.cost(call, 0, 0, 2 * B) == B * B);
    CHECK(units.cost(call, 1, 0, 2 * B) == B * 2 * B);
    CHECK(units.cost(call, 0, B + 1, 2 * B) == 0);
    CHECK(units.cost(call, 1, B, B + 3) == 3 * B);
  });
  const auto window = hr::causal() & hr::sliding_window(10);
  for_units(size, layout::tokens_major, window, [&](const auto& call, const auto& units) {
    CHECK(units.cost(call, 1, 0, 2 * B) == B * (B + 9));
  });
}

TEST_CASE("next are the keys that follow, then those of the same rows of other groups") {
  const auto check = [](const hr::detail::keys_to_come& next, Index groups, Index begin,
                        Index end) {
    CHECK(next.groups == groups);
    CHECK(next.begin == begin);
    CHECK(next.end == end);
  };
  const problem_size size{hr::detail::block_rows + 1, 500, 3, 3, 4, 4};  // two blocks
  for_units(size, layout::heads_major, hr::none(), [&](const auto& call, const auto& units) {
    REQUIRE(units.count() == 2 * 3);
    for (const Index unit : {0, 2, 5}) {
      check(units.next(call, unit, 200, 200), 0, 200, 400);
      check(units.next(call, unit, 400, 200), 0, 400, 500);
    }
    for (const Index unit : {0, 1, 3, 4}) check(units.next(call, unit, 500, 200), 1, 0, 200);
    for (const Index unit : {2, 5}) check(units.next(call, unit, 500, 200), 0, 0, 0);
  });
}

TEST_CASE("no group is to come that a source does not have") {
  for (const layout order : {layout::tokens_major, layout::heads_major})
    for (const Index groups : {1, 2, 5, 9, 40})
      for (const Index rows : {1, 2, 4}) {
        INFO(groups << " groups of " << rows << " rows");
        const problem_size size{1, 9, groups * rows, groups, 128, 128};
        for_units(size, order, hr::none(), [&](const auto& call, const auto& units) {
          for (Index unit = 0; unit < units.count(); ++unit)
            for (const Index end : {4, 9})
              CHECK(units.rows(call, unit).group + units.next(call, unit, end, 4).groups +
                        units.groups(call, unit) <=
                    groups);
        });
      }
}
