// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a context shift of a cache around another turns keys as they were appended, whatever they
// are stored as: what queries meet there afterwards are the keys at their new positions, within the
// roundings of storing them twice. Keys before the gap, and all values, keep their bits, and forks
// keep everything.
#include <headroom/context_shift.hpp>
#include <headroom/int8_codec.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/paged_cache.hpp>
#include <headroom/rotated_cache.hpp>
#include <headroom/scaled_cache.hpp>
#include <headroom/scores.hpp>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "support/problem.hpp"

#include <array>
#include <cmath>
#include <cstring>

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

constexpr Index tokens = 60, groups = 2, dim = 32, v_dim = 5;

using in_floats = hr::kv_cache<float, groups, dim, v_dim>;
using in_rows = hr::kv_cache<hr::int8_rows, groups, dim, v_dim>;
using on_pages = hr::paged_cache<hr::int8_blocks, groups, dim, v_dim>;

// Relative error of storing a row, of its largest number.
template <class Codec>
constexpr double error_of_row = std::is_same_v<typename Codec::Storage, float> ? 0x1p-24 : 1 / 254.;

// Keys at the positions from 0 on, without tokens [keep, keep + drop).
tensor<double> rotated(const problem<double>& p, Index keep, Index drop, const hr::rope& rotary) {
  tensor<double> result(tokens - drop, groups, dim);
  rotary(p.keys().slice_tokens(0, keep), result.view().slice_tokens(0, keep), 0);
  rotary(p.keys().slice_tokens(keep + drop, tokens),
         result.view().slice_tokens(keep, tokens - drop), keep);
  return result;
}

template <class Cache>
void fill(Cache& cache, const problem<double>& p, const hr::rope& rotary) {
  cache.append(rotated(p, tokens, 0, rotary).view(), p.values());
}

// The keys that queries meet: scores of those that are 1 in one channel.
template <class Cache>
const tensor<double> keys_met(const Cache& cache) {
  tensor<double> q(dim, groups, dim), k(cache.tokens(), groups, dim);
  for (Index d = 0; d < dim; ++d)
    for (Index g = 0; g < groups; ++g)
      for (Index e = 0; e < dim; ++e) q(d, g, e) = d == e ? 1 : 0;
  const hr::attention<groups, groups, dim, v_dim> attend;
  hr::visit_scores<double>(attend, hr::score_stage::raw, q.view(), cache, hr::none{}, {.scale = 1},
                           [&](const hr::score_tile<double>& tile) {
                             for (Index i = 0; i < tile.scores.rows(); ++i)
                               for (Index j = 0; j < tile.scores.cols(); ++j)
                                 k(tile.first_key + j, tile.head, tile.first_query + i) =
                                     tile.scores(i, j);
                           });
  return k;
}

// The source in a cache around one, or two.
template <class Cache>
const auto& source_of(const Cache& cache) {
  if constexpr (hr::kv_source<Cache>)
    return cache;
  else
    return source_of(cache.stored());
}

template <class Run>
bool same_row(const Run& a, const Run& b) {
  return std::memcmp(a.rows, b.rows, std::size_t(a.stride) * sizeof(*a.rows)) == 0;
}

// How far a turned key may be from what it was made of. Two rows are stored, two by two channels of
// the first are then turned; coming back from what is stored, errors of a row's numbers add up to
// at most sqrt(dim) times one, under shares of at least 1 / sqrt(dim) as under Hadamard's matrix.
// There are 3 log2(dim) + 3 roundings of numbers that are at most the norm of the row.
template <class Codec>
double bound(double norm) {
  const double roundings = (3 * std::log2(double(dim)) + 3) * 8 * 0x1p-24;
  return 1.02 * std::sqrt(double(dim)) * norm * (4 * error_of_row<Codec> + roundings);
}

template <class Cache>
void check(Cache& cache, const Cache& before, const problem<double>& p, Index keep, Index drop,
           const hr::rope& rotary) {
  INFO("keep " << keep << ", drop " << drop);
  hr::shift_context(cache, keep, drop, rotary);
  REQUIRE(cache.tokens() == tokens - drop);
  const auto want = rotated(p, keep, drop, rotary), got = keys_met(cache);
  using Codec = typename std::remove_cvref_t<decltype(source_of(cache))>::KeyCodec;
  for (Index t = 0; t < cache.tokens(); ++t)
    for (Index g = 0; g < groups; ++g) {
      const Index from = t < keep ? t : t + drop;
      REQUIRE(same_row(source_of(cache).values(g, t, t + 1),
                       source_of(before).values(g, from, from + 1)));
      if (t < keep || drop == 0)
        REQUIRE(same_row(source_of(cache).keys(g, t, t + 1),
                         source_of(before).keys(g, from, from + 1)));
      double norm = 0;
      for (Index d = 0; d < dim; ++d) norm = std::hypot(norm, want(t, g, d));
      for (Index d = 0; d < dim; ++d)
        REQUIRE(std::abs(got(t, g, d) - want(t, g, d)) <= bound<Codec>(norm));
    }
}

constexpr std::array<std::array<Index, 2>, 5> gaps = {{{4, 28}, {0, 1}, {30, 30}, {0, 60}, {9, 0}}};

}  // namespace

TEMPLATE_TEST_CASE("keys behind a rotation or scales turn as they were appended", "",
                   hr::rotated_cache<in_floats>, hr::scaled_cache<in_floats>,
                   hr::rotated_cache<in_rows>, hr::scaled_cache<in_rows>,
                   hr::rotated_cache<hr::scaled_cache<in_rows>>) {
  problem<double> p({0, tokens, groups, groups, dim, v_dim});
  for (Index t = 0; t < tokens; ++t) p.k(t, 0, 3) *= 8;  // for which there are such caches
  const hr::rope rotary(dim), few(12, {.pairing = hr::rope_pairing::interleaved});
  for (const hr::rope& of : {rotary, few})
    for (const auto& [keep, drop] : gaps) {
      TestType cache(tokens), before(tokens);
      fill(cache, p, of);
      fill(before, p, of);
      check(cache, before, p, keep, drop, of);
      CHECK(cache.capacity() == tokens);
    }
}

TEST_CASE("on pages, too, and forks keep what they have") {
  const problem<double> p({0, tokens, groups, groups, dim, v_dim});
  const hr::rope rotary(dim);
  for (const auto& [keep, drop] : gaps) {
    on_pages::Pool pool(20, 16);
    hr::rotated_cache<on_pages> cache(pool);
    fill(cache, p, rotary);
    const auto fork = cache.fork();
    const auto of_fork = keys_met(fork);
    check(cache, fork, p, keep, drop, rotary);
    CHECK(same_bits(keys_met(fork).view(), of_fork.view()));
  }
}

TEST_CASE("keys of some tokens turn there and back, the others keep their bits") {
  const problem<double> p({0, tokens, groups, groups, dim, v_dim});
  const hr::rope rotary(dim);
  hr::rotated_cache<in_floats> cache(tokens), before(tokens);
  fill(cache, p, rotary);
  fill(before, p, rotary);
  hr::rotate_cached_keys(cache, 10, 45, rotary, 1000);
  const auto turned = keys_met(cache), was = keys_met(before);
  CHECK(turned(10, 0, 0) != was(10, 0, 0));
  hr::rotate_cached_keys(cache, 10, 45, rotary, -1000);
  const auto back = keys_met(cache);
  for (Index t = 0; t < tokens; ++t)
    for (Index g = 0; g < groups; ++g)
      for (Index d = 0; d < dim; ++d)
        if (t < 10 || t >= 45)
          REQUIRE(turned(t, g, d) == was(t, g, d));
        else
          REQUIRE(std::abs(back(t, g, d) - was(t, g, d)) < 1e-5);
}

TEST_CASE(
    "a shift behind a rotation and scales allocates nothing, and a full pool changes nothing") {
  const problem<double> p({0, tokens, groups, groups, dim, v_dim});
  const hr::rope rotary(dim);
  hr::rotated_cache<hr::scaled_cache<in_rows>> cache(tokens);
  fill(cache, p, rotary);
  const auto shift = [&] { hr::shift_context(cache, 4, 20, rotary); };
  shift();
  const long count = allocations_of(shift);
  if (counts_allocations) CHECK(count == 0);

  on_pages::Pool pool(4, 16);
  hr::rotated_cache<on_pages> pages(pool);
  fill(pages, p, rotary);
  const auto fork = pages.fork();
  const auto before = keys_met(pages);
  CHECK_THROWS_AS(hr::shift_context(pages, 4, 10, rotary), std::length_error);
  CHECK_THROWS_AS(hr::rotate_cached_keys(pages, 4, 40, rotary, 1), std::length_error);
  CHECK(same_bits(keys_met(pages).view(), before.view()));
}

TEST_CASE("keys for other sizes, or for tokens that are not there, are refused under their names") {
  const problem<double> p({0, tokens, groups, groups, dim, v_dim});
  hr::rotated_cache<in_floats> rotated_keys(tokens);
  hr::scaled_cache<in_floats> scaled_keys(tokens);
  fill(rotated_keys, p, hr::rope(dim));
  fill(scaled_keys, p, hr::rope(dim));
  const auto before = keys_met(scaled_keys);
  CHECK_THROWS_WITH(scaled_keys.write_keys(0, p.keys().slice_dim(0, 4)),
                    "scaled_cache: k of shape [60, 2, 4], expected [tokens, 2, 32]");
  CHECK_THROWS_WITH(rotated_keys.write_keys(0, p.keys().slice_dim(0, 4)),
                    "kv_cache: k has width 4, expected 32");
  CHECK_THROWS_WITH(scaled_keys.write_keys(1, p.keys()),
                    "scaled_cache: writing keys of 60 tokens from 1 on, expected a range within "
                    "size = 60");
  CHECK_THROWS_AS(rotated_keys.erase(0, tokens + 1), std::invalid_argument);
  CHECK(same_bits(keys_met(scaled_keys).view(), before.view()));
  // What was moved from has neither tokens nor scales.
  const auto moved = std::move(scaled_keys);
  CHECK(same_bits(keys_met(moved).view(), before.view()));
  CHECK_THROWS_AS(scaled_keys.write_keys(0, p.keys()), std::invalid_argument);
}
