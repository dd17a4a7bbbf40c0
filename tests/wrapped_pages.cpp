// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: on pages, in one piece or as a ring, rotated and scaled caches give what they give around a
// kv_cache or a ring of one; forks go on alone, under the scales that they had.
#include <headroom/int8_codec.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/layer.hpp>
#include <headroom/page_pool.hpp>
#include <headroom/paged_cache.hpp>
#include <headroom/ring_cache.hpp>
#include <headroom/rotated_cache.hpp>
#include <headroom/scaled_cache.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>
#include <utility>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "support/pages.hpp"
#include "support/problem.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

constexpr int groups = 2, dim = 32;
constexpr Index tokens = 70;

template <class Stored>
using in_one_piece = hr::kv_cache<Stored, groups, dim>;
template <class Stored>
using on_pages = hr::paged_cache<Stored, groups, dim>;
template <class Stored>
using pool_of = hr::page_pool<Stored, groups, dim>;

template <class Cache>
using rotated = hr::rotated_cache<Cache>;
template <class Cache>
using scaled = hr::scaled_cache<Cache>;
template <class Cache>
using both = hr::rotated_cache<hr::scaled_cache<Cache>>;

using float_problem = problem<float>;

float_problem some_problem() {
  float_problem p({3, tokens, 4, groups, dim, dim});
  for (Index t = 0; t < tokens; ++t) p.k(t, 1, 3) *= 20;  // a channel that scales are for
  return p;
}

template <class Cache>
void append(Cache& cache, const float_problem& p, Index begin, Index end) {
  cache.append(p.keys().slice_tokens(begin, end), p.values().slice_tokens(begin, end));
}

template <class Cache>
answer<float> attend_to(const float_problem& p, const Cache& cache) {
  answer<float> result{{3, 4, dim}, {3, 4, 1}};
  hr::gqa<4, groups, dim>()(p.queries(), cache, result.out.view(), hr::causal(),
                            {.lse = result.lse.per_head()});
  return result;
}

template <template <class> class Around, class Stored>
void check_pages() {
  const float_problem p = some_problem();
  pool_of<Stored> pool(20, 16);
  poison(pool);
  Around<in_one_piece<Stored>> whole(tokens);
  Around<on_pages<Stored>> pages(pool);
  for (const auto& [begin, end] : {std::pair<Index, Index>{0, 33}, {33, 34}, {34, 60}}) {
    append(whole, p, begin, end);
    append(pages, p, begin, end);
    REQUIRE(same_bits(attend_to(p, pages), attend_to(p, whole)));
  }
  auto fork = pages.fork();
  CHECK(pool.pages_shared() == 4);
  append(fork, p, 0, 20);
  REQUIRE(same_bits(attend_to(p, pages), attend_to(p, whole)));
  append(whole, p, 0, 20 - 10);
  fork.truncate(70);
  REQUIRE(same_bits(attend_to(p, fork), attend_to(p, whole)));

  auto moved = std::move(pages);
  CHECK((pages.tokens() == 0 && moved.tokens() == 60));
  append(pages, p, 40, 70);  // what was moved from is empty, and goes on
  Around<in_one_piece<Stored>> anew(tokens);
  append(anew, p, 40, 70);
  REQUIRE(same_bits(attend_to(p, pages), attend_to(p, anew)));

  pages.clear();
  append(pages, p, 0, 60);
  const auto before = attend_to(p, pages);
  Around<on_pages<Stored>> rest(pool);
  while (pool.pages_free() > 0) append(rest, p, 0, 16);
  CHECK_THROWS_AS(append(pages, p, 0, 30), std::length_error);
  CHECK(pages.tokens() == 60);
  REQUIRE(same_bits(attend_to(p, pages), before));
}

template <template <class> class Around, class Stored>
void check_rings() {
  const float_problem p = some_problem();
  const hr::ring_shape shape{.window = 21, .prefix = 3, .chunk = 10};
  pool_of<Stored> pool(6, 16);
  Around<in_one_piece<Stored>> full(tokens);
  Around<hr::ring_cache<in_one_piece<Stored>>> ring(shape);
  Around<hr::ring_cache<on_pages<Stored>>> pages(shape, pool);
  const auto windowed = hr::causal() & (hr::sliding_window(21) | hr::prefix(3));
  for (Index t = 0; t < tokens; t += 10) {
    append(full, p, t, t + 10);
    append(ring, p, t, t + 10);
    append(pages, p, t, t + 10);
    answer<float> expected{{3, 4, dim}, {3, 4, 1}};
    hr::gqa<4, groups, dim>()(p.queries(), full, expected.out.view(), windowed);
    for (const auto& got : {attend_to(p, ring), attend_to(p, pages)})
      for (Index q = 0; q < 3; ++q)
        for (Index h = 0; h < 4; ++h)
          for (Index d = 0; d < dim; ++d)
            REQUIRE(std::abs(got.out.view()(q, h, d) - expected.out.view()(q, h, d)) < 2e-4f);
  }
  CHECK(pool.pages_in_use() <= 4);
  auto fork = pages.fork();
  append(fork, p, 0, 10);
  CHECK((pages.tokens() == tokens && fork.tokens() == tokens + 10));
}

}  // namespace

// What is around pages does not see how rows are stored in them: rows that are read as they are,
// and rows that are decoded, are enough.
TEST_CASE("rotated, scaled and both, on pages") {
  check_pages<rotated, Eigen::bfloat16>();
  check_pages<rotated, hr::int8_rows>();
  check_pages<scaled, Eigen::bfloat16>();
  check_pages<scaled, hr::int8_rows>();
  check_pages<both, hr::int8_rows>();
}

TEST_CASE("rotated, scaled and both, around rings in one piece and on pages") {
  check_rings<rotated, hr::int8_rows>();
  check_rings<scaled, hr::int8_rows>();
  check_rings<both, hr::int8_rows>();
}

TEST_CASE("given scales are those of forks, and a pool may hold numbers that clip without them") {
  const float_problem p = some_problem();
  pool_of<hr::saturating_int8> pool(10, 16);
  scaled<on_pages<hr::saturating_int8>> cache(pool);
  CHECK_THROWS_AS(append(cache, p, 0, 1), std::invalid_argument);
  tensor<float> scales(1, groups, dim);
  std::fill_n(scales.view().data(), scales.view().token_stride(), 0.5f);
  cache.set_key_scales(scales.view());
  cache.set_value_scales(scales.view());
  append(cache, p, 0, 40);
  auto fork = cache.fork();
  CHECK(fork.key_scales()(0, 1, 3) == 0.5f);
  append(fork, p, 40, 60);
  append(cache, p, 40, 60);
  CHECK(same_bits(attend_to(p, fork), attend_to(p, cache)));
}

TEST_CASE("a layer's batch takes rotated sequences of one pool") {
  using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const RowMajor w = RowMajor::Random(128, 128), narrow = RowMajor::Random(64, 128);
  const hr::attention_layer layer(
      hr::attention<4, groups, dim>(),
      hr::attention_weights<float>{
          hr::linear(w), hr::linear(narrow), hr::linear(narrow), hr::linear(w), {}, {}, 1e-6});
  using Pages = rotated<on_pages<hr::int8_rows>>;
  using Whole = rotated<in_one_piece<hr::int8_rows>>;
  pool_of<hr::int8_rows> pool(10, 16);
  Pages first(pool), second(pool);
  Whole first_whole(60), second_whole(60);
  for (const Index count : {20, 1, 5}) {
    const RowMajor x = RowMajor::Random(count + 3, 128);
    RowMajor out(count + 3, 128), expected = out;
    layer.batch(x, std::array<hr::layer_sequence<Pages>, 2>{{{count, &first}, {3, &second}}}, out);
    layer.batch(
        x, std::array<hr::layer_sequence<Whole>, 2>{{{count, &first_whole}, {3, &second_whole}}},
        expected);
    CHECK((out - expected).norm() <= 1e-6f * expected.norm());
  }
}

TEST_CASE("a step on pages allocates nothing once one like it has run") {
  const float_problem p = some_problem();
  pool_of<hr::int8_rows> pool(10, 16);
  both<on_pages<hr::int8_rows>> cache(pool);
  tensor<float> out(3, 4, dim);
  const auto steps = [&] {
    append(cache, p, 0, 20);
    append(cache, p, 20, 21);
    hr::gqa<4, groups, dim>()(p.queries(), cache, out.view(), hr::causal());
    cache.truncate(0);
  };
  steps();
  const long count = allocations_of(steps);
  if (counts_allocations) CHECK(count == 0);
}
