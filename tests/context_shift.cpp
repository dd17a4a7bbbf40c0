// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: after a context shift a cache is as one that was filled without the tokens dropped, the
// keys behind them rotated to the positions that they now have: values, latents and the keys before
// are the same bits, turned keys are within a rounding or two of what they are stored in.
#include <headroom/context_shift.hpp>
#include <headroom/int8_codec.hpp>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "support/problem.hpp"

#include <cstring>
#include <numbers>
#include <stdexcept>
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
