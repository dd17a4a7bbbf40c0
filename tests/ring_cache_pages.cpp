// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a ring on pages holds the pages of its prefix and its window, and no other; forks share
// what they hold. ring_cache_law.cpp has the law about what it answers.
#include <headroom/kv_cache.hpp>
#include <headroom/latent_cache.hpp>
#include <headroom/layer.hpp>
#include <headroom/mla.hpp>
#include <headroom/page_pool.hpp>
#include <headroom/paged_cache.hpp>
#include <headroom/paged_latents.hpp>
#include <headroom/ring_cache.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "support/pages.hpp"
#include "support/problem.hpp"
#include "support/refusal.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

using Pool = hr::page_pool<float, 2, 16>;
using Ring = hr::ring_cache<hr::paged_cache<float, 2, 16>>;
using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

static_assert(hr::wrapping_cache<Ring>);
static_assert(!hr::kv_source<Ring>);
static_assert(!std::is_copy_constructible_v<Ring> && std::is_nothrow_move_constructible_v<Ring>);
static_assert(!std::is_constructible_v<Ring, hr::ring_shape>);
static_assert(!std::is_constructible_v<Ring, hr::ring_shape, hr::page_pool<float, 2, 8>&>);
static_assert(
    !std::is_constructible_v<hr::ring_cache<hr::kv_cache<float, 2, 16>>, hr::ring_shape, Pool&>);

template <class Problem>
void append(Ring& ring, const Problem& p, Index begin, Index end) {
  for (const Index chunk = ring.shape().chunk; begin < end; begin += chunk) {
    const Index next = std::min(begin + chunk, end);
    ring.append(p.keys().slice_tokens(begin, next), p.values().slice_tokens(begin, next));
  }
}

answer<float> attend_to(hr::view<const float> q, const Ring& ring) {
  answer<float> result{{q.tokens(), 4, 16}, {q.tokens(), 4, 1}};
  hr::gqa<4, 2, 16>()(q, ring, result.out.view(), hr::causal(), {.lse = result.lse.per_head()});
  return result;
}

}  // namespace

TEST_CASE("pages are taken as they are needed, and given up when they leave the window") {
  const problem<> p({1, 400, 4, 2, 16, 16});
  Pool pool(100, 4);
  Ring ring({.window = 10, .prefix = 5, .chunk = 3}, pool);
  CHECK(ring.tokens() == 0);
  CHECK(pool.pages_in_use() == 0);
  append(ring, p, 0, 6);
  CHECK(pool.pages_in_use() == 2);
  append(ring, p, 6, 400);
  CHECK(ring.tokens() == 400);
  // Two pages of the prefix; of 388, the oldest that is kept, to 399: three.
  CHECK(pool.pages_in_use() == 5);
  CHECK(ring.stored().tokens() == 20);
  CHECK(ring.capacity() == 8 + 10 + 6 - 1 + 3);
  ring.truncate(397);
  CHECK(pool.pages_in_use() == 5);
  ring.truncate(5);  // the prefix alone
  CHECK(pool.pages_in_use() == 2);
  ring.clear();
  CHECK(pool.pages_in_use() == 0);
  append(ring, p, 0, 4);
  CHECK(pool.pages_in_use() == 1);
}

TEST_CASE("forks share a prompt until it leaves the window of one, and then its prefix") {
  const problem<> p({1, 200, 4, 2, 16, 16});
  Pool pool(50, 4);
  const hr::ring_shape shape{.window = 12, .prefix = 4, .chunk = 4};
  Ring one(shape, pool);
  append(one, p, 0, 20);
  const Index alone = pool.pages_in_use();
  Ring two = one.fork();
  CHECK(pool.pages_in_use() == alone);
  CHECK(pool.pages_shared() == alone);
  const auto before = attend_to(p.queries(), one);
  append(two, p, 100, 160);
  CHECK(same_bits(attend_to(p.queries(), one), before));
  CHECK(pool.pages_shared() == 1);
  append(one, p, 20, 160);
  Ring anew(shape, pool);
  append(anew, p, 0, 160);
  CHECK(same_bits(attend_to(p.queries(), one), attend_to(p.queries(), anew)));

  Ring moved = std::move(one);
  CHECK(one.tokens() == 0);
  CHECK(moved.tokens() == 160);
  one = std::move(moved);
  CHECK(same_bits(attend_to(p.queries(), one), attend_to(p.queries(), anew)));
  append(moved, p, 0, 4);  // what was moved from is empty, and goes on
  CHECK(moved.tokens() == 4);
}

TEST_CASE("keys are written on pages of one's own, forks keep theirs") {
  const problem<> p({1, 100, 4, 2, 16, 16});
  Pool pool(14, 4);
  Ring one({.window = 12, .prefix = 5, .chunk = 4}, pool);
  append(one, p, 0, 60);  // from 45 on
  const auto before = attend_to(p.queries(), one);
  const Ring two = one.fork();
  const Index alone = pool.pages_in_use();
  one.write_keys(0, p.keys().slice_tokens(60, 65));   // two pages
  one.write_keys(51, p.keys().slice_tokens(65, 70));  // and two
  CHECK(pool.pages_in_use() == alone + 4);
  CHECK(same_bits(attend_to(p.queries(), two), before));

  tensor<float> keys(p.k);
  const auto write = [&](Index first, Index begin, Index end) {
    for (Index t = begin; t < end; ++t)
      for (Index g = 0; g < 2; ++g)
        std::copy_n(p.keys().row(t, g), 16, keys.view().row(first + t - begin, g));
  };
  write(0, 60, 65);
  write(51, 65, 70);
  Pool others(14, 4);
  Ring anew({.window = 12, .prefix = 5, .chunk = 4}, others);
  for (Index t = 0; t < 60; t += 4)
    anew.append(keys.view().slice_tokens(t, t + 4), p.values().slice_tokens(t, t + 4));
  CHECK(same_bits(attend_to(p.queries(), one), attend_to(p.queries(), anew)));

  // Pages that are given up may not be written; nor are there always some for copies.
  const auto unchanged = attend_to(p.queries(), one);
  CHECK_THROWS_AS(one.write_keys(44, p.keys().slice_tokens(0, 2)), std::invalid_argument);
  hr::paged_cache<float, 2, 16> other(pool);
  const RowMajor rest = RowMajor::Zero(4 * pool.pages_free(), 32);
  other.append(rest, rest);
  const Ring three = one.fork();
  CHECK_THROWS_AS(one.write_keys(45, p.keys().slice_tokens(0, 15)), std::length_error);
  CHECK(same_bits(attend_to(p.queries(), one), unchanged));
}

TEST_CASE("what is refused changes neither ring nor pool") {
  const problem<> p({1, 200, 4, 2, 16, 16});
  Pool pool(8, 4);
  Ring ring({.window = 9, .chunk = 4}, pool);
  append(ring, p, 0, 102);
  const auto before = attend_to(p.queries(), ring);
  append(ring, p, 102, 104);
  const auto unchanged = attend_to(p.queries(), ring);
  hr::paged_cache<float, 2, 16> other(pool);
  const RowMajor rest = RowMajor::Zero(4 * pool.pages_free(), 32);
  other.append(rest, rest);
  CHECK_THROWS_AS(append(ring, p, 104, 105), std::length_error);
  CHECK_THROWS_AS(ring.append(RowMajor(5, 32), RowMajor(5, 32)), std::length_error);
  CHECK_THROWS_AS(ring.append(RowMajor(1, 32), RowMajor(2, 32)), std::invalid_argument);
  CHECK_THROWS_AS(ring.append(RowMajor(1, 30), RowMajor(1, 32)), std::invalid_argument);
  CHECK(refusal_of([&] { ring.truncate(98); }) ==
        "ring_cache: truncate: the next query at position 98 sees token 90, expected at least 92, "
        "the oldest that is kept");
  CHECK(ring.tokens() == 104);
  CHECK(pool.pages_free() == 0);
  CHECK(same_bits(attend_to(p.queries(), ring), unchanged));
  ring.truncate(102);
  CHECK(same_bits(attend_to(p.queries(), ring), before));
  other.clear();
  append(ring, p, 102, 150);

  Ring narrow({.window = 1, .chunk = 2}, pool);
  append(narrow, p, 0, 50);
  CHECK(refusal_of([&] { narrow.truncate(47); }) ==
        "ring_cache: truncate: the next query at position 47 sees token 47, expected at least 48, "
        "the oldest that is kept");
  narrow.truncate(48);
  narrow.truncate(0);
  CHECK(refusal_of([&] { Ring({.window = 0}, pool); }) ==
        "ring_cache: window = 0, expected at least 1");
}

TEST_CASE("what pages held before does not reach a result") {
  const problem<> p({4, 100, 4, 2, 16, 16});
  Pool clean_pool(20, 16), odd_pool(20, 16);
  poison(odd_pool);
  const hr::ring_shape shape{.window = 19, .prefix = 3, .chunk = 4};
  Ring clean(shape, clean_pool), odd(shape, odd_pool);
  append(clean, p, 0, 100);
  append(odd, p, 0, 3);
  const RowMajor nan = RowMajor::Constant(4, 32, quiet_nan<float>());
  for (int i = 0; i < 18; ++i) odd.append(nan, nan);  // tokens 3 to 74
  append(odd, p, 75, 100);
  const auto got = attend_to(p.queries(), odd), expected = attend_to(p.queries(), clean);
  for (Index t = 0; t < 4; ++t)
    for (Index h = 0; h < 4; ++h)
      for (Index d = 0; d < 16; ++d)
        CHECK(std::abs(got.out.view()(t, h, d) - expected.out.view()(t, h, d)) < 1e-6f);
}

TEST_CASE("a step allocates nothing once one like it has run") {
  const problem<> p({3, 100, 4, 2, 16, 16});
  Pool pool(20, 4);
  Ring ring({.window = 30, .prefix = 4, .chunk = 3}, pool);
  tensor<float> out(3, 4, 16);
  const auto steps = [&] {
    for (Index t = 0; t < 60; t += 3) {
      append(ring, p, t, t + 3);
      hr::gqa<4, 2, 16>()(p.queries(), ring, out.view(), hr::causal());
      ring.truncate(ring.tokens() - 1);
    }
  };
  steps();
  const long count = allocations_of(steps);
  if (counts_allocations) CHECK(count == 0);
}

TEST_CASE("a layer's batch runs over rings on pages, and takes back what failed") {
  const RowMajor w = RowMajor::Random(64, 64), narrow = RowMajor::Random(32, 64);
  hr::layer_options<float> options;
  options.rotary = hr::rope(16);
  const hr::attention_layer layer(
      hr::attention<4, 2, 16>(),
      hr::attention_weights<float>{
          hr::linear(w), hr::linear(narrow), hr::linear(narrow), hr::linear(w), {}, {}, 1e-6},
      options);
  Pool pool(40, 4);
  const hr::ring_shape shape{.window = 8, .prefix = 1, .chunk = 9};
  Ring first(shape, pool), second(shape, pool);
  using Both = std::array<hr::layer_sequence<Ring>, 2>;
  using Full = hr::kv_cache<float, 2, 16>;
  Full full_first(60), full_second(60);
  const auto windowed = hr::causal() & (hr::sliding_window(8) | hr::prefix(1));
  for (const Index tokens : {9, 1, 4, 9, 9, 1}) {
    const RowMajor x = RowMajor::Random(tokens + 2, 64);
    RowMajor out(tokens + 2, 64), expected(tokens + 2, 64);
    layer.batch(x, Both{{{tokens, &first}, {2, &second}}}, out);
    layer.batch(x,
                std::array<hr::layer_sequence<Full>, 2>{{{tokens, &full_first}, {2, &full_second}}},
                expected, windowed);
    CHECK((out - expected).norm() < 1e-5f * expected.norm());
  }
  const Index in_use = pool.pages_in_use();
  const RowMajor x = RowMajor::Random(12, 64);
  RowMajor out(12, 64);
  CHECK_THROWS_AS(layer.batch(x, Both{{{2, &first}, {10, &second}}}, out), std::length_error);
  CHECK((first.tokens() == 33 && second.tokens() == 12 && pool.pages_in_use() == in_use));
}

TEST_CASE("latents on pages have a ring, too") {
  constexpr Index heads = 3, rank = 12, nope = 6, rope = 4, value = 5;
  random_source random(78);
  const auto matrix = [&](Index rows, Index cols) {
    RowMajor m(rows, cols);
    random.fill(hr::as_view(m, 1));
    return m;
  };
  const auto c = matrix(120, rank), k_pe = matrix(120, rope), up = matrix(heads * 11, rank);
  const hr::mla<heads, rank, nope, rope, value> attend;
  hr::latent_cache<float, rank, rope> full(120);
  hr::latent_page_pool<float, rank, rope> pool(9, 16);
  hr::ring_cache<hr::paged_latents<float, rank, rope>> ring({.window = 20, .chunk = 30}, pool);
  for (Index t = 0; t < 120; t += 30) {
    const auto q = matrix(30, heads * (nope + rope));
    RowMajor out(30, heads * value), expected = out;
    full.append(c.middleRows(t, 30), k_pe.middleRows(t, 30));
    ring.append(c.middleRows(t, 30), k_pe.middleRows(t, 30));
    attend(q, full, hr::linear(up), expected, hr::causal() & hr::sliding_window(20));
    attend(q, ring, hr::linear(up), out, hr::causal());
    CHECK((out - expected).norm() <= 1e-5f * expected.norm());
  }
  CHECK(pool.pages_in_use() == 4);  // of 71 to 119
}
