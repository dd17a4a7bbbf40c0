// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: attention over rotated keys and values is attention over the keys and values; and where a
// channel is much larger than the others, few bits store the rotated ones better. Around a ring a
// rotated cache is what the ring is, of rotated keys and values.
#include <headroom/attention.hpp>
#include <headroom/int4_codec.hpp>
#include <headroom/int8_codec.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/layer.hpp>
#include <headroom/ring_cache.hpp>
#include <headroom/rotated_cache.hpp>
#include <headroom/scaled_cache.hpp>
#include <headroom/score_mod.hpp>
#include <headroom/tree_mask.hpp>

#include "support/allocation_counter.hpp"
#include "support/any_mask.hpp"
#include "support/catch.hpp"
#include "support/codec_laws.hpp"
#include "support/problem.hpp"
#include "support/refusal.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <stdexcept>
#include <vector>

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

static_assert(hr::wrapping_cache<hr::rotated_cache<hr::kv_cache<float, 2, 8>>>);
static_assert(!hr::kv_source<hr::rotated_cache<hr::kv_cache<float, 2, 8>>>);  // not by accident
static_assert(std::is_constructible_v<hr::rotated_cache<hr::kv_cache<float, 2, 8>>, int>);
static_assert(!std::is_constructible_v<hr::rotated_cache<hr::kv_cache<float>>, int>);

namespace {

template <class Stored, int... sizes>
using rotated_ring = hr::rotated_cache<hr::ring_cache<hr::kv_cache<Stored, sizes...>>>;

// Whether a batch may be given what a call over the cache reads: not where queries are to be turned
// for it.
template <class Cache>
concept has_kept = requires(const Cache& cache) {
  cache.kept(1);
};

static_assert(hr::wrapping_cache<rotated_ring<float, 2, 8>>);
static_assert(!hr::kv_source<rotated_ring<float, 2, 8>>);
static_assert(has_kept<hr::ring_cache<hr::kv_cache<float, 2, 8>>>);
static_assert(!has_kept<rotated_ring<float, 2, 8>>);
static_assert(hr::detail::writes_keys<rotated_ring<float, 2, 8>>);
static_assert(hr::detail::drops_tokens<rotated_ring<float, 2, 8>>());
static_assert(std::is_constructible_v<rotated_ring<float, 2, 8>, hr::ring_shape>);
static_assert(std::is_constructible_v<rotated_ring<float>, hr::ring_shape, int, int>);
static_assert(!std::is_constructible_v<rotated_ring<float>, hr::ring_shape>);
static_assert(!std::is_constructible_v<rotated_ring<float, 2, 8>, int>);
static_assert(!std::is_constructible_v<hr::rotated_cache<hr::kv_cache<float>>, hr::ring_shape>);

template <class Scalar = double, class From>
tensor<Scalar> rotated(const hr::view<const From>& rows) {
  tensor<Scalar> result(rows.tokens(), rows.heads(), rows.dim());
  for (Index t = 0; t < rows.tokens(); ++t)
    for (Index h = 0; h < rows.heads(); ++h) {
      for (Index d = 0; d < rows.dim(); ++d) result.view()(t, h, d) = Scalar(rows(t, h, d));
      hr::detail::rotate_by_hadamard(result.view().row(t, h), rows.dim());
    }
  return result;
}

// The largest norm of a row.
double norm_of(const hr::view<const double>& rows) {
  double largest = 0;
  for (Index t = 0; t < rows.tokens(); ++t)
    for (Index h = 0; h < rows.heads(); ++h)
      largest = std::max(
          largest, Eigen::Map<const Eigen::VectorXd>(rows.row(t, h), rows.dim()).stableNorm());
  return largest;
}

// Each of log2(dim) steps of a rotation keeps norms and rounds every number once, and the root,
// quotient and product of its factor once more; so a rotated row errs by this times its norm.
double rotation_error(Index dim) {
  return gamma_bound(std::log2(double(hr::detail::hadamard_block(dim))) + 3, unit_roundoff<float>);
}

// Bounds an output and a log-sum-exp. A rotated row errs by epsilon times its norm, a score by
// 2 epsilon |q| |k|, and rotating back takes the errors of all channels into each.
struct rotated_bound {
  double out = 0, lse = 0;

  rotated_bound(const problem<float>& p, const hr::causal& mask) {
    const auto q = rotated(p.queries()), k = rotated(p.keys()), v = rotated(p.values());
    const Index qk_dim = p.queries().dim(), v_dim = p.values().dim();
    const double score = 2.1 * rotation_error(qk_dim) * norm_of(q.view()) * norm_of(k.view()) /
                         std::sqrt(double(qk_dim));
    const auto inner = attention_error_bound<float>(
        hr::view<const double>(q.view()), hr::view<const double>(k.view()),
        hr::view<const double>(v.view()), mask, hr::attention_options<double>{}, score);
    out = norm_of(inner.out.view()) + 2.1 * rotation_error(v_dim) * norm_of(v.view());
    for (Index t = 0; t < p.queries().tokens(); ++t)
      for (Index h = 0; h < p.queries().heads(); ++h)
        lse = std::max(lse, inner.lse.view()(t, h, 0));
  }
};

template <class Cache>
answer<float> attend_over(Cache& cache, const problem<float>& p) {
  const auto q = p.queries();
  const Index split = p.keys().tokens() / 3;
  cache.append(p.keys().slice_tokens(0, split), p.values().slice_tokens(0, split));
  cache.append(p.keys().slice_tokens(split, p.keys().tokens()),
               p.values().slice_tokens(split, p.keys().tokens()));
  answer<float> got{{q.tokens(), q.heads(), cache.v_dim()}, {q.tokens(), q.heads(), 1}};
  hr::attention_options<float> options;
  options.lse = got.lse.per_head();
  any_attention(q.heads(), cache.groups(), cache.qk_dim(), cache.v_dim())(q, cache, got.out.view(),
                                                                          hr::causal(), options);
  return got;
}

double error_of(const answer<float>& got, const exact_answer& exact) {
  double sum = 0;
  const auto out = got.out.view();
  for (Index t = 0; t < out.tokens(); ++t)
    for (Index h = 0; h < out.heads(); ++h)
      for (Index d = 0; d < out.dim(); ++d) {
        const double error = double(out(t, h, d)) - exact.out.view()(t, h, d);
        sum += error * error;
      }
  return std::sqrt(sum);
}

template <class Source, class Mask>
answer<float> attend_to(hr::view<const float> q, const Source& source, const Mask& mask,
                        std::optional<Index> first_position = std::nullopt) {
  answer<float> got{{q.tokens(), q.heads(), source.v_dim()}, {q.tokens(), q.heads(), 1}};
  any_attention(q.heads(), source.groups(), source.qk_dim(), source.v_dim())(
      q, source, got.out.view(), mask,
      {.lse = got.lse.per_head(), .first_position = first_position});
  return got;
}

// Attention over what a cache stores, its rotations undone: the greatest error over its bound. What
// attention itself may err is turned with the outputs, from each channel into all.
template <class Stored, class Mask>
double stored_error_ratio(const answer<float>& got, hr::view<const float> q, const Stored& stored,
                          const Mask& mask, Index first_position) {
  const auto queries = rotated<float>(q);
  const decoded_source numbers(stored);
  hr::attention_options<float> options;
  options.first_position = first_position;
  const auto exact = exact_attention<float>(
      hr::view<const float>(queries.view()), numbers.keys(), numbers.values(), mask, options, 0,
      rounding_of_codecs<float, typename Stored::KeyCodec, typename Stored::ValueCodec>());
  const auto out = rotated(hr::view<const double>(exact.out.view()));
  tensor<double> bound(q.tokens(), q.heads(), stored.v_dim());
  for (Index t = 0; t < q.tokens(); ++t)
    for (Index h = 0; h < q.heads(); ++h) {
      const auto row = [&](const auto& of) {
        return Eigen::Map<const Eigen::VectorXd>(of.view().row(t, h), stored.v_dim()).stableNorm();
      };
      const double inner = row(exact.bound.out);
      std::fill_n(bound.view().row(t, h), stored.v_dim(),
                  inner + rotation_error(stored.v_dim()) * (row(exact.out) + inner));
    }
  return std::max(error_ratio(got.out.view(), hr::view<const double>(out.view()),
                              hr::view<const double>(bound.view())),
                  error_ratio(got.lse.view(), hr::view<const double>(exact.lse.view()),
                              hr::view<const double>(exact.bound.lse.view())));
}

const std::vector<float> slopes = hr::alibi_slopes(4);

// Each query sees some of the keys before it.
constexpr auto holes = [](const hr::query_row& row, Index key) {
  return key <= row.position && (row.head + row.position + key) % 3 != 0;
};
using with_holes = decltype(hr::mask(holes));
using narrow_window = hr::both_masks<hr::causal, hr::sliding_window>;
using some_mask = any_mask<hr::none, hr::causal, narrow_window, hr::key_length, with_holes,
                           hr::tree_mask<>, hr::alibi>;

// Masks that speak of the whole context, where that has so many tokens.
std::vector<some_mask> some_masks(Index tokens) {
  return {some_mask(hr::none()),
          some_mask(hr::causal()),
          some_mask(hr::causal() & hr::sliding_window(7)),
          some_mask(hr::key_length(tokens - 1)),
          some_mask(hr::mask(holes)),
          some_mask(hr::alibi(slopes))};
}

// Attention over rows that were rotated before, its outputs rotated back.
template <class Source, class Mask>
answer<float> attend_by_hand(hr::view<const float> q, const Source& of_rotated, const Mask& mask,
                             std::optional<Index> first_position = std::nullopt) {
  const auto turned = rotated<float>(q);
  auto got = attend_to(hr::view<const float>(turned.view()), of_rotated, mask, first_position);
  for (Index t = 0; t < q.tokens(); ++t)
    for (Index h = 0; h < q.heads(); ++h)
      hr::detail::rotate_by_hadamard(got.out.view().row(t, h), of_rotated.v_dim());
  return got;
}

// Through several turns of a ring, with chunks of all lengths, some of them taken back, and keys of
// the prefix written anew.
template <class Stored>
void check_ring(const problem_size& size, const hr::ring_shape& shape) {
  INFO("window " << shape.window << ", prefix " << shape.prefix << ", chunk " << shape.chunk);
  const problem<float> p(size);
  const auto k = rotated<float>(p.keys()), v = rotated<float>(p.values());
  rotated_ring<Stored> ring(shape, size.KV_groups, size.qk_dim, size.v_dim);
  hr::rotated_cache<hr::kv_cache<Stored>> full(size.kv_len, size.KV_groups, size.qk_dim,
                                               size.v_dim);
  hr::ring_cache<hr::kv_cache<Stored>> of_rotated(shape, size.KV_groups, size.qk_dim, size.v_dim);
  const auto window = hr::sliding_window(shape.window) | hr::prefix(shape.prefix);
  Index all_kept = 0, dropped = 0;
  for (Index step = 0; full.tokens() < size.kv_len; ++step) {
    const Index t = full.tokens();
    const Index count = std::min(1 + step * 5 % shape.chunk, size.kv_len - t);
    ring.append(p.keys().slice_tokens(t, t + count), p.values().slice_tokens(t, t + count));
    full.append(p.keys().slice_tokens(t, t + count), p.values().slice_tokens(t, t + count));
    of_rotated.append(k.view().slice_tokens(t, t + count), v.view().slice_tokens(t, t + count));
    if (step % 4 == 3 && count > 1) {
      ring.truncate(t + count - 1);
      full.truncate(t + count - 1);
      of_rotated.truncate(t + count - 1);
    }
    REQUIRE(ring.tokens() == full.tokens());
    if (step % 5 == 4) {
      const Index first = std::min(shape.prefix, ring.tokens());
      ring.write_keys(0, p.keys().slice_tokens(step, step + first));
      full.write_keys(0, p.keys().slice_tokens(step, step + first));
      of_rotated.write_keys(0, k.view().slice_tokens(step, step + first));
    }
    if (step % 3) continue;
    const Index q_len = std::min(1 + step % size.q_len, ring.tokens() - t);
    const auto q = p.queries().slice_tokens(0, q_len);
    for (const Index back : {0, 1}) {
      const Index position = ring.tokens() - q_len - back;
      if (position < t) continue;  // what it sees need not be there
      for (const some_mask& mask : some_masks(ring.tokens())) {
        const auto got = attend_to(q, ring, mask, position);
        REQUIRE(same_bits(got, attend_by_hand(q, of_rotated, mask, position)));
        if (of_rotated.kept(q_len, position).tokens() == ring.tokens()) {
          REQUIRE(same_bits(got, attend_to(q, full, mask & window, position)));
          ++all_kept;
        } else {
          REQUIRE(stored_error_ratio(got, q, full.stored(), mask & window, position) <= 1);
          ++dropped;
        }
      }
    }
  }
  CHECK(all_kept > 0);
  CHECK(dropped > 0);
}

// How much smaller the error of attention becomes by rotating what Codec stores.
template <class Codec>
double gain(float outlier) {
  problem<float> p({3, 200, 8, 2, 128, 128});
  for (Index t = 0; t < 200; ++t)
    for (Index g = 0; g < 2; ++g) {
      p.k.view()(t, g, 5) += outlier;
      p.v.view()(t, g, 77) -= outlier;
    }
  hr::kv_cache<Codec> plain(200, 2, 128);
  hr::rotated_cache<hr::kv_cache<Codec>> turned(200, 2, 128);
  const auto exact = p.exact(hr::causal());
  return error_of(attend_over(plain, p), exact) / error_of(attend_over(turned, p), exact);
}

}  // namespace

TEST_CASE("attention over rotated floats is attention") {
  for (const problem_size& size :
       {problem_size{1, 1700, 8, 2, 64, 128}, problem_size{1, 50, 3, 3, 33, 20},
        problem_size{5, 130, 4, 1, 80, 64}, problem_size{70, 120, 4, 2, 128, 96}}) {
    INFO(size.q_len << " x " << size.kv_len << ", width " << size.qk_dim);
    const problem<float> p(size);
    hr::rotated_cache<hr::kv_cache<float>> cache(size.kv_len, size.KV_groups, size.qk_dim,
                                                 size.v_dim);
    const auto got = attend_over(cache, p);
    const auto exact = p.exact(hr::causal());
    const rotated_bound bound(p, hr::causal());
    for (Index t = 0; t < size.q_len; ++t)
      for (Index h = 0; h < size.Q_heads; ++h) {
        REQUIRE(std::abs(double(got.lse.view()(t, h, 0)) - exact.lse.view()(t, h, 0)) <= bound.lse);
        for (Index d = 0; d < size.v_dim; ++d)
          REQUIRE(std::abs(double(got.out.view()(t, h, d)) - exact.out.view()(t, h, d)) <=
                  bound.out);
      }
  }
}

TEST_CASE("an outlier no longer takes the steps of the numbers beside it") {
  // Of dim numbers, one of size a takes steps of a; rotated, all are of size a / sqrt(dim). A block
  // of 32 confines it to a quarter of the numbers anyway.
  CHECK(gain<hr::int8_rows>(100) > 4);
  CHECK(gain<hr::int4_codec<128>>(100) > 2.5);
  CHECK(gain<hr::int4_blocks>(100) > 1.5);
}

TEST_CASE("a rotated cache is as large as the cache in it, and forgets as it does") {
  hr::rotated_cache<hr::kv_cache<hr::int4_blocks, 2, 64>> cache(10);
  CHECK(cache.bytes_per_token() == cache.stored().bytes_per_token());
  const problem<float> p({1, 10, 4, 2, 64, 64});
  cache.append(p.keys(), p.values());
  CHECK(cache.tokens() == 10);
  CHECK(cache.capacity() == 10);
  cache.truncate(4);
  CHECK(cache.tokens() == 4);
  cache.clear();
  CHECK(cache.stored().tokens() == 0);
}

TEST_CASE("a call that is refused changes nothing") {
  hr::rotated_cache<hr::kv_cache<float>> cache(3, 2, 8);
  const problem<float> p({1, 2, 4, 2, 8, 8});
  cache.append(p.keys(), p.values());
  CHECK_THROWS_AS(cache.append(p.keys(), p.values()), std::length_error);
  CHECK_THROWS_WITH(cache.append(p.keys().slice_dim(0, 4), p.values()),
                    "kv_cache: k has width 4, expected 8");
  CHECK_THROWS_WITH(cache.truncate(3), "kv_cache: truncate to 3 tokens, expected 0 to size = 2");
  CHECK(cache.tokens() == 2);
  tensor<float> out(1, 4, 8);
  std::fill(out.view().data(), out.view().data() + 32, 5.f);
  const any_attention attend(4, 2, 8, 8);
  CHECK_THROWS_WITH(attend(p.queries().slice_heads(0, 3), cache, out.view(), hr::causal()),
                    "attention: q has 3 heads, expected Q_heads = 4");
  CHECK_THROWS_WITH(attend(p.queries().slice_dim(0, 6), cache, out.view(), hr::causal()),
                    "attention: q has width 6, expected qk_dim = 8");
  CHECK_THROWS_WITH(attend(p.queries(), cache, out.view().slice_heads(0, 2), hr::causal()),
                    "attention: out has 2 heads, expected Q_heads = 4");
  CHECK(out.view()(0, 0, 0) == 5);
}

TEST_CASE("a step with a rotated cache allocates nothing once one like it has run") {
  const problem<float> p({1, 40, 4, 2, 64, 64});
  hr::rotated_cache<hr::kv_cache<hr::int8_rows>> cache(50, 2, 64);
  cache.append(p.keys(), p.values());
  tensor<float> out(1, 4, 64);
  const auto step = [&] {
    cache.truncate(39);
    cache.append(p.keys().slice_tokens(0, 1), p.values().slice_tokens(0, 1));
    any_attention(4, 2, 64, 64)(p.queries(), cache, out.view(), hr::causal());
  };
  step();
  const long count = allocations_of(step);
  if (counts_allocations) CHECK(count == 0);
}

TEST_CASE("a rotated ring attends as a rotated cache of all tokens under its window") {
  for (const hr::ring_shape& shape : {hr::ring_shape{.window = 20, .prefix = 4, .chunk = 8},
                                      hr::ring_shape{.window = 33, .chunk = 3},
                                      hr::ring_shape{.window = 1, .prefix = 1, .chunk = 9}}) {
    // A ring does not see how its rows are stored: one codec that decodes them and one that does
    // not are enough.
    check_ring<hr::int4_blocks>({9, 150, 4, 2, 64, 32}, shape);
    check_ring<Eigen::bfloat16>({9, 120, 4, 2, 32, 64}, shape);
    check_ring<Eigen::bfloat16>({9, 120, 4, 4, 24, 20}, shape);
  }
  check_ring<hr::int4_blocks>({3, 2000, 4, 1, 32, 32}, {.window = 1700, .chunk = 40});
}

TEST_CASE("memory of a rotated ring is the ring's, and it forgets as that does") {
  rotated_ring<hr::int4_blocks, 2, 64> cache({.window = 20, .prefix = 4, .chunk = 8});
  const problem<float> p({1, 8, 4, 2, 64, 64});
  for (int i = 0; i < 30; ++i) cache.append(p.keys(), p.values());
  CHECK(cache.tokens() == 240);
  CHECK(cache.capacity() == hr::ring_tokens(20, 4, 8));
  CHECK(cache.stored().shape().window == 20);
  CHECK(cache.bytes_per_token() == hr::kv_cache<hr::int4_blocks, 2, 64>(1).bytes_per_token());
  cache.truncate(235);
  CHECK(cache.tokens() == 235);
  cache.clear();
  CHECK(cache.tokens() == 0);
  CHECK(cache.stored().tokens() == 0);
}

TEST_CASE("a rotated ring refuses what the ring does, and is unchanged") {
  rotated_ring<Eigen::bfloat16> cache({.window = 10, .prefix = 2, .chunk = 4}, 2, 8);
  const problem<float> p({1, 4, 4, 2, 8, 8});
  const some_mask causal{hr::causal()};
  for (int i = 0; i < 20; ++i) cache.append(p.keys(), p.values());
  const auto before = attend_to(p.queries(), cache, causal);
  CHECK(refusal_of<std::length_error>([&] {
          const problem<float> five({1, 5, 4, 2, 8, 8});
          cache.append(five.keys(), five.values());
        }) == "ring_cache: appending 5 tokens at once exceeds the chunk of 4");
  CHECK(refusal_of([&] { cache.append(p.keys(), p.values().slice_dim(0, 4)); }) ==
        "kv_cache: v has width 4, expected 8");
  CHECK(refusal_of([&] { cache.truncate(75); }) ==
        "ring_cache: truncate: the next query at position 75 sees token 66, expected at least 67, "
        "the oldest that is kept");
  CHECK(refusal_of([&] { attend_to(p.queries(), cache, causal, 70); }) ==
        "ring_cache: the first query at position 70 sees token 61, expected at least 67, the "
        "oldest that is kept");
  CHECK(refusal_of([&] { attend_to(p.queries(), cache, some_mask(hr::key_length(81))); }) ==
        "key_length: length = 81, expected 0 to kv_len = 80");
  CHECK(refusal_of([&] { attend_to(p.queries().slice_dim(0, 6), cache, causal); }) ==
        "attention: q has width 6, expected qk_dim = 8");
  CHECK(refusal_of([] { rotated_ring<float, 2, 8>({.window = 0}); }) ==
        "ring_cache: window = 0, expected at least 1");
  CHECK(refusal_of([] { rotated_ring<float>({.window = 1}, 2, 0); }) ==
        "kv_cache: qk_dim = 0 was given, expected at least 1");
  CHECK(cache.tokens() == 80);
  CHECK(same_bits(attend_to(p.queries(), cache, causal), before));
}

TEST_CASE("a step with a rotated ring allocates nothing once one like it has run") {
  const problem<float> p({2, 2, 4, 2, 64, 64});
  rotated_ring<hr::int4_blocks> cache({.window = 9, .prefix = 1, .chunk = 2}, 2, 64);
  tensor<float> out(2, 4, 64);
  const auto steps = [&] {
    for (int i = 0; i < 20; ++i) {
      cache.append(p.keys(), p.values());
      any_attention(4, 2, 64, 64)(p.queries(), cache, out.view(), some_mask(hr::causal()));
      cache.truncate(cache.tokens() - 1);
    }
  };
  steps();
  const long count = allocations_of(steps);
  if (counts_allocations) CHECK(count == 0);
}

TEST_CASE("a layer takes a rotated ring for a rotated cache and a window, alone and in a batch") {
  using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Ring = rotated_ring<float, 2, 8>;
  const RowMajor w = RowMajor::Random(32, 32), narrow = RowMajor::Random(16, 32);
  hr::layer_options<float> options;
  options.rotary = hr::rope(8);
  const hr::attention_layer layer(
      hr::attention<4, 2, 8>(),
      hr::attention_weights<float>{
          hr::linear(w), hr::linear(narrow), hr::linear(narrow), hr::linear(w), {}, {}, 1e-6},
      options);
  hr::rotated_cache<hr::kv_cache<float, 2, 8>> cache(100);
  const auto ring = [] { return Ring({.window = 8, .prefix = 1, .chunk = 9}); };
  Ring alone = ring(), first = ring(), second = ring();
  const auto windowed = hr::causal() & (hr::sliding_window(8) | hr::prefix(1));
  const RowMajor x = RowMajor::Random(18, 32);
  RowMajor out(9, 32), expected(9, 32), both(18, 32);
  const auto near = [&](const auto& got, const auto& want) {
    return (got - want).norm() < 1e-5f * want.norm();
  };
  for (const Index tokens : {9, 1, 4, 9, 9, 1}) {
    const auto rows = x.topRows(tokens);
    layer(rows, alone, out.topRows(tokens));
    layer(rows, cache, expected.topRows(tokens), windowed);
    CHECK(near(out.topRows(tokens), expected.topRows(tokens)));
    const std::array<hr::layer_sequence<Ring>, 2> sequences = {{{tokens, &first}, {9, &second}}};
    RowMajor joined(tokens + 9, 32);
    joined << rows, x.bottomRows(9);
    layer.batch(joined, sequences, both.topRows(tokens + 9));
    CHECK(near(both.topRows(tokens), expected.topRows(tokens)));
  }
  // One too many for the second ring: the first must give back what it took.
  const std::array<hr::layer_sequence<Ring>, 2> too_many = {{{3, &first}, {10, &second}}};
  CHECK_THROWS_AS(layer.batch(x.topRows(13), too_many, both.topRows(13)), std::length_error);
  CHECK(first.tokens() == 33);
  CHECK(second.tokens() == 54);
  layer(x.topRows(1), first, out.topRows(1));
  layer(x.topRows(1), cache, expected.topRows(1), windowed);
  CHECK(near(out.topRows(1), expected.topRows(1)));
}

TEST_CASE("drafts of a tree are verified over a rotated ring, and taken back") {
  const problem<float> p({4, 60, 4, 2, 32, 32});
  const std::array<int, 4> parents = {-1, 0, 0, 1};
  const hr::tree_mask<> tree(parents);
  rotated_ring<hr::int4_blocks> ring({.window = 20, .chunk = 4}, 2, 32);
  hr::rotated_cache<hr::kv_cache<hr::int4_blocks>> full(60, 2, 32);
  for (Index t = 0; t + 4 <= 60; t += 3) {
    ring.append(p.keys().slice_tokens(t, t + 4), p.values().slice_tokens(t, t + 4));
    full.append(p.keys().slice_tokens(t, t + 4), p.values().slice_tokens(t, t + 4));
    const auto got = attend_to(p.queries(), ring, some_mask(tree));
    REQUIRE(stored_error_ratio(got, p.queries(), full.stored(), tree & hr::sliding_window(20), t) <=
            1);
    ring.truncate(t + 3);
    full.truncate(t + 3);
  }
}

TEST_CASE("around a scaled cache the scales are those of rotated keys") {
  using Scaled = hr::scaled_cache<hr::kv_cache<hr::int8_rows>>;
  const problem<float> p({5, 60, 4, 2, 32, 16});
  const auto k = rotated<float>(p.keys()), v = rotated<float>(p.values());
  hr::rotated_cache<Scaled> cache(60, 2, 32, 16);
  Scaled of_rotated(60, 2, 32, 16);
  cache.append(p.keys(), p.values());
  of_rotated.append(k.view(), v.view());
  CHECK(same_bits(attend_to(p.queries(), cache, hr::causal()),
                  attend_by_hand(p.queries(), of_rotated, hr::causal())));
}
