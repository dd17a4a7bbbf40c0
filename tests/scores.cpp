// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: every score of every stage comes once, and is that of the definition; what a mask hides
// shows in no stage after it. Caches around others change nothing about that, but that a ring has
// dropped what it has dropped.
#include <headroom/fp8_codec.hpp>
#include <headroom/int4_codec.hpp>
#include <headroom/int8_codec.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/page_pool.hpp>
#include <headroom/paged_cache.hpp>
#include <headroom/ring_cache.hpp>
#include <headroom/rotated_cache.hpp>
#include <headroom/scaled_cache.hpp>
#include <headroom/score_mod.hpp>
#include <headroom/scores.hpp>

#include "support/catch.hpp"
#include "support/problem.hpp"
#include "support/refusal.hpp"
#include "support/scattered_pages.hpp"
#include "support/visited_scores.hpp"

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;
using hr::score_stage;

namespace {

template <class Key>
hr::view_source<Key, Key> source_of(const problem<float, Key>& p) {
  return {p.keys(), p.values()};
}

template <class Scalar, class Attention, class Query, class Source, class Mask>
visited_scores<Scalar> visited(const Attention& attend, score_stage stage, hr::view<const Query> q,
                               const Source& source, const Mask& mask,
                               const hr::attention_options<Scalar>& options) {
  return {q.tokens(), q.heads(), Index(source.tokens()), [&](const auto& visit) {
            hr::visit_scores<Scalar>(attend, stage, q, source, mask, options, visit);
          }};
}

// All scores of a stage, each of which is visited once.
template <class Scalar, class Key, class Source, class Mask>
tensor<Scalar> all_scores(score_stage stage, const problem<float, Key>& p, const Source& source,
                          const Mask& mask, const hr::attention_options<Scalar>& options) {
  const any_attention attend(p.q.heads(), p.k.heads(), p.q.dim(), p.v.dim());
  auto all = visited<Scalar>(attend, stage, p.queries(), source, mask, options);
  REQUIRE(all.all_once());
  return std::move(all.scores);
}

// The same by the definition, in double, over the numbers that the source holds.
template <class Key, class Mask, class Scalar>
tensor<double> exact_scores(score_stage stage, const problem<float, Key>& p, const Mask& mask,
                            const hr::attention_options<Scalar>& options) {
  tensor<double> all(p.q.tokens(), p.q.heads(), p.k.tokens());
  std::vector<double> sinks;
  tensor<double> out(p.q.tokens(), p.q.heads(), p.v.dim());
  hr::reference_attention<double>(p.queries(), p.keys(), p.values(), out.view(), mask,
                                  in_double(options, sinks), reference_of(stage, all.view()));
  return all;
}

template <class Scalar, class Mask>
void check_stages(const problem_size& size, const Mask& mask,
                  const hr::attention_options<Scalar>& options) {
  INFO(size.q_len << " queries, " << size.kv_len << " keys, heads " << size.Q_heads << " / "
                  << size.KV_groups);
  const problem<> p(size);
  for (const score_stage stage : stages)
    check_equal(all_scores<Scalar>(stage, p, source_of(p), mask, options),
                exact_scores(stage, p, mask, options), size.qk_dim);
}

}  // namespace

TEMPLATE_TEST_CASE("every stage is that of the definition", "", float, double) {
  const std::vector<TestType> sinks(6, TestType(0.5));
  const auto tilt = hr::score_mod([](auto s, const hr::query_row& row, Index j) {
    return s - decltype(s)(0.01) * decltype(s)(row.position - j);
  });
  for (const problem_size& size : {problem_size{1, 1, 1, 1, 1, 1},
                                   {3, 5, 2, 2, 7, 3},
                                   {70, 70, 6, 2, 33, 5},
                                   {2, 500, 6, 1, 64, 4}}) {
    check_stages<TestType>(size, hr::none(), {});
    check_stages<TestType>(size, hr::causal(), {.softcap = TestType(2)});
    check_stages<TestType>(size, hr::sliding_window{20} & tilt, {.scale = TestType(0.3)});
    if (size.Q_heads == 6) check_stages<TestType>(size, hr::causal(), {.sinks = sinks});
  }
}

TEST_CASE("no query or no key is no visit; a row that sees nothing has weights 0") {
  const problem<> no_keys({2, 0, 2, 1, 4, 4}), no_queries({0, 5, 2, 1, 4, 4});
  for (const score_stage stage : stages) {
    all_scores<float>(stage, no_keys, source_of(no_keys), hr::none(), {});
    all_scores<float>(stage, no_queries, source_of(no_queries), hr::none(), {});
  }
  const problem<> p({3, 5, 2, 1, 4, 4});
  const auto weights = all_scores<float>(score_stage::softmax, p, source_of(p), hr::causal(),
                                         {.first_position = -2});
  for (Index j = 0; j < 5; ++j) CHECK(weights(1, 0, j) == 0);
  CHECK(weights(2, 0, 0) == 1);
}

TEST_CASE("NaN behind the mask stays there") {
  problem<> p({4, 40, 2, 1, 8, 8});
  for (Index d = 0; d < 8; ++d) p.k(39, 0, d) = quiet_nan<float>();
  const auto weights = all_scores<float>(score_stage::softmax, p, source_of(p), hr::causal(), {});
  const auto biased = all_scores<float>(score_stage::biased, p, source_of(p), hr::causal(), {});
  for (Index t = 0; t < 3; ++t) {
    float sum = 0;
    for (Index j = 0; j < 40; ++j) sum += weights(t, 1, j);
    CHECK(std::abs(sum - 1) < 1e-5f);
    CHECK(biased(t, 1, 39) == -std::numeric_limits<float>::infinity());
  }
  CHECK(std::isnan(weights(3, 1, 0)));
}

TEMPLATE_TEST_CASE("a NaN that is seen comes out, wherever it stands", "", float, double) {
  for (const Index kv_len : {1, 3, 40, 500})
    for (const Index at : {Index(0), kv_len / 2, kv_len - 1}) {
      problem<> p({1, kv_len, 1, 1, 8, 8});
      for (Index d = 0; d < 8; ++d) p.k(at, 0, d) = quiet_nan<float>();
      const auto weights =
          all_scores<TestType>(score_stage::softmax, p, source_of(p), hr::none(), {});
      for (Index j = 0; j < kv_len; ++j) REQUIRE(std::isnan(weights(0, 0, j)));
    }
}

TEST_CASE("weights times values are what attention returns") {
  random_source random(51);
  const std::vector<float> all_sinks(12, 0.5f);
  for (int round = 0; round < 20; ++round) {
    const Index groups = random.integer(1, 3), q_len = random.integer(1, 70);
    const problem<> p({q_len, random.integer(q_len, 400), groups * random.integer(1, 4), groups,
                       random.integer(1, 70), random.integer(1, 40)},
                      static_cast<std::uint64_t>(round));
    hr::attention_options<float> options;
    if (random.chance(0.5)) options.softcap = 3;
    if (random.chance(0.5))
      options.sinks = std::span(all_sinks).first(static_cast<std::size_t>(p.q.heads()));
    const auto check = [&](const auto& mask) {
      const auto weights = all_scores<float>(score_stage::softmax, p, source_of(p), mask, options);
      const exact_answer exact = p.exact(mask, options);
      tensor<double> out(q_len, p.q.heads(), p.v.dim());
      for (Index t = 0; t < q_len; ++t)
        for (Index h = 0; h < p.q.heads(); ++h)
          for (Index d = 0; d < p.v.dim(); ++d) {
            out(t, h, d) = 0;
            for (Index j = 0; j < p.k.tokens(); ++j)
              out(t, h, d) +=
                  double(weights(t, h, j)) * double(p.v(j, h * groups / p.q.heads(), d));
          }
      REQUIRE(error_ratio(hr::view<const double>(out.view()),
                          hr::view<const double>(exact.out.view()),
                          hr::view<const double>(exact.bound.out.view())) <= 1);
    };
    check(hr::none());
    check(hr::causal());
    check(hr::causal() & (hr::sliding_window(9) | hr::prefix(2)));
  }
}

TEST_CASE("a key that is hidden has a weight of 0, to the last bit") {
  const problem<> p({5, 230, 4, 2, 16, 8});
  const auto weights = all_scores<float>(score_stage::softmax, p, source_of(p),
                                         hr::causal() & hr::sliding_window(7), {});
  for (Index t = 0; t < 5; ++t)
    for (Index j = 0; j < 230; ++j)
      if (j > 225 + t || j <= 225 + t - 7) REQUIRE(weights(t, 3, j) == 0);
}

namespace {

// The problem whose keys are what a source holds.
template <class Source>
problem<> held_by(const Source& source, problem<> p) {
  for (Index j = 0; j < p.k.tokens(); ++j)
    for (Index g = 0; g < p.k.heads(); ++g)
      Source::KeyCodec::decode(source.keys(g, j, j + 1).rows, &p.k(j, g, 0), p.k.dim());
  return p;
}

}  // namespace

TEMPLATE_TEST_CASE("keys come from any source, as it holds them", "", float, Eigen::half,
                   Eigen::bfloat16, hr::int8_rows, hr::int8_blocks, hr::saturating_int8,
                   hr::int4_blocks, hr::fp8_codec) {
  const problem<> p({2, 300, 4, 2, 64, 32});
  random_source random(52);
  hr::kv_cache<TestType> cache(300, 2, 64, 32);
  cache.append(p.keys(), p.values());
  hr::page_pool<TestType> pool(60, 7, 2, 64, 32);
  hr::paged_cache<TestType> pages(pool);
  pages.append(p.keys(), p.values());
  const scattered_pages<TestType> scattered(p.keys(), p.values(), 16, random);
  const problem<> held = held_by(cache, p);
  for (const score_stage stage : stages) {
    const auto in_one_piece = all_scores<float>(stage, p, cache, hr::causal(), {});
    check_equal(in_one_piece,
                exact_scores(stage, held, hr::causal(), hr::attention_options<float>()), 64);
    const auto on_pages = all_scores<float>(stage, p, pages, hr::causal(), {});
    CHECK(same_bits<float>(on_pages.view(), in_one_piece.view()));
    const auto on_others = all_scores<float>(stage, p, scattered.view(), hr::causal(), {});
    CHECK(same_bits<float>(on_others.view(), in_one_piece.view()));
  }
}

TEST_CASE("queries come in any scalar, and heads and widths may be fixed") {
  const problem<> p({3, 200, 4, 2, 16, 8});
  tensor<Eigen::bfloat16> q(3, 4, 16);
  problem<> rounded = p;
  for (Index t = 0; t < 3; ++t)
    for (Index h = 0; h < 4; ++h)
      for (Index d = 0; d < 16; ++d)
        rounded.q(t, h, d) = float(q(t, h, d) = Eigen::bfloat16(p.q(t, h, d)));
  const auto narrow =
      visited<float>(hr::attention<4, 2, 16, 8>(), score_stage::raw,
                     hr::view<const Eigen::bfloat16>(q.view()), source_of(p), hr::none(), {});
  CHECK(same_bits<float>(
      narrow.scores.view(),
      all_scores<float>(score_stage::raw, rounded, source_of(p), hr::none(), {}).view()));
}

namespace {

// What scores over a cache around another are: those of prepared queries over the cache in it.
template <class Cache>
void check_within(Cache& cache, const problem<>& p, bool stores_floats) {
  cache.append(p.keys(), p.values());
  problem<> prepared = p;
  for (Index h = 0; h < p.q.heads(); ++h) cache.prepare_queries(prepared.q.view(), h);
  const hr::attention_options<float> options{.softcap = 5};
  for (const score_stage stage : stages) {
    const auto got = all_scores<float>(stage, p, cache, hr::causal(), options);
    const auto over_stored =
        all_scores<float>(stage, prepared, cache.stored(), hr::causal(), options);
    CHECK(same_bits<float>(got.view(), over_stored.view()));
    if (stores_floats) check_equal(got, exact_scores(stage, p, hr::causal(), options), p.q.dim());
  }
}

// A cache of a user's around another: it stores keys times 4, and has queries over 4.
class larger_keys {
 public:
  larger_keys(Index groups, Index dim) : stored_(300, groups, dim) {}
  Index tokens() const { return stored_.tokens(); }
  const hr::kv_cache<float>& stored() const { return stored_; }

  void append(hr::view<const float> k, hr::view<const float> v) {
    stored_.append(times(4, k).view(), v);
  }
  template <class Attention, class Out, class Mask>
  void attend(const Attention& attention, hr::view<const float> q, Out&& out, const Mask& mask,
              const hr::attention_options<float>& options, const hr::serial&) const {
    REQUIRE(q.heads() == attention.q_heads());
    attention(times(0.25f, q).view(), stored_, out, mask, options);
  }

 private:
  static tensor<float> times(float factor, hr::view<const float> rows) {
    tensor<float> result(rows.tokens(), rows.heads(), rows.dim());
    for (Index t = 0; t < rows.tokens(); ++t)
      for (Index h = 0; h < rows.heads(); ++h)
        for (Index d = 0; d < rows.dim(); ++d) result(t, h, d) = factor * rows(t, h, d);
    return result;
  }

  hr::kv_cache<float> stored_;
};

}  // namespace

TEST_CASE("through a cache around another come the scores of its tokens") {
  const problem<> p({5, 250, 6, 2, 24, 24});
  hr::rotated_cache<hr::kv_cache<float>> rotated(250, 2, 24);
  check_within(rotated, p, true);
  hr::scaled_cache<hr::kv_cache<float>> scaled(250, 2, 24);
  const std::vector<float> threes(2 * 24, 3.f);
  scaled.set_value_scales(hr::tokens_major(threes.data(), 1, 2, 24));
  check_within(scaled, p, true);
  hr::scaled_cache<hr::kv_cache<hr::int8_rows>> in_int8(250, 2, 24);
  check_within(in_int8, p, false);

  // One in another, and one of a user's.
  hr::rotated_cache<hr::scaled_cache<hr::kv_cache<float>>> both(250, 2, 24);
  both.append(p.keys(), p.values());
  larger_keys larger(2, 24);
  larger.append(p.keys(), p.values());
  for (const score_stage stage : stages) {
    const auto exact = exact_scores(stage, p, hr::causal(), hr::attention_options<float>());
    check_equal(all_scores<float>(stage, p, both, hr::causal(), {}), exact, 24);
    check_equal(all_scores<float>(stage, p, larger, hr::causal(), {}), exact, 24);
  }
}

namespace {

// A ring's scores are those over the whole context under its window, of the keys that it keeps
// visible; the others are not visited.
template <class Ring>
void check_ring(Ring& ring, const hr::ring_shape& shape, const problem<>& p) {
  const Index kv_len = p.k.tokens(), q_len = p.q.tokens();
  for (Index begin = 0; begin < kv_len; begin += shape.chunk) {
    const Index end = std::min(begin + shape.chunk, kv_len);
    ring.append(p.keys().slice_tokens(begin, end), p.values().slice_tokens(begin, end));
  }
  const auto mask = hr::causal() & (hr::sliding_window(shape.window) | hr::prefix(shape.prefix));
  const Index first = kv_len - q_len - shape.window + 1;
  for (const score_stage stage : stages) {
    const auto got = visited<float>(any_attention(p.q.heads(), p.k.heads(), p.q.dim(), p.v.dim()),
                                    stage, p.queries(), ring, hr::causal(), {.softcap = 5});
    auto exact = exact_scores(stage, p, mask, hr::attention_options<float>{.softcap = 5});
    tensor<float> scores = got.scores;
    for (Index t = 0; t < q_len; ++t)
      for (Index h = 0; h < p.q.heads(); ++h)
        for (Index j = 0; j < kv_len; ++j) {
          const bool is_kept = j < shape.prefix || j >= first;
          REQUIRE(got.of(t, h, j) == (is_kept ? 1 : 0));
          if (is_kept) continue;
          if (stage == score_stage::biased) REQUIRE(std::isinf(exact(t, h, j)));
          if (stage == score_stage::softmax) REQUIRE(exact(t, h, j) == 0);
          scores(t, h, j) = 0;
          exact(t, h, j) = 0;
        }
    check_equal(scores, exact, p.q.dim());
  }
}

}  // namespace

TEST_CASE("a ring's keys are counted in the whole context, and the dropped ones not visited") {
  random_source random(53);
  for (int round = 0; round < 40; ++round) {
    const hr::ring_shape shape{.window = random.integer(1, 250),
                               .prefix = random.integer(0, 1) * random.integer(0, 220),
                               .chunk = random.integer(1, 20)};
    const Index q_len = random.integer(1, shape.chunk);
    INFO("window " << shape.window << ", prefix " << shape.prefix << ", chunk " << shape.chunk);
    const problem<> p({q_len, random.integer(q_len, 700), 4, 2, 16, 8},
                      static_cast<std::uint64_t>(round));
    hr::ring_cache<hr::kv_cache<float>> ring(shape, 2, 16, 8);
    check_ring(ring, shape, p);
    hr::rotated_cache<hr::ring_cache<hr::kv_cache<float>>> rotated(shape, 2, 16, 8);
    check_ring(rotated, shape, p);
  }
}

TEST_CASE("an empty ring has no scores, and what it no longer keeps is refused") {
  hr::ring_cache<hr::kv_cache<float>> ring({.window = 10, .prefix = 2, .chunk = 4}, 2, 16, 8);
  const problem<> p({5, 40, 4, 2, 16, 8});
  const auto visit = [&](const hr::view<const float>& q, const auto& mask) {
    return visited<float>(any_attention(4, 2, 16, 8), score_stage::softmax, q, ring, mask, {});
  };
  CHECK(visit(p.queries(), hr::none()).visits.empty());
  for (Index t = 0; t < 40; t += 4)
    ring.append(p.keys().slice_tokens(t, t + 4), p.values().slice_tokens(t, t + 4));
  CHECK(refusal_of([&] { visit(p.queries(), hr::none()); }) ==
        "ring_cache: the first query at position 35 sees token 26, expected at least 27, the "
        "oldest that is kept");
  CHECK(refusal_of([&] { visit(p.queries().slice_tokens(0, 1), hr::key_length(41)); }) ==
        "key_length: length = 41, expected 0 to kv_len = 40");
  CHECK(refusal_of([&] { visit(p.keys().slice_tokens(0, 1), hr::none()); }) ==
        "visit_scores: q has 2 heads, expected Q_heads = 4");
}

TEST_CASE("what does not fit is refused before the first visit") {
  const problem<> p({2, 9, 4, 2, 8, 4});
  const any_attention attend(4, 2, 8, 4), other(4, 4, 8, 4);
  const auto refused = [&](const any_attention& by, hr::view<const float> q,
                           const hr::attention_options<float>& options) {
    return refusal_of([&] {
      hr::visit_scores(by, score_stage::raw, q, source_of(p), hr::none(), options,
                       [](const auto&) { FAIL("visited"); });
    });
  };
  CHECK(refused(other, p.queries(), {}) == "visit_scores: k has 2 heads, expected KV_groups = 4");
  CHECK(refused(attend, p.keys(), {}) == "visit_scores: q has 2 heads, expected Q_heads = 4");
  CHECK(refused(attend, p.queries(), {.softcap = -1}).find("visit_scores: softcap = -1") == 0);
}
