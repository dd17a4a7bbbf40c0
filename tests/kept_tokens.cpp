// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: what is kept of a ring are the prefix and the first query's window, in order, where they
// lie; on pages it is their pages.
#include <headroom/kept_tokens.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/page_pool.hpp>
#include <headroom/paged_cache.hpp>
#include <headroom/ring_cache.hpp>

#include <algorithm>
#include <cstddef>
#include <utility>

#include "support/catch.hpp"
#include "support/problem.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

using Cache = hr::kv_cache<float, 2, 16>;
using Pages = hr::paged_cache<float, 2, 16>;

static_assert(hr::kv_selection<hr::kept_tokens<Cache>>);
static_assert(hr::kv_selection<hr::kept_tokens<Pages>>);

// Token by token.
template <class Ring, class Problem>
void append(Ring& ring, const Problem& p, Index begin, Index end) {
  for (; begin < end; ++begin)
    ring.append(p.keys().slice_tokens(begin, begin + 1), p.values().slice_tokens(begin, begin + 1));
}

template <class Kept, std::size_t n>
void check_places(const Kept& kept, const std::pair<Index, Index> (&expected)[n]) {
  for (const auto& [t, place] : expected) CHECK(kept.place(t) == place);
}

}  // namespace

TEST_CASE("runs are the slots themselves, and end where the ring begins again") {
  const problem<> p({1, 40, 4, 2, 16, 16});
  hr::ring_cache<Cache> ring(
      {.window = 6, .prefix = 2, .chunk = 3});  // 2 slots, and 8 that are used in turn
  const Cache& slots = ring.stored();
  append(ring, p, 0, 10);
  {  // nothing was overwritten yet, and nothing has left the window of a query at 7
    const auto kept = ring.kept(3);
    CHECK(kept.tokens() == 10);
    CHECK(kept.keys(1, 0, 10).tokens == 10);
    CHECK(kept.keys(1, 0, 10).rows == slots.key_view().row(0, 1));
  }
  append(ring, p, 10, 15);  // the last five, 10 to 14, lie in slots 2 to 6, and 7 to 9 in 9 and on
  const auto kept = ring.kept(3);
  CHECK(kept.tokens() == 2 + 6 + 3 - 1);
  CHECK(kept.first_position() == 7);
  CHECK(kept.token(1) == 1);
  CHECK(kept.token(2) == 7);
  CHECK(kept.token(9) == 14);
  CHECK(kept.all_tokens() == 15);
  check_places(
      kept, {{-3, 0}, {0, 0}, {1, 1}, {2, 2}, {6, 2}, {7, 2}, {8, 3}, {14, 9}, {15, 10}, {99, 10}});
  CHECK(kept.keys(0, 0, 10).tokens == 2);
  CHECK(kept.keys(0, 2, 10).rows == slots.key_view().row(7, 0));
  CHECK(kept.keys(0, 2, 10).tokens == 3);
  CHECK(kept.keys(0, 2, 4).tokens == 2);
  CHECK(kept.values(1, 5, 10).rows == slots.value_view().row(2, 1));
  CHECK(kept.values(1, 5, 10).tokens == 5);
  CHECK(kept.keys(1, 9, 10).rows[3] == p.keys()(14, 1, 3));
}

TEST_CASE("on pages they are whole pages, and the mask hides what is beside the window") {
  const problem<> p({1, 40, 4, 2, 16, 16});
  hr::page_pool<float, 2, 16> pool(20, 4);
  hr::ring_cache<Pages> ring({.window = 6, .prefix = 2, .chunk = 3}, pool);
  append(ring, p, 0, 27);
  const auto kept = ring.kept(3);  // the first query stands at 24, and sees 19 to 24
  CHECK(kept.tokens() == 4 + 27 - 16);
  CHECK(kept.first_position() == 24 - 12);
  CHECK(kept.token(3) == 3);
  CHECK(kept.token(4) == 16);
  CHECK(kept.all_tokens() == 27);
  check_places(kept, {{-3, 0}, {3, 3}, {4, 4}, {15, 4}, {16, 4}, {17, 5}, {26, 14}, {27, 15}});
  for (Index i = 0; i < kept.tokens(); ++i) {
    const auto run = kept.keys(1, i, kept.tokens());
    CHECK(run.tokens == std::min(4 - i % 4, kept.tokens() - i));
    CHECK(run.rows[5] == p.keys()(kept.token(i), 1, 5));
    CHECK(kept.values(0, i, i + 1).rows[7] == p.values()(kept.token(i), 0, 7));
  }
  const auto mask = kept.masked(hr::none());
  for (Index i = 0; i < kept.tokens(); ++i) {
    const Index t = kept.token(i);
    const hr::query_row row{0, 0, kept.first_position(), kept.tokens()};
    const hr::key_range range = mask.keys(row);
    const bool seen = range.begin <= i && i < range.end && (range.full || mask.visible(row, i));
    CHECK(seen == (t < 2 || (19 <= t && t <= 26)));
  }
}
