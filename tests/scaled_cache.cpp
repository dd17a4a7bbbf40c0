// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: attention over keys and values that are stored over scales is attention over what is stored
// times the scales; a key comes back within a half step of its row, times the scale of its channel;
// and where a few channels are much larger than the others, these err less for it.
#include <headroom/attention.hpp>
#include <headroom/int8_codec.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/page_pool.hpp>
#include <headroom/paged_cache.hpp>
#include <headroom/scaled_cache.hpp>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "support/codec_laws.hpp"
#include "support/problem.hpp"
#include "support/refusal.hpp"

#include <cstring>
#include <limits>
#include <stdexcept>
#include <utility>

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

using small_cache = hr::scaled_cache<hr::kv_cache<hr::int8_rows, 2, 8>>;
static_assert(hr::wrapping_cache<small_cache>);
static_assert(!hr::kv_source<small_cache>);  // not by accident
static_assert(std::is_constructible_v<small_cache, int>);
static_assert(!std::is_constructible_v<hr::scaled_cache<hr::kv_cache<float>>, int>);

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

// Scales for a row of each group, between 1/16 and 16.
tensor<float> some_scales(Index groups, Index dim, std::uint64_t seed) {
  random_source random(seed);
  tensor<float> scales(1, groups, dim);
  for (Index g = 0; g < groups; ++g)
    for (Index d = 0; d < dim; ++d)
      scales(0, g, d) = static_cast<float>(std::exp2(8 * random.uniform() - 4));
  return scales;
}

// Stored numbers times their scales; no product of floats rounds in double.
tensor<double> times_scales(hr::view<const float> rows, hr::view<const float> scales) {
  tensor<double> result(rows.tokens(), rows.heads(), rows.dim());
  for (Index t = 0; t < rows.tokens(); ++t)
    for (Index g = 0; g < rows.heads(); ++g)
      for (Index d = 0; d < rows.dim(); ++d)
        result(t, g, d) = double(rows(t, g, d)) * double(scales(0, g, d));
  return result;
}

template <class Cache>
tensor<double> keys_of(const Cache& cache) {
  return times_scales(decoded_source(cache.stored()).keys(), cache.key_scales());
}

// The largest norm of a row.
template <class Scalar>
double norm_of(const hr::view<const Scalar>& rows) {
  double largest = 0;
  for (Index t = 0; t < rows.tokens(); ++t)
    for (Index h = 0; h < rows.heads(); ++h) {
      double sum = 0;
      for (Index d = 0; d < rows.dim(); ++d) sum += double(rows(t, h, d)) * double(rows(t, h, d));
      largest = std::max(largest, std::sqrt(sum));
    }
  return largest;
}

template <class Cache>
answer<float> attend_over(const Cache& cache, hr::view<const float> q) {
  answer<float> got{{q.tokens(), q.heads(), cache.v_dim()}, {q.tokens(), q.heads(), 1}};
  hr::attention_options<float> options;
  options.lse = got.lse.per_head();
  any_attention(q.heads(), cache.groups(), cache.qk_dim(), cache.v_dim())(q, cache, got.out.view(),
                                                                          hr::causal(), options);
  return got;
}

// Of what is held: a query rounds once more on its way, and an output where values have scales.
// Whole numbers round as they are stored, a query times the scales.
template <class Cache>
void check_attention(const Cache& cache, const problem<float>& p,
                     const tensor<float>& value_scales) {
  using Stored = std::remove_cvref_t<decltype(cache.stored())>;
  const auto rounding =
      rounding_of_codecs<float, typename Stored::KeyCodec, typename Stored::ValueCodec>();
  const decoded_source stored(cache.stored());
  const auto k = times_scales(stored.keys(), cache.key_scales());
  const auto v = times_scales(stored.values(), value_scales.view());
  const double u = unit_roundoff<float>;
  const double scaled_query =
      norm_of(p.queries()) *
      double(*std::max_element(cache.key_scales().data(),
                               cache.key_scales().data() + cache.groups() * cache.qk_dim()));
  const double root = std::sqrt(double(p.queries().dim()));
  const double score =
      1.01 * u * norm_of(p.queries()) * norm_of(k.view()) / root +
      1.01 * rounding.query * scaled_query * norm_of(stored.keys());  // a sum is at most root norms
  auto exact = exact_attention<float>(p.queries(), k.view(), v.view(), hr::causal(), {}, score);
  for (Index t = 0; t < p.queries().tokens(); ++t)
    for (Index h = 0; h < p.queries().heads(); ++h) {
      exact.bound.lse(t, h, 0) += score;
      for (Index d = 0; d < v.dim(); ++d)
        exact.bound.out(t, h, d) =
            (1 + u) * exact.bound.out(t, h, d) + u * std::abs(exact.out(t, h, d)) +
            1.01 * rounding.weights * norm_of(stored.values()) *
                double(value_scales(0, h * cache.groups() / p.queries().heads(), d));
    }
  REQUIRE(error_ratio(attend_over(cache, p.queries()), exact) <= 1);
}

// A key comes back within half a step of its row, times the scale of its channel. An inverse of a
// row's scale that would be subnormal counts as 0: see int8_codec.
double half_step(const hr::view<const float>& k, const hr::view<const float>& scales, Index t,
                 Index g, Index d) {
  double largest = 0;
  for (Index c = 0; c < k.dim(); ++c)
    largest = std::max(largest, std::abs(double(k(t, g, c)) / double(scales(0, g, c))));
  return double(scales(0, g, d)) * (largest * (1 / 254. + 6e-7) + 127 * 0x1p-126);
}

double largest_of(const hr::view<const float>& k, Index g, Index d) {
  double largest = 0;
  for (Index t = 0; t < k.tokens(); ++t)
    if (std::isfinite(k(t, g, d))) largest = std::max(largest, std::abs(double(k(t, g, d))));
  return largest;
}

bool is_finite(const hr::view<const float>& k, Index t, Index g) {
  return std::all_of(k.row(t, g), k.row(t, g) + k.dim(), [](float x) { return std::isfinite(x); });
}

// Holds a cache with the prompt [0, prompt) of the keys, then the others, to three bounds: of any
// token by its own scales, of a token of the prompt by the largest of its channel, and of any by
// the largest of its row, as without scales.
void check_keys(const tensor<float>& keys, Index prompt) {
  const auto k = keys.view();
  const Index groups = k.heads(), dim = k.dim();
  const double least = 1 / std::sqrt(double(dim));
  hr::scaled_cache<hr::kv_cache<hr::int8_rows>> cache(k.tokens(), groups, dim);
  cache.append(k.slice_tokens(0, prompt), k.slice_tokens(0, prompt));
  cache.append(k.slice_tokens(prompt, k.tokens()), k.slice_tokens(prompt, k.tokens()));
  const auto back = keys_of(cache);
  for (Index g = 0; g < groups; ++g) {
    double of_group = 0;
    for (Index d = 0; d < dim; ++d)
      of_group = std::max(of_group, largest_of(k.slice_tokens(0, prompt), g, d));
    for (Index d = 0; d < dim; ++d) {
      const double scale = double(cache.key_scales()(0, g, d));
      REQUIRE(scale <= 1);
      REQUIRE(scale >= least * (1 - 1e-6));
      const double of_channel =
          std::max(largest_of(k.slice_tokens(0, prompt), g, d), least * of_group);
      for (Index t = 0; t < k.tokens(); ++t) {
        INFO("token " << t << ", group " << g << ", channel " << d << ": " << k(t, g, d)
                      << " comes back as " << back(t, g, d));
        if (!is_finite(k, t, g)) {
          REQUIRE(std::isnan(back(t, g, d)));
          continue;
        }
        const double error = std::abs(back(t, g, d) - double(k(t, g, d)));
        const double row = *std::max_element(k.row(t, g), k.row(t, g) + dim, [](float a, float b) {
          return std::abs(a) < std::abs(b);
        });
        REQUIRE(error <= half_step(k, cache.key_scales(), t, g, d));
        if (t < prompt) REQUIRE(error <= of_channel * (1 / 254. + 1e-6) + 127 * 0x1p-126);
        REQUIRE(error <= std::abs(row) / least * (1 / 254. + 1e-6) + 127 * 0x1p-126);
      }
    }
  }
}

}  // namespace

TEST_CASE("attention over scaled keys and values is attention over what is stored, scaled") {
  for (const problem_size& size :
       {problem_size{1, 1700, 8, 2, 64, 128}, problem_size{1, 50, 3, 3, 33, 20},
        problem_size{5, 130, 4, 1, 80, 64}, problem_size{70, 120, 4, 2, 128, 96}}) {
    INFO(size.q_len << " x " << size.kv_len << ", width " << size.qk_dim);
    const problem<float> p(size);
    hr::scaled_cache<hr::kv_cache<hr::int8_rows>> taken(size.kv_len, size.KV_groups, size.qk_dim,
                                                        size.v_dim);
    hr::scaled_cache<hr::kv_cache<float>> given(size.kv_len, size.KV_groups, size.qk_dim,
                                                size.v_dim);
    tensor<float> ones(1, size.KV_groups, size.v_dim);
    for (Index g = 0; g < size.KV_groups; ++g) fill_row(ones.view(), 0, g, 1.f);
    const auto value_scales = some_scales(size.KV_groups, size.v_dim, 8);
    given.set_key_scales(some_scales(size.KV_groups, size.qk_dim, 7).view());
    given.set_value_scales(value_scales.view());
    const Index split = size.kv_len / 3;
    for (const auto& [begin, end] : {std::pair{Index(0), split}, {split, size.kv_len}}) {
      taken.append(p.keys().slice_tokens(begin, end), p.values().slice_tokens(begin, end));
      given.append(p.keys().slice_tokens(begin, end), p.values().slice_tokens(begin, end));
    }
    check_attention(taken, p, ones);
    check_attention(given, p, value_scales);
  }
}

TEST_CASE("with given scales a token is the same bits whatever is appended beside it") {
  const problem<double> p({1, 9, 2, 2, 72, 72});
  hr::scaled_cache<hr::kv_cache<hr::int8_rows, 2, 72>> at_once(9), one_by_one(9);
  for (auto* cache : {&at_once, &one_by_one}) {
    cache->set_key_scales(some_scales(2, 72, 1).view());
    cache->set_value_scales(some_scales(2, 72, 2).view());
  }
  at_once.append(p.keys(), p.values());
  for (Index t = 0; t < 9; ++t)
    one_by_one.append(p.keys().slice_tokens(t, t + 1), p.values().slice_tokens(t, t + 1));
  for (Index g = 0; g < 2; ++g) {
    const auto same = [](const auto& a, const auto& b) {
      return std::memcmp(a.rows, b.rows, static_cast<std::size_t>(9 * a.stride)) == 0;
    };
    REQUIRE(same(at_once.stored().keys(g, 0, 9), one_by_one.stored().keys(g, 0, 9)));
    REQUIRE(same(at_once.stored().values(g, 0, 9), one_by_one.stored().values(g, 0, 9)));
  }
}

TEST_CASE("a key comes back within half a step of its channel, and never loses it all") {
  for (const Index dim : {1, 3, 20, 64, 128}) {
    INFO("width " << dim);
    problem<float> p({1, 40, 3, 3, dim, dim}, static_cast<std::uint64_t>(dim));
    auto& k = p.k;
    check_keys(k, 30);
    for (Index t = 0; t < 40; ++t) k(t, 0, dim / 2) = 100 + k(t, 0, dim / 2);  // a large channel
    check_keys(k, 30);
    k(35, 0, 0) = 1e4f;                                   // beyond what the prompt had
    for (Index t = 0; t < 30; ++t) k(t, 1, dim - 1) = 0;  // nothing in the prompt, and then
    check_keys(k, 30);
    for (Index t = 0; t < 30; ++t) fill_row(k.view(), t, 2, 0.f);  // the whole group
    check_keys(k, 30);
    for (Index t = 0; t < 30; ++t) fill_row(k.view(), t, 2, 1e-42f);
    check_keys(k, 30);
    k(3, 0, 0) = quiet_nan<float>();
    k(4, 0, 0) = infinity;
    k(5, 1, dim - 1) = -infinity;
    k(36, 1, 0) = quiet_nan<float>();
    check_keys(k, 30);
    for (Index t = 0; t < 30; ++t) k(t, 1, dim / 2) = quiet_nan<float>();  // nothing to go by
    check_keys(k, 30);
  }
}

TEST_CASE("the numbers beside an outlier err less than with a scale for each row alone") {
  constexpr Index dim = 128, outlier = 5;
  problem<float> p({3, 200, 8, 2, dim, dim});
  for (Index t = 0; t < 200; ++t)
    for (Index g = 0; g < 2; ++g) p.k(t, g, outlier) += 100;
  hr::kv_cache<hr::int8_rows, 2, dim, dim, float> rows(200);
  hr::scaled_cache<hr::kv_cache<hr::int8_rows, 2, dim, dim, float>> channels(200);
  rows.append(p.keys(), p.values());
  channels.append(p.keys(), p.values());

  // Steps are smaller by the root of 128 there, and what is bound is less than a tenth of what
  // without scales is lost.
  double lost = 0, bound = 0;
  const auto of_rows = decoded_source(rows);
  for (Index t = 0; t < 200; ++t)
    for (Index g = 0; g < 2; ++g)
      for (Index d = 0; d < dim; ++d) {
        if (d == outlier) continue;
        lost = std::max(lost, std::abs(double(of_rows.keys()(t, g, d)) - double(p.k(t, g, d))));
        bound = std::max(bound, half_step(p.keys(), channels.key_scales(), t, g, d));
      }
  CHECK(bound < lost / 10);

  // A score errs by the root of the sum of squares, of 128 numbers alike, or of the outlier and
  // 127 that together are no more than it: by the root of 64 less. Half of that is left to chance.
  const auto exact = p.exact(hr::causal());
  const auto error = [&](const auto& cache) {
    const auto got = attend_over(cache, p.queries());
    double sum = 0;
    for (Index t = 0; t < 3; ++t)
      for (Index h = 0; h < 8; ++h) {
        const double off = double(got.lse(t, h, 0)) - exact.lse(t, h, 0);
        for (Index d = 0; d < dim; ++d)
          sum += std::pow(double(got.out(t, h, d)) - exact.out(t, h, d), 2);
        sum += off * off;
      }
    return std::sqrt(sum);
  };
  CHECK(error(channels) < error(rows) / 4);
}

TEST_CASE("numbers alone are a byte each over given scales, as ONNX Runtime stores them") {
  using cache_type = hr::scaled_cache<hr::kv_cache<hr::saturating_int8, 2, 64>>;
  const problem<float> p({2, 50, 4, 2, 64, 64});
  tensor<float> scales(1, 2, 64);
  for (Index g = 0; g < 2; ++g)
    for (Index d = 0; d < 64; ++d)
      scales(0, g, d) = static_cast<float>(largest_of(p.keys().slice_tokens(0, 40), g, d) / 127);
  cache_type cache(50);
  CHECK(cache.bytes_per_token() == 2 * 2 * 64);
  cache.set_key_scales(scales.view());
  cache.set_value_scales(scales.view());
  cache.append(p.keys(), p.values());
  bool clipped = false;
  for (Index t = 0; t < 50; ++t)
    for (Index g = 0; g < 2; ++g)
      for (Index d = 0; d < 64; ++d) {
        const float n = std::nearbyint(p.keys()(t, g, d) / scales(0, g, d));
        REQUIRE(float(cache.stored().keys(g, t, t + 1).rows[d]) == std::clamp(n, -127.f, 127.f));
        clipped = clipped || std::abs(n) > 127;
      }
  CHECK(clipped);
  check_attention(cache, p, scales);
}

TEST_CASE("a codec that clips is refused without scales") {
  const problem<float> p({1, 2, 4, 2, 8, 8});
  hr::scaled_cache<hr::kv_cache<hr::saturating_int8, 2, 8>> cache(3);
  const auto append = [&] { cache.append(p.keys(), p.values()); };
  CHECK(refusal_of(append) ==
        "scaled_cache: the codec of keys clips, expected set_key_scales before the first "
        "token");
  cache.set_key_scales(some_scales(2, 8, 1).view());
  CHECK(refusal_of(append) ==
        "scaled_cache: the codec of values clips, expected set_value_scales before the "
        "first token");
  CHECK(cache.tokens() == 0);
  cache.set_value_scales(some_scales(2, 8, 1).view());
  append();
  CHECK(cache.tokens() == 2);
}

TEST_CASE("scales that were taken go with the last token, given ones stay") {
  problem<float> p({1, 10, 4, 2, 8, 8});
  for (Index t = 0; t < 5; ++t) p.k(t, 0, 3) = 50;
  small_cache cache(10);
  const auto scale = [&](Index d) { return cache.key_scales()(0, 0, d); };
  CHECK(cache.bytes_per_token() == cache.stored().bytes_per_token());
  CHECK(scale(0) == 1);
  cache.append(p.keys().slice_tokens(0, 0), p.values().slice_tokens(0, 0));
  CHECK(scale(0) == 1);  // no token, no scales
  cache.append(p.keys().slice_tokens(0, 2), p.values().slice_tokens(0, 2));
  const float first = scale(0);
  CHECK(scale(3) == 1);
  CHECK(first < 0.5f);
  cache.append(p.keys().slice_tokens(2, 10), p.values().slice_tokens(2, 10));
  CHECK(cache.tokens() == 10);
  CHECK(cache.capacity() == 10);
  CHECK(scale(0) == first);
  cache.truncate(1);
  CHECK(cache.tokens() == 1);
  CHECK(scale(0) == first);
  cache.truncate(0);
  CHECK(scale(0) == first);  // until others are taken
  cache.append(p.keys().slice_tokens(5, 10), p.values().slice_tokens(5, 10));
  CHECK(scale(3) < 1);
  cache.erase(0, 5);
  cache.append(p.keys().slice_tokens(0, 2), p.values().slice_tokens(0, 2));
  CHECK(scale(0) == first);
  cache.clear();

  const auto scales = some_scales(2, 8, 3), others = some_scales(2, 8, 4);
  CHECK(cache.value_scales().tokens() == 0);
  cache.set_key_scales(scales.view());
  cache.set_value_scales(others.view());
  cache.append(p.keys(), p.values());
  cache.clear();
  CHECK(same_bits(cache.key_scales(), hr::view<const float>(scales.view())));
  CHECK(same_bits(cache.value_scales(), hr::view<const float>(others.view())));
}

TEST_CASE(
    "scales go with the tokens of a cache that moves, and stay with one that moves to itself") {
  problem<float> p({1, 4, 4, 2, 8, 8});
  for (Index t = 0; t < 4; ++t) p.k(t, 0, 3) = p.v(t, 0, 0) = 50;
  const auto scales = some_scales(2, 8, 3);
  hr::page_pool<hr::int8_rows> pool(10, 2, 2, 8);
  hr::scaled_cache<hr::paged_cache<hr::int8_rows>> from(pool);
  from.set_key_scales(scales.view());
  from.append(p.keys(), p.values());
  auto to = std::move(from);
  CHECK(same_bits(to.key_scales(), hr::view<const float>(scales.view())));
  auto& itself = to;
  to = std::move(itself);
  CHECK(to.tokens() == 4);
  CHECK(same_bits(to.key_scales(), hr::view<const float>(scales.view())));

  // The empty one takes scales, which no one gave it, until it is empty again.
  from.append(p.keys(), p.values());
  CHECK(from.key_scales()(0, 0, 3) == 1);
  CHECK(from.key_scales()(0, 0, 0) < 0.5f);
  from.clear();
  from.append(p.values(), p.keys());
  CHECK(from.key_scales()(0, 0, 0) == 1);
}

TEST_CASE("a call that is refused changes nothing") {
  const problem<float> p({1, 4, 4, 2, 8, 8});
  small_cache cache(3);
  CHECK_THROWS_AS(cache.append(p.keys(), p.values()), std::length_error);
  CHECK(cache.key_scales()(0, 0, 0) == 1);
  cache.append(p.keys().slice_tokens(0, 2), p.values().slice_tokens(0, 2));
  CHECK_THROWS_AS(cache.append(p.keys(), p.values()), std::length_error);
  CHECK_THROWS_WITH(cache.append(p.keys().slice_dim(0, 4), p.values()),
                    "scaled_cache: k of shape [4, 2, 4], expected [tokens, 2, 8]");
  CHECK_THROWS_WITH(cache.append(p.keys(), p.values().slice_tokens(0, 1)),
                    "kv_cache: v has 1 tokens, expected 4 as k");
  CHECK_THROWS_WITH(cache.truncate(3), "kv_cache: truncate to 3 tokens, expected 0 to size = 2");
  auto scales = some_scales(2, 8, 1);
  CHECK_THROWS_WITH(cache.set_key_scales(scales.view()),
                    "scaled_cache: key scales were given after 2 tokens, expected before "
                    "the first");
  CHECK(cache.tokens() == 2);

  tensor<float> out(1, 4, 8);
  std::fill(out.view().data(), out.view().data() + 32, 5.f);
  const hr::gqa<4, 2, 8> attend;
  CHECK_THROWS_WITH(attend(p.queries().slice_heads(0, 3), cache, out.view()),
                    "scaled_cache: q of shape [1, 3, 8], expected [tokens, 4, 8]");
  CHECK_THROWS_WITH(attend(p.queries().slice_dim(0, 6), cache, out.view()),
                    "scaled_cache: q of shape [1, 4, 6], expected [tokens, 4, 8]");
  CHECK_THROWS_WITH(attend(p.queries(), cache, out.view().slice_heads(0, 2)),
                    "attention: out has 2 heads, expected Q_heads = 4");
  CHECK_THROWS_AS((any_attention(4, 4, 8, 8)(p.queries(), cache, out.view())),
                  std::invalid_argument);
  CHECK(out.view()(0, 0, 0) == 5);

  cache.clear();
  const float before = cache.key_scales()(0, 0, 0);
  CHECK_THROWS_WITH(cache.set_key_scales(scales.view().slice_dim(0, 4)),
                    "scaled_cache: key scales of shape [1, 2, 4], expected [tokens, 2, 8]");
  for (const float odd : {0.f, -1.f, quiet_nan<float>(), infinity, 1e-42f}) {
    scales(0, 1, 3) = odd;
    CHECK_THROWS_AS(cache.set_key_scales(scales.view()), std::invalid_argument);
    CHECK_THROWS_AS(cache.set_value_scales(scales.view()), std::invalid_argument);
  }
  scales(0, 1, 3) = -2;
  CHECK_THROWS_WITH(cache.set_value_scales(scales.view()),
                    "scaled_cache: value scales of group 1, channel 3 are -2, "
                    "expected a positive number of full precision");
  CHECK(cache.key_scales()(0, 0, 0) == before);
}

TEST_CASE("a step with scales allocates nothing once one like it has run") {
  const problem<float> p({1, 40, 4, 2, 64, 64});
  hr::scaled_cache<hr::kv_cache<hr::int8_rows, 2, 64>> cache(50);
  cache.set_value_scales(some_scales(2, 64, 1).view());
  cache.append(p.keys(), p.values());
  tensor<float> out(1, 4, 64);
  const auto step = [&] {
    cache.truncate(39);
    cache.append(p.keys().slice_tokens(0, 1), p.values().slice_tokens(0, 1));
    hr::gqa<4, 2, 64>()(p.queries(), cache, out.view(), hr::causal());
  };
  step();
  const long count = allocations_of(step);
  if (counts_allocations) CHECK(count == 0);
}
