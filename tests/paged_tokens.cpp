// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: whatever is appended, forked, truncated, cleared, moved and destroyed in whatever order,
// each sequence holds the tokens that a vector of its own would hold, and the pool's pages are
// those that the sequences' tables list. What is refused changes nothing.
#include <headroom/paged_cache.hpp>
#include <headroom/paged_tokens.hpp>

#include "support/catch.hpp"
#include "support/pages.hpp"
#include "support/problem.hpp"
#include "support/random.hpp"
#include "support/sequence_model.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <vector>

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

using Pool = modelled_sequence::Pool;
using Sequence = hr::paged_cache<float>;
static_assert(std::is_base_of_v<hr::paged_tokens, Sequence>);

struct summary {
  int appends = 0, refused = 0, copies = 0, forks = 0, truncations = 0, moves = 0, erased = 0,
      erased_copying = 0, erase_refused = 0;
};

// Shared pages that are written where tokens [begin, end) are erased: those behind that hold a
// token which leaves its slot, or the one that takes in what stays of the first page given up.
Index pages_copied(const Pool& pool, const std::vector<modelled_sequence>& all,
                   const modelled_sequence& s, Index begin, Index end) {
  const Index size = pool.page_tokens(), tokens = s.sequence.tokens();
  if (begin == end || end == tokens) return 0;
  const auto table = s.sequence.block_table();
  const auto shared = [&](Index page) {
    Index holders = 0;
    for (const modelled_sequence& other : all) {
      const auto pages = other.sequence.block_table();
      holders += std::count(pages.begin(), pages.end(), table[std::size_t(page)]);
    }
    return holders > 1;
  };
  const Index gap = (end - begin) % size;
  if (gap == 0) return begin % size > 0 && shared(end / size);
  Index result = 0;
  for (Index page = (end - gap) / size; page * size < tokens - gap; ++page) result += shared(page);
  return result;
}

void run(std::uint64_t seed, summary& done) {
  random_source random(seed);
  const Index page_tokens = random.pick<Index>({1, 1, 2, 3, 4, 7, 16});
  const Index groups = random.integer(1, 3), qk_dim = random.integer(1, 5);
  Pool pool(random.integer(0, 12), page_tokens, groups, qk_dim, random.integer(1, 5));
  poison(pool);
  std::vector<modelled_sequence> pairs;
  Index next = 0;
  const auto add = [&] {
    if (random.chance(0.8))
      pairs.push_back({Sequence(pool), {}});
    else
      pairs.push_back({Sequence(pool, random.integer(0, 3 * page_tokens)), {}});
  };
  add();
  for (int step = 0; step < 40; ++step) {
    INFO("seed " << seed << ", step " << step);
    const auto any = static_cast<std::size_t>(random.integer(0, std::ssize(pairs) - 1));
    const double choice = random.uniform();
    if (choice < 0.5) {
      modelled_sequence& p = pairs[any];
      const Index count = random.integer(0, random.chance(0.3) ? 4 * page_tokens + 1 : 3);
      const Index taken = pages_taken(pool, pairs, p, count);
      const bool fits =
          p.sequence.tokens() + count <= p.sequence.capacity() && taken <= pool.pages_free();
      const Index free = pool.pages_free(), shared = pool.pages_shared();
      if (fits) {
        append(p.sequence, next, count);
        for (Index t = 0; t < count; ++t) p.tokens.push_back(next + t);
        next += count;
        REQUIRE(pool.pages_free() == free - taken);
        ++done.appends;
        done.copies += pool.pages_shared() < shared;
      } else {
        REQUIRE_THROWS_AS(append(p.sequence, next, count), std::length_error);
        REQUIRE((pool.pages_free() == free && pool.pages_shared() == shared));
        ++done.refused;
      }
    } else if (choice < 0.65 && pairs.size() < 6) {
      pairs.push_back({pairs[any].sequence.fork(), pairs[any].tokens});
      ++done.forks;
    } else if (choice < 0.75) {
      modelled_sequence& p = pairs[any];
      const Index kept = random.integer(0, p.sequence.tokens());
      p.sequence.truncate(kept);
      p.tokens.resize(static_cast<std::size_t>(kept));
      ++done.truncations;
    } else if (choice < 0.84) {
      modelled_sequence& p = pairs[any];
      Index begin = random.integer(0, p.sequence.tokens());
      Index end = random.integer(begin, p.sequence.tokens());
      if (random.chance(0.5)) {
        begin -= begin % page_tokens;
        end -= end % page_tokens;
      }
      const Index copies = pages_copied(pool, pairs, p, begin, end);
      const Index free = pool.pages_free(), shared = pool.pages_shared();
      if (copies <= free) {
        p.sequence.erase(begin, end);
        p.tokens.erase(p.tokens.begin() + begin, p.tokens.begin() + end);
        done.erased += begin < end && end < p.sequence.tokens();
        done.erased_copying += copies > 0;
      } else {
        REQUIRE_THROWS_AS(p.sequence.erase(begin, end), std::length_error);
        REQUIRE((pool.pages_free() == free && pool.pages_shared() == shared));
        ++done.erase_refused;
      }
    } else if (choice < 0.86) {
      pairs[any].sequence.clear();
      pairs[any].tokens.clear();
    } else if (choice < 0.88) {
      const auto other = static_cast<std::size_t>(random.integer(0, std::ssize(pairs) - 1));
      if (other != any) {
        pairs[other] = std::move(pairs[any]);  // what it held is given up
        REQUIRE(pairs[any].sequence.tokens() == 0);
        pairs[any].tokens.clear();
        ++done.moves;
      }
    } else if (choice < 0.95 && pairs.size() > 1) {
      std::swap(pairs[any], pairs.back());
      pairs.pop_back();
    } else if (pairs.size() < 6) {
      add();
    }
    for (const modelled_sequence& p : pairs) REQUIRE(holds(p));
    REQUIRE(counted(pool, pairs));
  }
  pairs.clear();
  REQUIRE((pool.pages_free() == pool.pages() && pool.sequences() == 0));
}

}  // namespace

TEST_CASE("any order of operations gives what vectors give") {
  summary done;
  for (std::uint64_t seed = 0; seed < 3000; ++seed) run(500'000 + seed, done);
  WARN("3000 pools: " << done.appends << " appends, " << done.copies << " of them copied a page, "
                      << done.refused << " refused, " << done.forks << " forks, "
                      << done.truncations << " truncations, " << done.erased << " times erased, "
                      << done.erased_copying << " of them copied pages, " << done.erase_refused
                      << " refused, " << done.moves << " moves");
  REQUIRE(std::min({done.erased, done.erased_copying, done.erase_refused}) > 100);
  REQUIRE(std::min({done.appends, done.refused, done.copies, done.forks, done.moves}) > 1000);
}

TEST_CASE("forks share pages until one of them appends to the last") {
  Pool pool(8, 4, 1, 2);
  Sequence one(pool);
  append(one, 0, 6);
  Sequence two = one.fork();
  REQUIRE(std::ranges::equal(one.block_table(), two.block_table()));
  append(two, 100, 1);
  CHECK(one.block_table()[0] == two.block_table()[0]);
  CHECK(one.block_table()[1] != two.block_table()[1]);
  const hr::page_id own = one.block_table()[1];
  append(one, 200, 1);  // alone on its page by now: in place
  CHECK(one.block_table()[1] == own);
  CHECK(pool.pages_in_use() == 3);
}

TEST_CASE("a full last page is shared for good") {
  Pool pool(8, 4, 1, 2);
  Sequence one(pool);
  append(one, 0, 8);
  Sequence two = one.fork();
  append(two, 100, 1);
  append(one, 200, 1);
  CHECK(pool.pages_shared() == 2);
  CHECK(pool.pages_in_use() == 4);
}

TEST_CASE("a sequence that was cut within a shared page copies it before it goes on") {
  Pool pool(8, 4, 1, 2);
  Sequence one(pool);
  append(one, 0, 8);
  Sequence two = one.fork();
  two.truncate(2);
  append(two, 100, 1);
  CHECK(holds({std::move(one), {0, 1, 2, 3, 4, 5, 6, 7}}));
  CHECK(holds({std::move(two), {0, 1, 100}}));
}

TEST_CASE("an append that the pool cannot hold to its end changes nothing") {
  Pool pool(5, 4, 1, 2);
  Sequence one(pool);
  append(one, 0, 6);
  const Sequence two = one.fork();
  const std::vector<hr::page_id> table(one.block_table().begin(), one.block_table().end());
  // 2 + 12 tokens: the last page copied, and three more, one more than there are.
  CHECK_THROWS_WITH(append(one, 100, 14),
                    contains("paged_cache: appending 14 tokens to 6 takes 4 pages, the pool has 3 "
                             "free"));
  CHECK(std::ranges::equal(one.block_table(), table));
  CHECK((pool.pages_free() == 3 && pool.pages_shared() == 2));
  CHECK_NOTHROW(append(one, 100, 10));
  CHECK(pool.pages_free() == 0);
}

TEST_CASE("whole pages are erased, shared or not, and those behind them stay where they are") {
  Pool pool(8, 4, 1, 2);
  Sequence one(pool);
  append(one, 0, 14);
  Sequence two = one.fork();
  const hr::page_id first = one.block_table()[0], third = one.block_table()[2];
  one.erase(4, 8);
  CHECK((one.block_table()[0] == first && one.block_table()[1] == third));
  append(one, 14, 3);
  CHECK(holds({one.fork(), {0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 16}}));
  CHECK(holds({two.fork(), {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13}}));
  two.erase(8, 14);
  CHECK(holds({two.fork(), {0, 1, 2, 3, 4, 5, 6, 7}}));
  CHECK_THROWS_WITH(two.erase(4, 12), contains("paged_cache: erasing tokens [4, 12), expected a "
                                               "range within size = 8"));
  CHECK_THROWS_WITH(two.erase(4, 0), contains("erasing tokens [4, 0)"));
  CHECK(two.tokens() == 8);
}

TEST_CASE("of a range that is not of whole pages the pages go, and tokens move less than a page") {
  Pool pool(8, 4, 1, 2);
  Sequence one(pool);
  append(one, 0, 14);
  Sequence two = one.fork();
  const std::vector<hr::page_id> table(two.block_table().begin(), two.block_table().end());
  // Eight tokens, as many as two pages have: the first and the second go, and what stays of the
  // first comes to the third, which is copied. The last is where it was, and still shared.
  one.erase(1, 9);
  CHECK(holds({one.fork(), {0, 9, 10, 11, 12, 13}}));
  CHECK((one.block_table()[0] != table[2] && one.block_table()[1] == table[3]));
  CHECK((pool.pages_in_use() == 5 && pool.pages_shared() == 1));
  one.erase(1, 3);
  CHECK(holds({one.fork(), {0, 11, 12, 13}}));
  CHECK((pool.pages_in_use() == 5 && pool.pages_shared() == 0));
  CHECK(holds({two.fork(), {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13}}));
  CHECK(std::ranges::equal(two.block_table(), table));
}

TEST_CASE("an erasure whose copies the pool cannot hold changes nothing") {
  Pool pool(6, 4, 1, 2);
  Sequence one(pool);
  append(one, 0, 15);
  const Sequence two = one.fork();
  Sequence rest(pool);
  append(rest, 100, 1);
  const std::vector<hr::page_id> table(one.block_table().begin(), one.block_table().end());
  CHECK_THROWS_WITH(one.erase(5, 6),
                    "paged_cache: erasing tokens copies 3 shared pages, the pool "
                    "has 1 free");
  CHECK_THROWS_WITH(one.erase_and_unshare(4, 8),
                    "paged_cache: erasing tokens copies 2 shared "
                    "pages, the pool has 1 free");
  CHECK_THROWS_WITH(one.unshare(3, 5),
                    "paged_cache: writing tokens copies 2 shared pages, the pool "
                    "has 1 free");
  CHECK(std::ranges::equal(one.block_table(), table));
  CHECK((pool.pages_free() == 1 && pool.pages_shared() == 4 && one.tokens() == 15));
  one.unshare(4, 4);
  one.erase(7, 7);
  one.erase(4, 8);
  CHECK((pool.pages_free() == 1 && pool.pages_shared() == 3));
  one.erase_and_unshare(4, 8);
  CHECK(holds({one.fork(), {0, 1, 2, 3, 12, 13, 14}}));
  CHECK((pool.pages_free() == 0 && pool.pages_shared() == 1));
  CHECK(holds({two.fork(), {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}}));
}

TEST_CASE("pages that were unshared are written without a page more") {
  Pool pool(7, 4, 1, 2);
  Sequence one(pool);
  append(one, 0, 11);
  const Sequence two = one.fork();
  one.unshare(5, 11);
  CHECK((pool.pages_in_use() == 5 && pool.pages_shared() == 1));
  const token_rows rows({20, 21, 22}, 1, 2, 2);
  one.write_keys(7, rows.keys());
  CHECK((pool.pages_in_use() == 5 && pool.pages_shared() == 1));
  one.erase_and_unshare(2, 2);
  CHECK((pool.pages_in_use() == 6 && pool.pages_shared() == 0));
  CHECK_THROWS_WITH(one.unshare(4, 12),
                    "paged_cache: unsharing tokens [4, 12), expected a range "
                    "within size = 11");
  CHECK(holds({two.fork(), {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}}));
}

TEST_CASE("a sequence refuses what it has no room for") {
  Pool pool(8, 4, 1, 2);
  CHECK_THROWS_WITH(Sequence(pool, -1),
                    contains("paged_cache: capacity = -1, expected at least 0"));
  Sequence sequence(pool, 5);
  append(sequence, 0, 3);
  CHECK_THROWS_WITH(append(sequence, 3, 3),
                    contains("paged_cache: appending 3 tokens to 3 exceeds the capacity of 5"));
  CHECK_THROWS_WITH(sequence.truncate(4),
                    contains("paged_cache: truncate to 4 tokens, expected 0 to size = 3"));
  CHECK_THROWS_WITH(sequence.truncate(-1), contains("truncate to -1 tokens"));
  CHECK(sequence.fork().capacity() == 5);
  constexpr Index endless = std::numeric_limits<Index>::max();
  CHECK(Sequence(pool, endless).capacity() == endless);
}

TEST_CASE("a sequence that was moved from is empty, and may be used again") {
  Pool pool(8, 4, 1, 2), other_pool(8, 2, 1, 2);
  Sequence one(pool);
  append(one, 0, 6);
  Sequence two = std::move(one);
  CHECK((one.tokens() == 0 && one.block_table().empty()));
  append(one, 10, 2);
  CHECK(holds({one.fork(), {10, 11}}));
  CHECK(holds({two.fork(), {0, 1, 2, 3, 4, 5}}));
  Sequence& same = two;
  two = std::move(same);
  CHECK(holds({two.fork(), {0, 1, 2, 3, 4, 5}}));
  Sequence three(other_pool);
  append(three, 20, 3);
  two = std::move(three);  // from another pool
  CHECK(holds({two.fork(), {20, 21, 22}}));
  CHECK((pool.pages_in_use() == 1 && pool.sequences() == 1));
  CHECK((other_pool.pages_in_use() == 2 && other_pool.sequences() == 2));
}

TEST_CASE("no page is given up twice, however often a sequence is told to") {
  Pool pool(8, 4, 1, 2);
  Sequence one(pool);
  append(one, 0, 6);
  const Sequence two = one.fork();
  one.clear();
  one.clear();
  one.truncate(0);
  CHECK((pool.pages_free() == 6 && pool.pages_shared() == 0));
  Sequence three = std::move(one);
  one.clear();
  { const Sequence gone = std::move(three); }
  three = std::move(one);
  CHECK((pool.pages_free() == 6 && pool.sequences() == 3));
  CHECK(holds({two.fork(), {0, 1, 2, 3, 4, 5}}));
}

TEST_CASE("a codec that throws leaves a sequence as it was") {
  struct refusing {
    using Storage = float;
    static Index storage_size(Index dim) { return dim; }
    static void encode(const float* row, Storage* stored, Index dim) {
      if (row[0] < 0) throw std::runtime_error("refused");
      std::copy(row, row + dim, stored);
    }
    static void decode(const Storage* stored, float* row, Index dim) {
      std::copy(stored, stored + dim, row);
    }
    static void decode(const Storage* stored, double* row, Index dim) {
      std::copy(stored, stored + dim, row);
    }
  };
  hr::page_pool<refusing> pool(6, 2, 1, 1);
  hr::paged_cache sequence(pool);
  const auto add = [](auto& to, std::vector<float> numbers) {
    const auto rows = hr::tokens_major<const float>(numbers.data(), std::ssize(numbers), 1, 1);
    to.append(rows, rows);
  };
  add(sequence, {1});
  CHECK_THROWS_AS(add(sequence, {2, 3, 4, -1}), std::runtime_error);
  CHECK((sequence.tokens() == 1 && sequence.block_table().size() == 1));
  auto fork = sequence.fork();
  add(fork, {5, 6});
  add(sequence, {7, 8});
  CHECK(*fork.keys(0, 1, 3).rows == 5);
  CHECK(*sequence.keys(0, 1, 3).rows == 7);
  CHECK(*sequence.keys(0, 2, 3).rows == 8);
}
