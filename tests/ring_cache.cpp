// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a ring_cache is used as a kv_cache is, in memory that does not grow; what it can no longer
// answer it refuses, and stays as it was. ring_cache_law.cpp has the law about what it answers.
#include <headroom/batch.hpp>
#include <headroom/cost.hpp>
#include <headroom/int8_codec.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/latent_cache.hpp>
#include <headroom/layer.hpp>
#include <headroom/mla.hpp>
#include <headroom/ring_cache.hpp>
#include <headroom/rope.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "support/problem.hpp"
#include "support/refusal.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

using Cache = hr::kv_cache<float, 2, 16>;
using Ring = hr::ring_cache<Cache>;
using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

static_assert(hr::wrapping_cache<Ring>);
static_assert(!hr::kv_source<Ring>);  // its slots are in no order of tokens

template <class Problem>
void append(Ring& ring, const Problem& p, Index begin, Index end) {
  for (const Index chunk = ring.shape().chunk; begin < end; begin += chunk) {
    const Index next = std::min(begin + chunk, end);
    ring.append(p.keys().slice_tokens(begin, next), p.values().slice_tokens(begin, next));
  }
}

template <class Source, class Mask = hr::causal, class Executor = hr::serial>
answer<float> attend_to(hr::view<const float> q, const Source& source, const Mask& mask = {},
                        const Executor& executor = {}) {
  answer<float> result{{q.tokens(), 4, 16}, {q.tokens(), 4, 1}};
  hr::gqa<4, 2, 16>()(q, source, result.out.view(), mask, {.lse = result.lse.per_head()}, executor);
  return result;
}

}  // namespace

TEST_CASE("memory is the window, the prefix and a chunk, whatever the context") {
  const problem<> p({1, 300, 4, 2, 16, 16});
  Ring ring({.window = 20, .prefix = 4, .chunk = 8});
  const float* const memory = ring.stored().key_view().data();
  append(ring, p, 0, 300);
  CHECK(ring.tokens() == 300);
  CHECK(ring.capacity() == 4 + 20 + 8 - 1);
  CHECK(ring.stored().tokens() == ring.capacity());
  CHECK(ring.stored().key_view().data() == memory);
  static_assert(hr::ring_tokens(20, 4, 8) == 31);
  static_assert(hr::ring_tokens(20) == 20);
  constexpr hr::attention_shape shape{.hidden = 64, .Q_heads = 4, .KV_groups = 2, .qk_dim = 16};
  CHECK(shape.cache_bytes(hr::ring_tokens(20, 4, 8), sizeof(float)) ==
        ring.capacity() * ring.bytes_per_token());
}

TEST_CASE("each query of a chunk has its whole window, at every edge of the ring") {
  const Index window = GENERATE(1, 2, 4), chunk = GENERATE(1, 3, 4, 9);
  const Index prefix = GENERATE(0, 1, 5);
  const problem<> p({chunk, 60, 4, 2, 16, 16});
  const auto windowed = hr::causal() & (hr::sliding_window(window) | hr::prefix(prefix));
  for (Index start = 0; start <= chunk; ++start) {
    Ring ring({.window = window, .prefix = prefix, .chunk = chunk});
    append(ring, p, 0, start);
    for (Index t = start; t + chunk <= 40; t += chunk) {
      append(ring, p, t, t + chunk);
      const auto keys = p.keys().slice_tokens(0, t + chunk);
      const auto values = p.values().slice_tokens(0, t + chunk);
      const auto exact = exact_attention<float>(p.queries(), keys, values, windowed);
      REQUIRE(error_ratio(attend_to(p.queries(), ring), exact) <= 1);
    }
  }
}

// StreamingLLM: the prefix stands before the window, however far the context has gone.
TEST_CASE("keys of the prefix are written anew, to follow the window") {
  const hr::ring_shape shape{.window = 20, .prefix = 4};
  const Index kept = shape.prefix + shape.window;
  const hr::rope rotary(16);
  const problem<> p({1, 150, 4, 2, 16, 16});
  const auto rotated = [&](hr::view<const float> rows, Index position) {
    tensor<float> out(rows.tokens(), rows.heads(), 16);
    rotary(rows, out.view(), position);
    return out;
  };
  const tensor<float> keys = rotated(p.keys(), 0);
  Ring ring(shape);
  for (Index t = 0; t < 150; ++t) {
    ring.append(keys.view().slice_tokens(t, t + 1), p.values().slice_tokens(t, t + 1));
    const Index dropped = std::max<Index>(0, ring.tokens() - kept);
    const Index first = std::min(shape.prefix, ring.tokens());
    ring.write_keys(0, rotated(p.keys().slice_tokens(0, first), dropped).view());
    if (t % 7 != 0) continue;

    // What is kept, where it stands among what is kept.
    Cache cache(kept);
    const auto add = [&](Index begin, Index end, Index position) {
      cache.append(rotated(p.keys().slice_tokens(begin, end), position).view(),
                   p.values().slice_tokens(begin, end));
    };
    add(0, first, 0);
    add(first + dropped, ring.tokens(), first);
    const auto got = attend_to(rotated(p.queries(), t).view(), ring);
    const auto expected = attend_to(rotated(p.queries(), t - dropped).view(), cache);
    // Rotation to different positions rounds differently; numbers are of about 1.
    for (Index h = 0; h < 4; ++h)
      for (Index d = 0; d < 16; ++d)
        REQUIRE(std::abs(got.out.view()(0, h, d) - expected.out.view()(0, h, d)) <= 1e-4);
  }
}

TEST_CASE("keys of tokens that are gone cannot be written") {
  const problem<> p({1, 100, 4, 2, 16, 16});
  Ring ring({.window = 20, .prefix = 4, .chunk = 8});
  append(ring, p, 0, 100);  // from 73 on
  const auto before = attend_to(p.queries(), ring);
  const auto k = p.keys();
  CHECK_THROWS_WITH(ring.write_keys(72, k.slice_tokens(0, 2)),
                    "ring_cache: writing keys of 2 tokens from 72 on, expected some of the prefix, "
                    "or from 73 on, the oldest that is kept");
  CHECK_THROWS_AS(ring.write_keys(3, k.slice_tokens(0, 2)), std::invalid_argument);
  CHECK_THROWS_AS(ring.write_keys(0, k.slice_tokens(0, 100)), std::invalid_argument);
  CHECK_THROWS_WITH(ring.write_keys(99, k.slice_tokens(0, 2)),
                    "ring_cache: writing keys of 2 tokens from 99 on, expected a range within size "
                    "= 100");
  CHECK_THROWS_AS(ring.write_keys(-1, k.slice_tokens(0, 1)), std::invalid_argument);
  CHECK_THROWS_WITH(ring.write_keys(0, k.slice_tokens(0, 1).slice_dim(0, 8)),
                    "kv_cache: k has width 8, expected 16");
  CHECK_THROWS_AS(ring.write_keys(0, k.slice_tokens(0, 0).slice_dim(0, 8)), std::invalid_argument);
  CHECK(same_bits(attend_to(p.queries(), ring), before));

  ring.write_keys(50, k.slice_tokens(0, 0));  // of none
  ring.write_keys(0, k.slice_tokens(0, 4));
  ring.write_keys(73, k.slice_tokens(73, 100));
  CHECK(same_bits(attend_to(p.queries(), ring), before));
}

TEST_CASE("so it is with the rotary keys of latents") {
  const RowMajor c = RowMajor::Random(50, 24), k_pe = RowMajor::Random(50, 6);
  const RowMajor written = RowMajor::Random(5, 6);
  hr::ring_cache<hr::latent_cache<float>> ring({.window = 8, .prefix = 2}, 24, 6);
  hr::latent_cache<float> full(50, 24, 6);
  for (Index t = 0; t < 50; ++t) {
    ring.append(c.row(t), k_pe.row(t));
    full.append(c.row(t), k_pe.row(t));
  }
  ring.write_rope_keys(0, written.topRows(2));
  ring.write_rope_keys(44, written);  // across the end of the ring's memory
  full.write_rope_keys(0, written.topRows(2));
  full.write_rope_keys(44, written);
  const auto kept = ring.kept(1);
  for (Index i = 0; i < kept.tokens(); ++i) {
    const Index t = kept.token(i);
    const float* const expected = full.keys(0, t, t + 1).rows;
    CHECK(std::equal(expected, expected + 30, kept.keys(0, i, i + 1).rows));
  }
  CHECK_THROWS_WITH(ring.write_rope_keys(41, written),
                    "ring_cache: writing rotary keys of 5 tokens from 41 on, expected some of the "
                    "prefix, or from 42 on, the oldest that is kept");
  CHECK_THROWS_AS(ring.write_rope_keys(42, written.leftCols(5)), std::invalid_argument);
}

TEST_CASE("what was dropped or taken back does not reach a result, whatever it holds") {
  const problem<> p({8, 200, 4, 2, 16, 16});
  const hr::ring_shape shape{.window = 20, .prefix = 4, .chunk = 8};
  const RowMajor nan = RowMajor::Constant(8, 32, quiet_nan<float>());
  Ring clean(shape), odd(shape);
  append(clean, p, 0, 100);

  append(odd, p, 0, 4);
  for (int i = 0; i < 7; ++i) odd.append(nan, nan);  // tokens 4 to 59: out of sight from 79 on
  append(odd, p, 60, 80);
  const auto seeing = attend_to(p.queries(), odd);
  CHECK(std::isnan(seeing.out.view()(0, 0, 0)));
  CHECK(std::isnan(seeing.out.view()(6, 0, 0)));
  CHECK(std::isfinite(seeing.out.view()(7, 0, 0)));
  append(odd, p, 80, 100);
  CHECK(same_bits(attend_to(p.queries(), odd), attend_to(p.queries(), clean)));

  odd.append(nan, nan);
  odd.truncate(100);
  append(odd, p, 100, 101);
  append(clean, p, 100, 101);
  const auto q = p.queries().slice_tokens(0, 1);
  CHECK(same_bits(attend_to(q, odd), attend_to(q, clean)));
  odd.clear();
  odd.append(nan, nan);
  odd.truncate(0);
  Ring fresh(shape);
  append(odd, p, 0, 30);
  append(fresh, p, 0, 30);
  CHECK(same_bits(attend_to(p.queries(), odd), attend_to(p.queries(), fresh)));
}

TEST_CASE("drafts that are taken back leave no trace") {
  const problem<> p({5, 400, 4, 2, 16, 16}), drafts({5, 400, 4, 2, 16, 16}, 2);
  const hr::ring_shape shape{.window = 30, .prefix = GENERATE(0, 3), .chunk = 5};
  Ring plain(shape), drafted(shape);
  append(plain, p, 0, 31);
  append(drafted, p, 0, 31);
  for (Index t = 31; t < 390; ++t) {
    append(drafted, drafts, t, t + 5);
    attend_to(p.queries(), drafted);
    drafted.truncate(t);
    append(drafted, p, t, t + 1);
    append(plain, p, t, t + 1);
    const auto q = p.queries().slice_tokens(t % 5, t % 5 + 1);
    REQUIRE(same_bits(attend_to(q, drafted), attend_to(q, plain)));
  }
}

TEST_CASE("what would need overwritten keys is refused, and the ring is unchanged") {
  const problem<> p({5, 100, 4, 2, 16, 16});
  Ring ring({.window = 10, .prefix = 2, .chunk = 4});
  append(ring, p, 0, 50);  // tokens 37 and on are kept
  const auto q = p.queries().slice_tokens(0, 1);
  const auto before = attend_to(q, ring);
  CHECK(refusal_of([&] { ring.truncate(45); }) ==
        "ring_cache: truncate: the next query at position 45 sees token 36, expected at least 37, "
        "the oldest that is kept");
  CHECK(refusal_of([&] { ring.truncate(51); }) ==
        "ring_cache: truncate to 51 tokens, expected 0 to size = 50");
  CHECK(refusal_of([&] { ring.truncate(-1); }) ==
        "ring_cache: truncate to -1 tokens, expected 0 to size = 50");
  CHECK(refusal_of([&] { attend_to(p.queries(), ring); }) ==
        "ring_cache: the first query at position 45 sees token 36, expected at least 37, the "
        "oldest that is kept");
  CHECK(refusal_of<std::length_error>([&] {
          ring.append(p.keys().slice_tokens(0, 5), p.values().slice_tokens(0, 5));
        }) == "ring_cache: appending 5 tokens at once exceeds the chunk of 4");
  CHECK(refusal_of([&] {
          ring.append(p.keys().slice_tokens(0, 3), p.values().slice_tokens(0, 2));
        }) == "ring_cache: 3 and 2 tokens were given, expected as many of both");
  CHECK(refusal_of([&] {
          ring.append(p.keys().slice_tokens(0, 3), p.values().slice_tokens(0, 3).slice_dim(0, 15));
        }) == "kv_cache: v has width 15, expected 16");
  CHECK(refusal_of([&] {
          ring.append(p.keys().slice_tokens(0, 0).slice_heads(0, 1), p.values().slice_tokens(0, 0));
        }) == "kv_cache: k has 1 heads, expected KV_groups = 2");
  CHECK(ring.tokens() == 50);
  CHECK(same_bits(attend_to(q, ring), before));
  ring.truncate(46);
  CHECK(ring.tokens() == 46);
  ring.truncate(2);  // the prefix alone needs no ring
  CHECK(ring.tokens() == 2);
  append(ring, p, 2, 50);
  CHECK(same_bits(attend_to(q, ring), before));

  CHECK(refusal_of([] { Ring({.window = 0}); }) == "ring_cache: window = 0, expected at least 1");
  CHECK(refusal_of([] { Ring({.window = 1, .prefix = -1}); }) ==
        "ring_cache: prefix = -1, expected at least 0");
  CHECK(refusal_of([] { Ring({.window = 1, .chunk = 0}); }) ==
        "ring_cache: chunk = 0, expected at least 1");
  constexpr Index most = std::numeric_limits<Index>::max();
  CHECK(refusal_of([] { Ring({.window = most, .prefix = 2}); }) ==
        "ring_cache: window = " + std::to_string(most) + ", expected at most " +
            std::to_string(most / 8));
  CHECK_THROWS_AS(Ring({.window = most / 16}), std::length_error);
  CHECK(refusal_of([] { hr::ring_cache<hr::kv_cache<float>>({.window = 1}, 2, 0); }) ==
        "kv_cache: qk_dim = 0 was given, expected at least 1");

  CHECK(refusal_of([&] { ring.kept(-1); }) ==
        "ring_cache: kept for q_len = -1, expected at least 0");
  const std::string most_position = std::to_string(hr::sliding_window::unlimited);
  for (const Index position : {-most - 1, hr::sliding_window::unlimited + 1})
    CHECK(refusal_of([&] { ring.kept(1, position); }) ==
          "ring_cache: first_position = " + std::to_string(position) + ", expected -" +
              most_position + " to " + most_position);
}

TEST_CASE("a mask speaks of the whole context, and is checked against it") {
  const problem<> p({1, 50, 4, 2, 16, 16});
  Ring ring({.window = 10, .prefix = 2, .chunk = 4});
  append(ring, p, 0, 50);
  CHECK(refusal_of([&] { attend_to(p.queries(), ring, hr::key_length(51)); }) ==
        "key_length: length = 51, expected 0 to kv_len = 50");
  CHECK_NOTHROW(attend_to(p.queries(), ring, hr::key_length(50)));
}

TEST_CASE("rings of a batch get what they get alone, on any number of threads") {
  const problem<> p({9, 300, 4, 2, 16, 16});
  std::vector<Ring> rings;
  rings.emplace_back(hr::ring_shape{.window = 40, .prefix = 4, .chunk = 5});
  rings.emplace_back(hr::ring_shape{.window = 7, .chunk = 5});
  rings.emplace_back(hr::ring_shape{.window = 1000, .chunk = 5});
  const Index sizes[] = {300, 33, 270};
  const std::vector<Index> offsets = {0, 3, 4, 9};
  std::vector<hr::kept_tokens<Cache>> kept;
  for (std::size_t i = 0; i < 3; ++i) {
    append(rings[i], p, 0, sizes[i]);
    kept.push_back(rings[i].kept(offsets[i + 1] - offsets[i]));
  }
  using Mask = decltype(kept[0].masked(hr::causal()));
  std::vector<hr::batch_sequence<hr::kept_tokens<Cache>, Mask>> sequences;
  for (const auto& of : kept)
    sequences.emplace_back(of, of.masked(hr::causal()), of.first_position());
  tensor<float> out(9, 4, 16);
  const auto check = [&](const auto& executor) {
    hr::attend_batch(hr::gqa<4, 2, 16>(), p.queries(), offsets, sequences, out.view(), {},
                     executor);
    for (std::size_t i = 0; i < 3; ++i) {
      const auto alone = attend_to(p.queries().slice_tokens(offsets[i], offsets[i + 1]), rings[i]);
      const hr::view<const float> got = out.view().slice_tokens(offsets[i], offsets[i + 1]);
      CHECK(same_bits(got, alone.out.view()));
    }
  };
  check(hr::serial());
#ifdef _OPENMP
  check(hr::openmp{3});
#endif
}

TEST_CASE("a step allocates nothing once one like it has run") {
  const problem<> p({3, 100, 4, 2, 16, 16});
  hr::ring_cache<hr::kv_cache<hr::int8_rows>> ring({.window = 30, .prefix = 4, .chunk = 3}, 2, 16);
  tensor<float> out(3, 4, 16);
  const auto steps = [&] {
    for (Index t = 0; t < 60; t += 3) {
      ring.append(p.keys().slice_tokens(t, t + 3), p.values().slice_tokens(t, t + 3));
      hr::gqa<4, 2, 16>()(p.queries(), ring, out.view(), hr::causal());
      ring.truncate(ring.tokens() - 1);
    }
  };
  steps();
  const long count = allocations_of(steps);
  if (counts_allocations) CHECK(count == 0);
}

TEST_CASE("a layer runs over a ring as over a cache and a window, and takes back what failed") {
  const RowMajor w = RowMajor::Random(16, 16), narrow = RowMajor::Random(8, 16);
  hr::layer_options<float> options;
  options.rotary = hr::rope(4);
  const hr::attention_layer layer(
      hr::attention<4, 2, 4>(),
      hr::attention_weights<float>{
          hr::linear(w), hr::linear(narrow), hr::linear(narrow), hr::linear(w), {}, {}, 1e-6},
      options);
  hr::kv_cache<float> cache(100, 2, 4);
  hr::ring_cache<hr::kv_cache<float>> ring({.window = 8, .prefix = 1, .chunk = 9}, 2, 4);
  const auto windowed = hr::causal() & (hr::sliding_window(8) | hr::prefix(1));
  const RowMajor x = RowMajor::Random(10, 16);
  RowMajor out(10, 16), expected(10, 16);
  for (const Index tokens : {9, 1, 4, 9, 9, 1}) {
    layer(x.topRows(tokens), ring, out.topRows(tokens));
    layer(x.topRows(tokens), cache, expected.topRows(tokens), windowed);
    CHECK((out.topRows(tokens) - expected.topRows(tokens)).norm() <
          1e-5f * expected.topRows(tokens).norm());
  }
  CHECK_THROWS_AS(layer(x, ring, out), std::length_error);
  CHECK_THROWS_AS(layer(x.topRows(9), ring, out.topRows(9), hr::key_length(-1)),
                  std::invalid_argument);
  CHECK(ring.tokens() == 33);
  layer(x.topRows(1), ring, out.topRows(1));
  layer(x.topRows(1), cache, expected.topRows(1), windowed);
  CHECK((out.row(0) - expected.row(0)).norm() < 1e-5f * expected.row(0).norm());
}

TEST_CASE("a ring of latents is MLA under a window, expanded and absorbed") {
  constexpr Index heads = 3, rank = 12, nope = 6, rope = 4, value = 5, window = 20, prefix = 3;
  random_source random(77);
  const auto matrix = [&](Index rows, Index cols) {
    Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> m(rows, cols);
    random.fill(hr::as_view(m, 1));
    return m;
  };
  const auto c = matrix(200, rank), k_pe = matrix(200, rope), up = matrix(heads * 11, rank);
  const hr::mla<heads, rank, nope, rope, value> attend;
  hr::latent_cache<double, rank, rope> full(200);
  hr::ring_cache<hr::latent_cache<double, rank, rope>> ring(
      {.window = window, .prefix = prefix, .chunk = 30});
  for (const auto& [begin, end] : {std::pair<Index, Index>{0, 30},
                                   {30, 31},
                                   {31, 60},
                                   {60, 90},
                                   {90, 91},
                                   {91, 93},
                                   {93, 123},
                                   {123, 124}}) {
    const Index count = end - begin;
    const auto q = matrix(count, heads * (nope + rope));
    auto out = matrix(count, heads * value), expected = out;
    full.append(c.middleRows(begin, count), k_pe.middleRows(begin, count));
    ring.append(c.middleRows(begin, count), k_pe.middleRows(begin, count));
    attend(q, full, hr::linear(up), expected,
           hr::causal() & (hr::sliding_window(window) | hr::prefix(prefix)));
    attend(q, ring, hr::linear(up), out, hr::causal());
    REQUIRE((out - expected).norm() <= 1e-12 * expected.norm());
    const auto kept = ring.kept(count);
    attend.absorbed(q, kept, hr::linear(up), out, kept.masked(hr::causal()),
                    {.first_position = kept.first_position()});
    REQUIRE((out - expected).norm() <= 1e-12 * expected.norm());
  }
}

TEST_CASE("a ring that was moved from is empty, and has no room") {
  const problem<> p({1, 40, 4, 2, 16, 16});
  Ring ring({.window = 10, .chunk = 4});
  append(ring, p, 0, 40);
  const auto before = attend_to(p.queries(), ring);
  Ring moved = std::move(ring);
  CHECK(same_bits(attend_to(p.queries(), moved), before));
  CHECK(ring.tokens() == 0);
  CHECK_THROWS_AS(append(ring, p, 0, 1), std::length_error);
}
