// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a paged_cache is used as a kv_cache is and gives what that gives, whoever shares its pages
// and whatever they hold beside its tokens. Once it is made, a sequence allocates nothing.
// paged_cache_bits.cpp has the law that results are the same bits.
#include <headroom/attention.hpp>
#include <headroom/int4_codec.hpp>
#include <headroom/int8_codec.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/layer.hpp>
#include <headroom/paged_cache.hpp>
#include <headroom/paged_view.hpp>
#include <headroom/token_slice.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <stdexcept>
#include <thread>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "support/pages.hpp"
#include "support/problem.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

template <class Source>
answer<float> attend_to(hr::view<const float> q, const Source& source) {
  answer<float> result{{q.tokens(), q.heads(), source.v_dim()}, {q.tokens(), q.heads(), 1}};
  const any_attention heads(q.heads(), source.groups(), source.qk_dim(), source.v_dim());
  heads(q, source, result.out.view(), hr::causal{}, {.lse = result.lse.per_head()});
  return result;
}

}  // namespace

TEST_CASE("a fork attends to what both have in common and what it added") {
  const problem<> common({0, 37, 4, 2, 16, 8}, 1), first({1, 5, 4, 2, 16, 8}, 2),
      second({1, 9, 4, 2, 16, 8}, 3);
  hr::page_pool<Eigen::bfloat16, 2, 16, 8> pool(10, 16);
  poison(pool);
  hr::paged_cache one(pool);
  one.append(common.keys(), common.values());
  hr::paged_cache two = one.fork();
  one.append(first.keys(), first.values());
  two.append(second.keys(), second.values());
  CHECK(pool.pages_shared() == 2);

  const auto expected = [&](const problem<>& added) {
    hr::kv_cache<Eigen::bfloat16, 2, 16, 8> cache(100);
    cache.append(common.keys(), common.values());
    cache.append(added.keys(), added.values());
    return attend_to(added.queries(), cache);
  };
  CHECK(same_bits(attend_to(first.queries(), one), expected(first)));
  CHECK(same_bits(attend_to(second.queries(), two), expected(second)));
}

TEST_CASE("NaN before, after and in place of tokens that were taken back is never read") {
  const problem<> p({3, 50, 4, 2, 16, 8});
  const auto garbage = [] {
    problem<> nan({0, 50, 4, 2, 16, 8});
    for (Index t = 0; t < 50; ++t)
      for (Index g = 0; g < 2; ++g) {
        fill_row(nan.k.view(), t, g, quiet_nan<float>());
        fill_row(nan.v.view(), t, g, quiet_nan<float>());
      }
    return nan;
  }();
  for (const Index page_tokens : {1, 3, 16, 64}) {
    hr::page_pool<float, 2, 16, 8> pool(120, page_tokens);
    poison(pool);
    hr::paged_cache other(pool), sequence(pool);
    other.append(garbage.keys().slice_tokens(0, 5), garbage.values().slice_tokens(0, 5));
    sequence.append(p.keys().slice_tokens(0, 20), p.values().slice_tokens(0, 20));
    const hr::paged_cache fork = sequence.fork();
    sequence.append(garbage.keys().slice_tokens(0, 40), garbage.values().slice_tokens(0, 40));
    sequence.truncate(20);
    sequence.append(p.keys().slice_tokens(20, 50), p.values().slice_tokens(20, 50));
    REQUIRE(error_ratio(attend_to(p.queries(), sequence), p.exact(hr::causal{})) <= 1);
  }
}

TEST_CASE("a refused append names what disagrees and changes nothing") {
  const problem<> p({0, 5, 2, 2, 8, 6});
  const auto k = p.keys(), v = p.values();
  hr::page_pool<float> pool(3, 4, 2, 8, 6);
  hr::paged_cache sequence(pool);
  sequence.append(k, v);
  const auto refused = [&](hr::view<const float> keys, hr::view<const float> values,
                           const char* said) {
    CHECK_THROWS_WITH(sequence.append(keys, values), contains(said));
  };
  refused(k.slice_heads(0, 1), v, "paged_cache: k has 1 heads, expected KV_groups = 2");
  refused(k.slice_dim(0, 7), v, "paged_cache: k has width 7, expected 8");
  refused(k, v.slice_heads(0, 1), "paged_cache: v has 1 heads, expected KV_groups = 2");
  refused(k, v.slice_dim(0, 5), "paged_cache: v has width 5, expected 6");
  refused(k, v.slice_tokens(0, 4), "paged_cache: v has 4 tokens, expected 5 as k");
  const auto fork = sequence.fork();
  hr::paged_cache greedy(pool, 4);
  greedy.append(k.slice_tokens(0, 4), v.slice_tokens(0, 4));
  refused(k, v, "paged_cache: appending 5 tokens to 5 takes 2 pages, the pool has 0 free");
  CHECK(sequence.tokens() == 5);
  for (Index t = 0; t < 5; ++t)
    for (Index g = 0; g < 2; ++g) {
      CHECK(std::equal(k.row(t, g), k.row(t, g) + 8, sequence.keys(g, t, 5).rows));
      CHECK(std::equal(v.row(t, g), v.row(t, g) + 6, fork.values(g, t, 5).rows));
    }
}

TEMPLATE_TEST_CASE("a sequence leaves its pool and comes back as it was stored", "", float,
                   Eigen::bfloat16, hr::int8_rows, hr::int4_blocks) {
  const problem<> p({3, 37, 4, 2, 40, 24});
  hr::page_pool<TestType> pool(12, 4, 2, 40, 24), other_pool(9, 7, 2, 40, 24);
  poison(pool);
  poison(other_pool);
  hr::paged_cache sequence(pool);
  sequence.append(p.keys(), p.values());
  const auto expected = attend_to(p.queries(), sequence);

  hr::kv_cache<TestType> aside(60, 2, 40, 24);
  aside.append(sequence, 0, 20);
  const hr::token_slice rest(sequence, 20, 37);
  aside.append(rest, 0, 17);
  CHECK(same_bits(attend_to(p.queries(), aside), expected));
  sequence.clear();
  hr::paged_cache back(other_pool);
  back.append(aside, 0, 37);
  CHECK(same_bits(attend_to(p.queries(), back), expected));

  // Its own tokens, onto a page that a fork holds.
  hr::paged_cache fork = back.fork();
  back.append(back, 30, 37);
  aside.append(aside, 30, 37);
  CHECK(same_bits(attend_to(p.queries(), back), attend_to(p.queries(), aside)));
  CHECK(same_bits(attend_to(p.queries(), fork), expected));

  // A table and memory of one's own.
  const hr::paged_view<typename decltype(back)::KeyCodec> view(
      other_pool.key_pages(), other_pool.value_pages(), {9, 7, 2, 40, 24}, fork.block_table(), 37);
  sequence.append(view, 0, 37);
  CHECK(same_bits(attend_to(p.queries(), sequence), expected));
}

TEST_CASE("tokens of another source that do not fit are refused, and nothing is changed") {
  const problem<> p({1, 20, 4, 2, 16, 8});
  hr::kv_cache<float> other(20, 2, 16, 8), narrow(20, 2, 15, 8);
  other.append(p.keys(), p.values());
  hr::page_pool<float> pool(3, 4, 2, 16, 8);
  hr::paged_cache sequence(pool);
  sequence.append(other, 0, 6);
  const auto before = attend_to(p.queries(), sequence);
  CHECK_THROWS_WITH(sequence.append(narrow, 0, 0),
                    contains("paged_cache: other has qk_dim = 15, expected 16"));
  CHECK_THROWS_WITH(sequence.append(other, 18, 21),
                    contains("paged_cache: appending other's tokens [18, 21), expected a range "
                             "within size = 20"));
  CHECK_THROWS_AS(sequence.append(other, 0, 7), std::length_error);
  const hr::paged_cache fork = sequence.fork();
  CHECK_THROWS_AS(sequence.append(sequence, 0, 6), std::length_error);
  CHECK((pool.pages_free() == 1 && pool.pages_shared() == 2 && sequence.tokens() == 6));
  CHECK(same_bits(attend_to(p.queries(), sequence), before));
}

TEST_CASE("keys are written over others, values stay, and forks keep both") {
  const problem<> p({0, 11, 2, 2, 8, 6}, 1), other({0, 11, 2, 2, 8, 6}, 2);
  for (const Index page_tokens : {1, 3, 4, 16}) {
    hr::page_pool<Eigen::half, 2, 8, 6> pool(30, page_tokens);
    poison(pool);
    hr::paged_cache one(pool);
    one.append(p.keys(), p.values());
    const hr::paged_cache two = one.fork();
    const auto k = other.keys().slice_tokens(4, 9);
    one.write_keys(4, k);
    for (Index t = 0; t < 11; ++t)
      for (Index g = 0; g < 2; ++g) {
        const auto now = (4 <= t && t < 9 ? other : p).keys();
        for (Index d = 0; d < 8; ++d) {
          REQUIRE(one.keys(g, t, 11).rows[d] == static_cast<Eigen::half>(now(t, g, d)));
          REQUIRE(two.keys(g, t, 11).rows[d] == static_cast<Eigen::half>(p.keys()(t, g, d)));
        }
        for (Index d = 0; d < 6; ++d)
          REQUIRE(one.values(g, t, 11).rows[d] == static_cast<Eigen::half>(p.values()(t, g, d)));
      }
    // Pages before and behind stay shared.
    const Index written = (9 + page_tokens - 1) / page_tokens - 4 / page_tokens;
    REQUIRE(pool.pages_in_use() == std::ssize(two.block_table()) + written);
    REQUIRE(pool.pages_shared() == std::ssize(two.block_table()) - written);
    one.write_keys(4, k);
    REQUIRE(pool.pages_in_use() == std::ssize(two.block_table()) + written);
    one.write_keys(0, k.slice_tokens(0, 0));
    one.write_keys(11, k.slice_tokens(0, 0));

    CHECK_THROWS_WITH(one.write_keys(8, k.slice_tokens(0, 4)),
                      "paged_cache: writing keys of 4 tokens from 8 on, expected a range within "
                      "size = 11");
    CHECK_THROWS_WITH(
        one.write_keys(12, k),
        contains("writing keys of " + std::to_string(k.tokens()) + " tokens from 12 on"));
    CHECK_THROWS_AS(one.write_keys(-1, k), std::invalid_argument);
    CHECK_THROWS_WITH(one.write_keys(0, k.slice_dim(0, 5)),
                      "paged_cache: k has width 5, expected 8");
  }
}

TEST_CASE("keys whose pages the pool has no copies for are not written") {
  const problem<> p({0, 11, 1, 1, 4, 4}, 1);
  hr::page_pool<float, 1, 4> pool(4, 4);
  hr::paged_cache one(pool);
  one.append(p.keys(), p.values());
  const hr::paged_cache two = one.fork();
  CHECK_THROWS_WITH(one.write_keys(2, p.keys().slice_tokens(0, 3)),
                    "paged_cache: writing tokens copies 2 shared pages, the pool has 1 free");
  CHECK((pool.pages_free() == 1 && pool.pages_shared() == 3));
  CHECK(std::ranges::equal(one.block_table(), two.block_table()));
  for (Index d = 0; d < 4; ++d) CHECK(one.keys(0, 2, 11).rows[d] == p.keys()(2, 0, d));
  CHECK_NOTHROW(one.write_keys(5, p.keys().slice_tokens(0, 3)));
}

TEST_CASE("what is left of erased tokens is what a kv_cache is left with") {
  const problem<> p({2, 40, 4, 2, 16, 8});
  for (const Index page_tokens : {1, 3, 16, 64})
    for (const auto& [begin, end] :
         {std::array<Index, 2>{0, 40}, {0, 1}, {5, 5}, {16, 32}, {4, 36}, {3, 37}, {30, 40}}) {
      INFO("pages of " << page_tokens << ", tokens [" << begin << ", " << end << ")");
      hr::page_pool<float, 2, 16, 8> pool(90, page_tokens);
      poison(pool);
      hr::paged_cache pages(pool);
      hr::kv_cache<float, 2, 16, 8> cache(40);
      pages.append(p.keys(), p.values());
      cache.append(p.keys(), p.values());
      const auto before = attend_to(p.queries(), cache);
      const hr::paged_cache fork = pages.fork();
      pages.erase(begin, end);
      cache.erase(begin, end);
      REQUIRE(pages.tokens() == cache.tokens());
      REQUIRE(same_bits(attend_to(p.queries(), pages), attend_to(p.queries(), cache)));
      REQUIRE(same_bits(attend_to(p.queries(), fork), before));
    }
}

TEST_CASE("appending, cutting, clearing and attending allocate nothing") {
  const problem<> p({1, 700, 8, 2, 64, 64});
  hr::page_pool<Eigen::bfloat16, 2, 64> pool(60, 16);
  tensor<float> out(1, 8, 64);
  const hr::gqa<8, 2, 64> attend;
  hr::paged_cache one(pool), two(pool);
  const auto steps = [&] {
    for (Index t = 0; t < 700; ++t) {
      one.append(p.keys().slice_tokens(t, t + 1), p.values().slice_tokens(t, t + 1));
      if (t % 50 == 49) attend(p.queries(), one, out.view());
    }
    one.erase(7, 200);
    one.write_keys(100, p.keys().slice_tokens(0, 90));
    one.truncate(333);
    two.append(p.keys().slice_tokens(0, 400), p.values().slice_tokens(0, 400));
    one.clear();
    two.clear();
  };
  one.append(p.keys(), p.values());
  attend(p.queries(), one, out.view());
  hr::paged_cache fork = one.fork();
  one.clear();
  const long copying = allocations_of([&] {  // 700 = 43 pages and 12 tokens; and alone again
    hr::paged_cache moved = std::move(fork);
    moved.append(p.keys().slice_tokens(0, 1), p.values().slice_tokens(0, 1));
    fork = std::move(moved);
    fork.erase(3, 350);
    fork.write_keys(0, p.keys().slice_tokens(0, 40));
    fork.clear();
  });
  const long count = allocations_of(steps);
  if (counts_allocations) {
    CHECK(copying == 0);
    CHECK(count == 0);
  }
}

TEST_CASE("a layer runs over pages as over a cache, and takes back what failed") {
  using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const RowMajor w = RowMajor::Random(16, 16), narrow = RowMajor::Random(8, 16);
  const hr::attention_layer layer(
      hr::attention<4, 2, 4>(),
      hr::attention_weights<float>{
          hr::linear(w), hr::linear(narrow), hr::linear(narrow), hr::linear(w), {}, {}, 1e-6});
  hr::kv_cache<float> cache(20, 2, 4);
  hr::page_pool<float> pool(5, 4, 2, 4);
  hr::paged_cache paged(pool);
  const RowMajor x = RowMajor::Random(21, 16);
  RowMajor out(21, 16), expected(21, 16);
  for (const Index tokens : {9, 1, 4}) {
    layer(x.topRows(tokens), paged, out.topRows(tokens));
    layer(x.topRows(tokens), cache, expected.topRows(tokens));
    CHECK(out.topRows(tokens) == expected.topRows(tokens));
  }
  const hr::paged_cache fork = paged.fork();
  CHECK_THROWS_AS(layer(x.topRows(7), paged, out.topRows(7)), std::length_error);
  CHECK(paged.tokens() == 14);
  layer(x.topRows(2), paged, out.topRows(2));
  layer(x.topRows(2), cache, expected.topRows(2));
  CHECK(out.topRows(2) == expected.topRows(2));
}

TEST_CASE("a sequence is read while a fork of it grows, shrinks and dies") {
  const problem<> p({1, 100, 4, 2, 16, 16});
  hr::page_pool<float, 2, 16> pool(40, 8);
  hr::paged_cache read(pool);
  read.append(p.keys(), p.values());
  const auto expected = attend_to(p.queries(), read);
  std::atomic<bool> done = false;
  bool same = true;
  hr::paged_cache written = read.fork();
  std::thread reader([&] {
    do same &= same_bits(attend_to(p.queries(), read), expected);
    while (!done);
  });
  for (int i = 0; i < 50; ++i) {
    written.append(p.keys().slice_tokens(0, 60), p.values().slice_tokens(0, 60));
    const auto fork = written.fork();
    written.truncate(90 + i % 10);
  }
  done = true;
  reader.join();
  CHECK(same);
}
