// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: rows of pages, counted as they lie, are those of every key and group once, wherever groups
// lie, and a run goes on into the next group only where memory does.
#include <headroom/detail/pages_in_turn.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/page_pool.hpp>
#include <headroom/paged_cache.hpp>

#include "support/catch.hpp"

#include <set>
#include <tuple>
#include <vector>

using namespace headroom::detail;
using headroom::Index;

namespace {

// Pages [pages, groups, page_tokens, row], with room behind each group's part: the number of key k
// of group g is 100 * k + g.
struct numbered {
  Index groups, page_tokens, row, room;
  std::vector<Index> memory = {};

  numbered(Index group_count, Index tokens_of_page, Index pages, Index row_size, Index behind)
      : groups(group_count), page_tokens(tokens_of_page), row(row_size), room(behind) {
    memory.resize(static_cast<std::size_t>(pages * groups * piece()));
    for (Index k = 0; k < pages * page_tokens; ++k)
      for (Index g = 0; g < groups; ++g) memory[static_cast<std::size_t>(at(g, k))] = 100 * k + g;
  }

  Index piece() const { return page_tokens * row + room; }
  Index at(Index g, Index k) const {
    return (k / page_tokens * groups + g) * piece() + k % page_tokens * row;
  }
  headroom::token_run<Index> operator()(Index g, Index first) const {
    return {memory.data() + at(g, first), row, page_tokens - first % page_tokens};
  }
};

}  // namespace

TEST_CASE("rows of all groups are met once, each in its run") {
  for (const Index groups : {2, 3, 8})
    for (const Index page_tokens : {page_keys / 2, page_keys, 3 * page_keys})
      for (const Index room : {0, 5}) {
        INFO(groups << " groups, pages of " << page_tokens << ", room of " << room);
        const Index count = 3 * pages_in_turn::keys_at_once;  // of each group
        const numbered source(groups, page_tokens, count / page_tokens + 1, 2, room);
        const pages_in_turn pages{groups};
        const line_keys rows =
            pages.rows_of({line_order::in_streams(page_keys, count / streams), count, 0});
        REQUIRE(rows.count == count * groups);
        REQUIRE(rows.order.position(0) == page_keys * groups);
        std::set<Index> met;
        for (Index row = 0; row < count * groups; ++row) {
          const auto run = pages.run(source, 0, row);
          REQUIRE(run.tokens >= 1);
          const Index group = row / page_keys % groups, slot = row % page_keys;
          REQUIRE(*run.rows == 100 * (row / (page_keys * groups) * page_keys + slot) + group);
          for (Index i = 1; i < run.tokens; ++i)
            REQUIRE(run.rows[i * run.stride] == *pages.run(source, 0, row + i).rows);
          if (page_tokens == page_keys && room == 0)
            REQUIRE(run.tokens == (groups - group) * page_keys - slot);
          met.insert(*run.rows);
        }
        REQUIRE(static_cast<Index>(met.size()) == count * groups);
      }
}

TEST_CASE("a run ends before a group that lies elsewhere in a page") {
  const numbered source(4, page_keys, 3, 1, 0), other(4, page_keys, 3, 1, 0);
  for (const Index elsewhere : {0, 1, 2, 3}) {
    const auto run = [&](Index g, Index first) {
      return g == elsewhere && first / page_keys == 1 ? other(g, first) : source(g, first);
    };
    const pages_in_turn all{4};
    for (Index row = 0; row < 3 * 4 * page_keys; ++row) {
      const auto found = all.run(run, 0, row);
      const bool moved = row / (4 * page_keys) == 1;
      for (Index i = 0; i < found.tokens; ++i) {
        const Index group = (row + i) / page_keys % 4;
        const Index key = (row + i) / (4 * page_keys) * page_keys + (row + i) % page_keys;
        REQUIRE(found.rows + i * found.stride == run(group, key).rows);
      }
      if (!moved) REQUIRE(found.tokens == 4 * page_keys - row % (4 * page_keys));
    }
  }
}

TEST_CASE("groups further on are those behind the groups at hand") {
  const numbered source(4, page_keys, 2, 1, 0);
  const pages_in_turn two{2};
  CHECK(*two.run(source, 2, 0).rows == 2);
  CHECK(*two.run(source, 2, page_keys + 3).rows == 3 * 100 + 3);
  CHECK(two.run(source, 2, 0).tokens == 2 * page_keys);
}

TEST_CASE("streams are of whole pages") {
  const line_shape shape{1, 4, 4};
  const auto hold = [&](Index begin, Index end) {
    return pages_in_turn::hold(key_parts::of(begin, end, {0, 10000, true}, shape));
  };
  CHECK((hold(0, 1024) && hold(5, 1024) && hold(0, 1000)));
  CHECK((!hold(0, 0) && !hold(0, 63) && !hold(3, 100)));
}

TEST_CASE("pages of a pool have groups in turn if they are as short") {
  for (const auto& [page_tokens, groups, expected] :
       {std::tuple<Index, Index, bool>{page_keys, 2, true},
        {page_keys, 1, false},
        {1, 2, false},
        {page_keys / 2, 2, false},
        {2 * page_keys, 2, false}}) {
    headroom::page_pool<float> pool(20, page_tokens, groups, 4);
    headroom::paged_cache<float> cache(pool);
    using matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    const matrix k = matrix::Zero(std::min<Index>(3 * page_keys, 20 * page_tokens), groups * 4);
    cache.append(k, k);
    CHECK(has_pages_in_turn(cache, cache.tokens()) == expected);
    CHECK(!has_pages_in_turn(cache, 1));
  }
  headroom::kv_cache<float> contiguous(100, 2, 4);
  CHECK(!has_pages_in_turn(contiguous, 0));
}
