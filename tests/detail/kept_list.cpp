// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a list of tokens that stay is ascending and within the cache. Keeping them leaves every
// kind of cache as if no other had been appended, whatever forks hold; what is refused changes
// nothing.
#include <headroom/detail/kept_list.hpp>
#include <headroom/int8_codec.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/latent_cache.hpp>
#include <headroom/page_pool.hpp>
#include <headroom/paged_cache.hpp>
#include <headroom/paged_latents.hpp>
#include <headroom/ring_cache.hpp>
#include <headroom/rotated_cache.hpp>
#include <headroom/scaled_cache.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/problem.hpp"
#include "support/refusal.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

constexpr int groups = 2, dim = 16;
constexpr Index prompt = 37, drafts = 12;
using Cache = hr::kv_cache<hr::int8_rows, groups, dim>;
using Pages = hr::paged_cache<hr::int8_rows, groups, dim>;
using Pool = Pages::Pool;

const std::vector<std::vector<int>> lists = {
    {}, {0}, {1}, {0, 1, 4}, {3, 11}, {0, 1, 2, 3}, {2, 3, 5, 9, 10, 11}};

problem<float> some_problem() {
  return problem<float>({2, prompt + drafts, 4, groups, dim, dim});
}

template <class AnyCache>
void append(AnyCache& cache, const problem<float>& p, Index begin, Index end) {
  for (; begin < end; ++begin)
    cache.append(p.keys().slice_tokens(begin, begin + 1),
                 p.values().slice_tokens(begin, begin + 1));
}

template <class AnyCache>
answer<float> attend_to(const problem<float>& p, const AnyCache& cache) {
  answer<float> result{{2, 4, dim}, {2, 4, 1}};
  hr::gqa<4, groups, dim>()(p.queries(), cache, result.out.view(), hr::causal(),
                            {.lse = result.lse.per_head()});
  return result;
}

// make() gives an empty cache.
template <class Make>
void check(const Make& make) {
  const auto p = some_problem();
  for (const auto& list : lists) {
    INFO(list.size() << " drafts of " << drafts);
    auto cache = make();
    append(cache, p, 0, prompt + drafts);
    cache.keep(prompt, list);
    auto expected = make();
    append(expected, p, 0, prompt);
    for (const int draft : list) append(expected, p, prompt + draft, prompt + draft + 1);
    REQUIRE(cache.tokens() == expected.tokens());
    REQUIRE(same_bits(attend_to(p, cache), attend_to(p, expected)));
    append(cache, p, 5, 8);  // and goes on
    append(expected, p, 5, 8);
    REQUIRE(same_bits(attend_to(p, cache), attend_to(p, expected)));
  }
}

}  // namespace

TEST_CASE("of drafts the accepted ones are kept, in one piece, rotated, scaled and in a ring") {
  check([] { return Cache(60); });
  check([] { return hr::rotated_cache<Cache>(60); });
  check([] { return hr::scaled_cache<Cache>(60); });
  for (const Index prefix : {0, 3})
    check([&] {
      return hr::ring_cache<Cache>({.window = 9, .prefix = prefix, .chunk = drafts + 2});
    });
}

TEST_CASE("on pages of any length, too, and in rings of them") {
  for (const Index page_tokens : {1, 5, 16}) {
    Pool pool(200 / page_tokens, page_tokens);
    check([&] { return Pages(pool); });
    check([&] { return hr::rotated_cache<Pages>(pool); });
    check([&] {
      return hr::ring_cache<Pages>({.window = 9, .prefix = 3, .chunk = drafts + 2}, pool);
    });
    CHECK(pool.pages_in_use() == 0);
  }
}

TEST_CASE("forks keep what they have, and pages that are shared are copied if there are any") {
  const auto p = some_problem();
  Pool pool(14, 8);
  Pages one(pool), expected(pool);
  append(one, p, 0, prompt + drafts);
  Pages two = one.fork();
  const auto before = attend_to(p, two);
  one.keep(prompt, std::array{1, 2, 9});
  CHECK(same_bits(attend_to(p, two), before));
  append(expected, p, 0, prompt);
  for (const Index draft : {1, 2, 9}) append(expected, p, prompt + draft, prompt + draft + 1);
  CHECK(same_bits(attend_to(p, one), attend_to(p, expected)));

  expected.clear();
  Pages rest(pool);
  while (pool.pages_free() > 0) append(rest, p, 0, 8);
  two.truncate(prompt + drafts);
  Pages three = two.fork();
  const auto of_three = attend_to(p, three);
  CHECK(refusal_of<std::length_error>([&] {
          three.keep(prompt, std::array{1, 2, 9});
        }) ==
        "paged_cache: keeping some of the last tokens copies 1 shared pages, the pool has 0 free");
  CHECK(three.tokens() == prompt + drafts);
  CHECK(same_bits(attend_to(p, three), of_three));
  three.keep(prompt, std::array{0, 1});  // where they are: nothing is copied
  CHECK(three.tokens() == prompt + 2);
}

TEST_CASE("latents are kept as keys and values are") {
  const problem<float> p({0, 20, 1, 1, 4, 16});
  hr::latent_cache<float, 16, 4> cache(20);
  hr::latent_page_pool<float, 16, 4> pool(10, 4);
  hr::paged_latents<float, 16, 4> pages(pool);
  cache.append(p.values(), p.keys());
  pages.append(p.values(), p.keys());
  const std::array<std::int8_t, 3> kept = {2, 3, 8};
  cache.keep(10, kept);
  pages.keep(10, kept);
  CHECK((cache.tokens() == 13 && pages.tokens() == 13));
  for (Index i = 0; i < 3; ++i) {
    const Index t = 10 + kept[static_cast<std::size_t>(i)];
    for (const float* const row :
         {cache.keys(0, 10 + i, 11 + i).rows, pages.keys(0, 10 + i, 11 + i).rows}) {
      CHECK(row[15] == p.values()(t, 0, 15));
      CHECK(row[16] == p.keys()(t, 0, 0));
    }
  }
}

TEST_CASE("what is no such list is refused, and nothing changes") {
  const auto p = some_problem();
  Cache cache(60);
  append(cache, p, 0, 20);
  const auto before = attend_to(p, cache);
  const auto refusal = [&](Index first, const std::vector<int>& list) {
    const std::string said = refusal_of([&] { cache.keep(first, list); });
    CHECK(cache.tokens() == 20);
    CHECK(same_bits(attend_to(p, cache), before));
    return said;
  };
  CHECK(refusal(21, {}) == "kv_cache: keeping of the tokens from 21 on, expected 0 to size = 20");
  CHECK(refusal(-1, {}) == "kv_cache: keeping of the tokens from -1 on, expected 0 to size = 20");
  for (const auto& [list, i] :
       {std::pair<std::vector<int>, int>{{0, 4}, 1}, {{-1}, 0}, {{1, 1}, 1}, {{2, 1}, 1}})
    CHECK(refusal(16, list) == "kv_cache: kept[" + std::to_string(i) +
                                   "] = " + std::to_string(list[static_cast<std::size_t>(i)]) +
                                   ", expected ascending, each once, and less than 4, the tokens "
                                   "from 16 on");
  CHECK_THROWS_AS(cache.copy_token(20, 0), std::invalid_argument);
  CHECK_THROWS_AS(cache.copy_token(0, -1), std::invalid_argument);

  hr::ring_cache<Cache> ring({.window = 5, .chunk = 4});
  append(ring, p, 0, 40);
  CHECK(refusal_of([&] { ring.keep(30, std::array{1}); }) ==
        "ring_cache: keeping of the tokens from 30 on, expected from 32, the oldest that is kept");
  CHECK(refusal_of([&] { ring.keep(33, std::array{0}); }) ==
        "ring_cache: truncate: the next query at position 34 sees token 30, expected at least 32, "
        "the oldest that is kept");
  CHECK(ring.tokens() == 40);
}
