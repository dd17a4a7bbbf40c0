// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: every item of every plan comes once, none after one of less than half its cost, and items
// whose costs share a power of two keep their order.
#include <headroom/detail/work_order.hpp>

#include <bit>
#include <set>
#include <vector>

#include "support/catch.hpp"
#include "support/random.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;
using hr::detail::planned_item;

namespace {

struct priced_items {
  const Index* costs;
  Index count;

  Index items() const { return count; }
  Index cost(Index item) const { return costs[item]; }
};

std::vector<planned_item> order(const std::vector<std::vector<Index>>& costs) {
  std::vector<priced_items> plans;
  for (const auto& plan : costs) plans.push_back({plan.data(), static_cast<Index>(plan.size())});
  hr::detail::scratch memory;
  const auto ordered = hr::detail::largest_first<priced_items>(plans, memory);
  return {ordered.begin(), ordered.end()};
}

}  // namespace

TEST_CASE("no plans and plans without items have nothing to order") {
  CHECK(order({}).empty());
  CHECK(order({{}, {}}).empty());
}

TEST_CASE("large items come first, equals as they were") {
  const auto ordered = order({{1, 0, 100}, {}, {70, 1000, 1}});
  const std::vector<std::pair<Index, Index>> expected = {{2, 1}, {0, 2}, {2, 0},
                                                         {0, 0}, {2, 2}, {0, 1}};
  REQUIRE(ordered.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i)
    CHECK(std::pair(ordered[i].plan, ordered[i].item) == expected[i]);
}

TEST_CASE("any costs are ordered to a factor of two") {
  random_source random(3);
  std::vector<std::vector<Index>> costs(7);
  std::set<std::pair<Index, Index>> open;
  for (std::size_t p = 0; p < costs.size(); ++p)
    for (Index i = random.integer(0, 60); i > 0; --i) {
      open.insert({static_cast<Index>(p), static_cast<Index>(costs[p].size())});
      costs[p].push_back(random.integer(0, 1) * (Index(1) << random.integer(0, 50)) +
                         random.integer(0, 9));
    }
  const auto ordered = order(costs);
  CHECK(ordered.size() == open.size());
  const auto power = [&](const planned_item& next) {
    return std::bit_width(static_cast<std::uint64_t>(
        costs[static_cast<std::size_t>(next.plan)][static_cast<std::size_t>(next.item)]));
  };
  for (std::size_t i = 0; i < ordered.size(); ++i) {
    CHECK(open.erase({ordered[i].plan, ordered[i].item}) == 1);
    if (i == 0) continue;
    const planned_item &before = ordered[i - 1], &now = ordered[i];
    CHECK(power(before) >= power(now));
    if (power(before) == power(now))
      CHECK(std::pair(before.plan, before.item) < std::pair(now.plan, now.item));
  }
}
