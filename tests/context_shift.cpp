// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: after a context shift a cache is as one that was filled without the tokens dropped, the
// keys behind them rotated to the positions that they now have: values, latents and the keys before
// are the same bits, turned keys are within a rounding or two of what they are stored in. On pages
// all of it is the same bits as in one piece, and forks keep what they have.
#include <headroom/context_shift.hpp>
#include <headroom/int8_codec.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/latent_cache.hpp>
#include <headroom/paged_cache.hpp>
#include <headroom/paged_latents.hpp>
#include <headroom/rope.hpp>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "support/pages.hpp"
#include "support/problem.hpp"
#include "support/random.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <numbers>
#include <stdexcept>
#include <string>
#include <vector>

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

constexpr Index tokens = 100, groups = 3, dim = 32;

// Relative error of a codec, of the largest number of a row.
template <class Stored>
struct codec_error;
template <>
struct codec_error<double> {
  static constexpr double of_row = 0x1p-53, of_rotation = 0x1p-53;
};
template <>
struct codec_error<float> {
  static constexpr double of_row = 0x1p-24, of_rotation = 0x1p-24;
};
template <>
struct codec_error<Eigen::half> {
  static constexpr double of_row = 0x1p-11, of_rotation = 0x1p-24;
};
template <>
struct codec_error<Eigen::bfloat16> {
  static constexpr double of_row = 0x1p-8, of_rotation = 0x1p-24;
};
template <std::same_as<hr::int8_blocks> Stored>
struct codec_error<Stored> {
  static constexpr double of_row = 1 / 254. + 2e-7, of_rotation = 0x1p-24;
};

// How far two ways to a rotated key may be apart. All rotations of a row are at most y = sqrt(2) a
// times its largest number. One way encodes the row rotated to its new position; the other encodes
// it rotated to the old one, whose errors a rotation adds up two by two, and what comes of turning
// that: four errors of the codec. There are three rotations, whose errors are at most
// 4 u (|x1| + |x2|) each and, in radians, those of their angles; the first error of rotating is
// turned with the row, so it counts twice.
template <class Stored>
double bound(const hr::rope& rotary, double largest, Index position) {
  using error = codec_error<Stored>;
  const double y = std::numbers::sqrt2 * rotary.amplitude() * largest;
  const double angle = double(position) * 0x1p-53;
  return 1.02 * y * (4 * error::of_row + 4 * 2 * (4 * error::of_rotation + angle));
}

double largest_of(const hr::view<const double>& x, Index t, Index h) {
  double result = 0;
  for (Index d = 0; d < x.dim(); ++d) result = std::max(result, std::abs(x(t, h, d)));
  return result;
}

// The keys of tokens [begin, end), rotated to the positions from `first` on.
tensor<double> rotated(const hr::view<const double>& keys, Index begin, Index end, Index first,
                       const hr::rope& rotary) {
  tensor<double> result(end - begin, keys.heads(), keys.dim());
  rotary(keys.slice_tokens(begin, end), result.view(), first);
  return result;
}

template <class Cache>
std::vector<double> key(const Cache& cache, Index g, Index t) {
  std::vector<double> numbers(static_cast<std::size_t>(cache.qk_dim()));
  Cache::KeyCodec::decode(cache.keys(g, t, t + 1).rows, numbers.data(), cache.qk_dim());
  return numbers;
}

template <class Run>
bool same_row(const Run& a, const Run& b) {
  return std::memcmp(a.rows, b.rows, std::size_t(a.stride) * sizeof(*a.rows)) == 0;
}

// A cache of the keys at their positions.
template <class Stored>
hr::kv_cache<Stored> filled(const problem<double>& p, const hr::rope& rotary) {
  hr::kv_cache<Stored> cache(tokens, groups, dim, 5);
  cache.append(rotated(p.keys(), 0, tokens, 0, rotary).view(), p.values());
  return cache;
}

const std::vector<hr::rope>& ropes() {
  static const std::vector<hr::rope> all = {
      hr::rope(dim), hr::rope(dim, {.pairing = hr::rope_pairing::interleaved}),
      hr::rope(12, {.base = 500, .pairing = hr::rope_pairing::interleaved}),
      hr::rope(20,
               {.scaling = hr::yarn_scaling{8, 64}, .amplitude = hr::yarn_magnitude(8).amplitude})};
  return all;
}

// All bytes that a source holds, token by token.
template <class Source>
std::vector<unsigned char> bytes_of(const Source& source) {
  std::vector<unsigned char> result;
  const auto add = [&](const auto* row, Index count) {
    const auto* const bytes = reinterpret_cast<const unsigned char*>(row);
    result.insert(result.end(), bytes, bytes + std::size_t(count) * sizeof(*row));
  };
  for (Index t = 0; t < source.tokens(); ++t)
    for (Index g = 0; g < source.groups(); ++g) {
      add(source.keys(g, t, t + 1).rows, Source::KeyCodec::storage_size(source.qk_dim()));
      add(source.values(g, t, t + 1).rows, Source::ValueCodec::storage_size(source.v_dim()));
    }
  return result;
}

std::vector<hr::page_id> table_of(const hr::paged_tokens& pages) {
  return {pages.block_table().begin(), pages.block_table().end()};
}

// Keys and values, or latents and rotary keys, and the caches that they go to.
template <class Stored>
struct keys_and_values {
  using Flat = hr::kv_cache<Stored, 2, 16, 5>;
  using Pages = hr::paged_cache<Stored, 2, 16, 5>;
  problem<float> p{{0, tokens, 2, 2, 16, 5}};
  hr::rope rotary{12, {.base = 500, .pairing = hr::rope_pairing::interleaved}};

  template <class Cache>
  void append(Cache& to, Index begin, Index end) const {
    to.append(p.keys().slice_tokens(begin, end), p.values().slice_tokens(begin, end));
  }
  template <class Cache>
  void append_nan(Cache& to, Index count) const {
    const std::vector<float> nan(std::size_t(count * 2 * 16), quiet_nan<float>());
    to.append(hr::tokens_major(nan.data(), count, 2, 16),
              hr::tokens_major(nan.data(), count, 2, 5));
  }
};
template <class Stored, class StoredRope = hr::detail::rope_key_storage<Stored>>
struct latents_and_keys {
  using Flat = hr::latent_cache<Stored, 32, 8, StoredRope>;
  using Pages = hr::paged_latents<Stored, 32, 8, StoredRope>;
  problem<float> p{{0, tokens, 1, 1, 8, 32}};
  hr::rope rotary{8};

  template <class Cache>
  void append(Cache& to, Index begin, Index end) const {
    to.append(p.values().slice_tokens(begin, end), p.keys().slice_tokens(begin, end));
  }
  template <class Cache>
  void append_nan(Cache& to, Index count) const {
    const std::vector<float> nan(std::size_t(count * 32), quiet_nan<float>());
    to.append(hr::tokens_major(nan.data(), count, 1, 32),
              hr::tokens_major(nan.data(), count, 1, 8));
  }
};

}  // namespace

TEMPLATE_TEST_CASE("a shifted cache is one filled without the tokens dropped", "", float, double,
                   Eigen::half, Eigen::bfloat16, hr::int8_blocks) {
  const problem<double> p({0, tokens, groups, groups, dim, 5});
  for (const hr::rope& rotary : ropes())
    for (const auto& [keep, drop] :
         {std::array<Index, 2>{4, 48}, {0, 1}, {30, 37}, {67, 33}, {99, 1}, {0, 100}, {10, 0}}) {
      auto cache = filled<TestType>(p, rotary);
      const auto before = filled<TestType>(p, rotary);
      hr::shift_context(cache, keep, drop, rotary);
      REQUIRE(cache.tokens() == tokens - drop);

      hr::kv_cache<TestType> fresh(tokens, groups, dim, 5);
      fresh.append(rotated(p.keys(), 0, keep, 0, rotary).view(), p.values().slice_tokens(0, keep));
      fresh.append(rotated(p.keys(), keep + drop, tokens, keep, rotary).view(),
                   p.values().slice_tokens(keep + drop, tokens));
      for (Index t = 0; t < fresh.tokens(); ++t)
        for (Index g = 0; g < groups; ++g) {
          INFO("token " << t << " of group " << g << ", keep " << keep << ", drop " << drop);
          REQUIRE(same_row(cache.values(g, t, t + 1), fresh.values(g, t, t + 1)));
          if (t < keep || drop == 0) {
            REQUIRE(same_row(cache.keys(g, t, t + 1), before.keys(g, t, t + 1)));
            continue;
          }
          const auto got = key(cache, g, t), want = key(fresh, g, t);
          const double most =
              bound<TestType>(rotary, largest_of(p.keys(), t + drop, g), t + 2 * drop);
          for (std::size_t d = 0; d < got.size(); ++d) REQUIRE(std::abs(got[d] - want[d]) <= most);
        }
    }
}

TEMPLATE_TEST_CASE("the latents of a shifted cache stay, its rotary keys turn", "", float,
                   Eigen::bfloat16, hr::int8_blocks) {
  constexpr Index rank = 64, rope_width = 8;
  const problem<double> p({0, tokens, 1, 1, rope_width, rank});
  const hr::rope rotary(rope_width, {.pairing = hr::rope_pairing::interleaved});
  hr::latent_cache<TestType, rank, rope_width> cache(tokens), fresh(tokens);
  cache.append(p.values(), rotated(p.keys(), 0, tokens, 0, rotary).view());
  const Index keep = 3, drop = 41;
  hr::shift_context(cache, keep, drop, rotary);
  fresh.append(p.values().slice_tokens(0, keep), rotated(p.keys(), 0, keep, 0, rotary).view());
  fresh.append(p.values().slice_tokens(keep + drop, tokens),
               rotated(p.keys(), keep + drop, tokens, keep, rotary).view());
  REQUIRE(cache.tokens() == fresh.tokens());
  // Rotary keys beside a codec are in 16 bits.
  using Rope = std::conditional_t<std::same_as<TestType, float>, float, Eigen::bfloat16>;
  for (Index t = 0; t < fresh.tokens(); ++t) {
    const auto got = key(cache, 0, t), want = key(fresh, 0, t);
    for (Index d = 0; d < rank; ++d) REQUIRE(got[std::size_t(d)] == want[std::size_t(d)]);
    const double most =
        t < keep ? 0 : bound<Rope>(rotary, largest_of(p.keys(), t + drop, 0), t + 2 * drop);
    for (std::size_t d = rank; d < got.size(); ++d) REQUIRE(std::abs(got[d] - want[d]) <= most);
  }
}

TEST_CASE("rotary keys in double turn in double, whatever latents are stored in") {
  const problem<double> p({0, 9, 1, 1, 4, 8});
  const hr::rope rotary(4);
  hr::latent_cache<float, 8, 4, double> cache(9), fresh(9);
  cache.append(p.values(), rotated(p.keys(), 0, 9, 0, rotary).view());
  fresh.append(p.values(), rotated(p.keys(), 0, 9, 7, rotary).view());
  hr::rotate_cached_keys(cache, 0, 9, rotary, 7);
  using Codec = decltype(cache)::KeyCodec;
  for (Index t = 0; t < 9; ++t) {
    double got[12], want[12];
    Codec::decode(cache.keys(0, t, t + 1).rows, got, 12);
    Codec::decode(fresh.keys(0, t, t + 1).rows, want, 12);
    for (int d = 8; d < 12; ++d) REQUIRE(std::abs(got[d] - want[d]) < 1e-14);
  }
}

TEST_CASE("keys turn by any distance, those of some tokens alone, and back") {
  const problem<double> p({0, tokens, groups, groups, dim, 5});
  const hr::rope& rotary = ropes()[3];
  auto cache = filled<float>(p, rotary);
  const auto before = filled<float>(p, rotary);
  hr::rotate_cached_keys(cache, 20, 90, rotary, 1000);
  const auto forward = rotated(p.keys(), 0, tokens, 1000, rotary);
  for (Index t = 0; t < tokens; ++t)
    for (Index g = 0; g < groups; ++g) {
      const double most = bound<float>(rotary, largest_of(p.keys(), t, g), t + 2000);
      for (Index d = 0; d < dim; ++d)
        if (20 <= t && t < 90)
          REQUIRE(std::abs(double(cache.key_view()(t, g, d)) - forward.view()(t, g, d)) <= most);
        else
          REQUIRE(cache.key_view()(t, g, d) == before.key_view()(t, g, d));
    }
  hr::rotate_cached_keys(cache, 20, 90, rotary, -1000);
  for (Index t = 20; t < 90; ++t)
    for (Index d = 0; d < dim; ++d)
      REQUIRE(std::abs(cache.key_view()(t, 1, d) - before.key_view()(t, 1, d)) <=
              2 * bound<float>(rotary, largest_of(p.keys(), t, 1), t + 2000));
}

TEST_CASE("no distance is no change, in few bits either") {
  const problem<double> p({0, tokens, groups, groups, dim, 5});
  auto cache = filled<hr::int8_blocks>(p, ropes()[0]);
  const auto before = filled<hr::int8_blocks>(p, ropes()[0]);
  hr::rotate_cached_keys(cache, 0, tokens, ropes()[0], 0);
  for (Index t = 0; t < tokens; ++t)
    REQUIRE(same_row(cache.keys(1, t, t + 1), before.keys(1, t, t + 1)));
}

TEST_CASE("what cannot be shifted is refused, and the cache is unchanged") {
  const problem<double> p({0, tokens, groups, groups, dim, 5});
  const hr::rope rotary(dim), wide(dim + 2);
  auto cache = filled<float>(p, rotary);
  const auto before = filled<float>(p, rotary);
  CHECK_THROWS_WITH(hr::shift_context(cache, 60, 41, rotary),
                    "shift_context: keep = 60 and drop = 41, expected at least 0 each, and in all "
                    "at most size = 100");
  CHECK_THROWS_AS(hr::shift_context(cache, -1, 4, rotary), std::invalid_argument);
  CHECK_THROWS_AS(hr::shift_context(cache, 4, -1, rotary), std::invalid_argument);
  CHECK_THROWS_WITH(hr::shift_context(cache, 4, 10, wide),
                    "rotate_cached_keys: rotary turns 34 channels, expected at most qk_dim = 32");
  CHECK_THROWS_WITH(
      hr::rotate_cached_keys(cache, 5, 101, rotary, 1),
      "rotate_cached_keys: rotating tokens [5, 101), expected a range within size = 100");
  CHECK_THROWS_AS(hr::rotate_cached_keys(cache, 6, 5, rotary, 1), std::invalid_argument);
  hr::page_pool<float> pool(8, 16, groups, dim, 5);
  hr::paged_cache pages(pool);
  pages.append(p.keys(), p.values());
  CHECK_THROWS_WITH(hr::shift_context(pages, 60, 41, rotary),
                    "shift_context: keep = 60 and drop = 41, expected at least 0 each, and in all "
                    "at most size = 100");
  CHECK_THROWS_WITH(hr::shift_context(pages, 4, 10, wide),
                    "rotate_cached_keys: rotary turns 34 channels, expected at most qk_dim = 32");
  CHECK_THROWS_AS(hr::rotate_cached_keys(pages, 6, 101, rotary, 1), std::invalid_argument);
  CHECK(pages.tokens() == tokens);
  hr::latent_cache<float> latents(4, 8, 4);
  CHECK_THROWS_WITH(hr::rotate_cached_keys(latents, 0, 0, hr::rope(6), 1),
                    "rotate_cached_keys: rotary turns 6 channels, expected at most rope = 4");
  REQUIRE(cache.tokens() == tokens);
  for (Index t = 0; t < tokens; ++t)
    for (Index g = 0; g < groups; ++g)
      REQUIRE(same_row(cache.keys(g, t, t + 1), before.keys(g, t, t + 1)));
}

TEST_CASE("a shift after the first like it allocates nothing") {
  const problem<double> p({0, tokens, groups, groups, dim, 5});
  const hr::rope& rotary = ropes()[0];
  auto cache = filled<Eigen::bfloat16>(p, rotary);
  const auto shift = [&] { hr::shift_context(cache, 4, 40, rotary); };
  shift();
  const long count = allocations_of(shift);
  if (counts_allocations) CHECK(count == 0);
  CHECK(cache.tokens() == 20);
}

TEMPLATE_TEST_CASE(
    "a shift on pages is that of a cache in one piece, and forks keep what they have", "",
    keys_and_values<float>, keys_and_values<Eigen::half>, keys_and_values<hr::int8_blocks>,
    latents_and_keys<float>, latents_and_keys<hr::int8_blocks>,
    (latents_and_keys<Eigen::bfloat16, double>)) {
  const TestType kind;
  using Pages = typename TestType::Pages;
  random_source random(1);
  for (int round = 0; round < 150; ++round) {
    const Index page_tokens = random.pick<Index>({1, 2, 3, 7, 16, 16, 64, 128});
    const auto pages_for = [&](Index count) { return (count + page_tokens - 1) / page_tokens; };
    const Index size = random.integer(1, tokens);
    Index keep = random.integer(0, random.chance(0.5) ? std::min<Index>(size, 5) : size);
    Index drop = random.integer(0, size - keep);
    if (random.chance(0.3)) keep -= keep % page_tokens;
    if (random.chance(0.3)) drop -= drop % page_tokens;
    INFO("round " << round << ": pages of " << page_tokens << ", " << size << " tokens, keep "
                  << keep << ", drop " << drop);
    typename TestType::Flat flat(tokens);
    typename Pages::Pool pool(2 * pages_for(tokens + 9) + 1, page_tokens);
    poison(pool);
    Pages pages(pool);
    kind.append(flat, 0, size);
    kind.append(pages, 0, size);
    if (random.chance(0.5)) {
      kind.append_nan(pages, 9);
      pages.truncate(size);
    }
    const Index common = random.pick<Index>({size, size, random.integer(0, size)});
    Pages fork = pages.fork();
    fork.truncate(common);
    const auto of_fork = bytes_of(fork);
    const auto table = table_of(fork);

    hr::shift_context(flat, keep, drop, kind.rotary);
    hr::shift_context(pages, keep, drop, kind.rotary);
    REQUIRE(pages.tokens() == size - drop);
    REQUIRE(bytes_of(pages) == bytes_of(flat));
    REQUIRE(bytes_of(fork) == of_fork);
    REQUIRE(table_of(fork) == table);
    // Pages that lie wholly before the gap are shared as they were, those behind are its own.
    const bool written = drop > 0 && keep + drop < size;
    const Index unchanged = written ? keep / page_tokens : pages_for(size - drop);
    const Index shared = std::min(unchanged, pages_for(common));
    REQUIRE(pool.pages_shared() == shared);
    REQUIRE(pool.pages_in_use() == pages_for(common) + pages_for(size - drop) - shared);

    // It goes on from there, and so does the fork.
    kind.append(flat, 0, 3);
    kind.append(pages, 0, 3);
    REQUIRE(bytes_of(pages) == bytes_of(flat));
    hr::shift_context(fork, 0, common / 2, kind.rotary);
    REQUIRE(bytes_of(pages) == bytes_of(flat));
  }
}

TEMPLATE_TEST_CASE("keys turn on pages as in one piece, and only theirs are copied", "",
                   keys_and_values<float>, keys_and_values<hr::int8_blocks>,
                   latents_and_keys<hr::int8_blocks>) {
  const TestType kind;
  using Pages = typename TestType::Pages;
  random_source random(2);
  for (int round = 0; round < 50; ++round) {
    const Index page_tokens = random.pick<Index>({1, 3, 16, 40, 128});
    const Index begin = random.integer(0, tokens), end = random.integer(begin, tokens);
    INFO("pages of " << page_tokens << ", tokens [" << begin << ", " << end << ")");
    typename TestType::Flat flat(tokens);
    typename Pages::Pool pool(2 * tokens, page_tokens);
    poison(pool);
    Pages pages(pool);
    kind.append(flat, 0, tokens);
    kind.append(pages, 0, tokens);
    const Pages fork = pages.fork();
    const auto of_fork = bytes_of(fork);
    hr::rotate_cached_keys(pages, begin, end, kind.rotary, 0);
    REQUIRE(pool.pages_in_use() == std::ssize(fork.block_table()));
    hr::rotate_cached_keys(flat, begin, end, kind.rotary, 70);
    hr::rotate_cached_keys(pages, begin, end, kind.rotary, 70);
    REQUIRE(bytes_of(pages) == bytes_of(flat));
    REQUIRE(bytes_of(fork) == of_fork);
    for (Index t = 0; t < tokens; t += page_tokens) {
      const auto page = std::size_t(t / page_tokens);
      const bool turned = begin < end && begin < t + page_tokens && t < end;
      REQUIRE((pages.block_table()[page] != fork.block_table()[page]) == turned);
    }
  }
}

TEMPLATE_TEST_CASE("where the pool has no pages for copies nothing is shifted", "",
                   keys_and_values<hr::int8_blocks>, latents_and_keys<float>) {
  const TestType kind;
  using Pages = typename TestType::Pages;
  struct call {
    Index page_tokens, keep, drop;
  };
  for (const call& c : {call{16, 4, 48},
                        {16, 4, 50},
                        {16, 32, 32},
                        {16, 0, 5},
                        {7, 20, 61},
                        {1, 10, 30},
                        {128, 4, 50}}) {
    const auto [page_tokens, keep, drop] = c;
    // Those of the tokens from `keep` on, whether some that are shared go with the gap or not.
    const Index needed = (tokens - drop + page_tokens - 1) / page_tokens - keep / page_tokens;
    const Index held = (tokens + page_tokens - 1) / page_tokens;
    for (Index free = 0; free <= needed; ++free) {
      INFO("pages of " << page_tokens << ", keep " << keep << ", drop " << drop << ", " << free
                       << " free");
      typename Pages::Pool pool(held + free, page_tokens);
      Pages pages(pool);
      kind.append(pages, 0, tokens);
      const Pages fork = pages.fork();
      const auto before = bytes_of(pages);
      const auto table = table_of(pages);
      const auto shift = [&] { hr::shift_context(pages, c.keep, c.drop, kind.rotary); };
      if (free < needed) {
        REQUIRE_THROWS_WITH(
            shift(), contains(": erasing tokens copies " + std::to_string(needed) +
                              " shared pages, the pool has " + std::to_string(free) + " free"));
        REQUIRE(table_of(pages) == table);
        REQUIRE(bytes_of(pages) == before);
        REQUIRE((pool.pages_free() == free && pool.pages_shared() == held));
        REQUIRE_THROWS_AS(shift(), std::length_error);
      } else {
        REQUIRE_NOTHROW(shift());
        REQUIRE(pool.pages_free() == 0);
      }
      REQUIRE(bytes_of(fork) == before);
    }
  }
}

TEST_CASE("nor is any key turned where the last of them cannot be") {
  const keys_and_values<float> kind;
  decltype(kind)::Pages::Pool pool(10, 16);  // of which 7 are in use, and 4 needed
  hr::paged_cache pages(pool);
  kind.append(pages, 0, tokens);
  const auto fork = pages.fork();
  const auto before = bytes_of(pages);
  CHECK_THROWS_WITH(hr::rotate_cached_keys(pages, 50, 100, kind.rotary, 3),
                    "paged_cache: writing tokens copies 4 shared pages, the pool has 3 free");
  CHECK(bytes_of(pages) == before);
  CHECK((pool.pages_free() == 3 && pool.pages_shared() == 7));
  CHECK_NOTHROW(hr::rotate_cached_keys(pages, 64, 100, kind.rotary, 3));
}

TEST_CASE("a full pool has room for a shift where what stays behind the gap is not shared") {
  const keys_and_values<Eigen::half> kind;
  decltype(kind)::Pages::Pool pool(7, 16);
  hr::paged_cache pages(pool);
  kind.append(pages, 0, 40);
  const auto prompt = pages.fork();
  kind.append(pages, 40, 48);  // copies the page that it goes on
  kind.append(pages, 48, 96);
  REQUIRE(pool.pages_free() == 0);
  const auto of_prompt = bytes_of(prompt);
  decltype(kind)::Flat flat(tokens);
  kind.append(flat, 0, 96);
  for (const Index drop : {45, 5, 13}) {
    hr::shift_context(pages, 4, drop, kind.rotary);
    hr::shift_context(flat, 4, drop, kind.rotary);
    CHECK(bytes_of(pages) == bytes_of(flat));
  }
  CHECK(bytes_of(prompt) == of_prompt);
  CHECK(pool.pages_shared() == 0);
}

TEST_CASE("a shift on pages allocates nothing, copies included") {
  const keys_and_values<Eigen::half> kind;
  decltype(kind)::Pages::Pool pool(20, 16);
  hr::paged_cache pages(pool);
  kind.append(pages, 0, tokens);
  const auto shift = [&] {
    hr::shift_context(pages, 4, 16, kind.rotary);
    hr::shift_context(pages, 4, 9, kind.rotary);
  };
  shift();
  const auto fork = pages.fork();
  const long count = allocations_of(shift);
  if (counts_allocations) CHECK(count == 0);
  CHECK(pages.tokens() == tokens - 50);
  CHECK(pool.pages_shared() == 0);
}
