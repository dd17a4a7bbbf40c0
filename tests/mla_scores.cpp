// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: scores over latents are those of multi-head attention over keys made beforehand, every one
// of every stage once, whatever the latents are stored as and wherever they lie.
#include <headroom/int8_codec.hpp>
#include <headroom/latent_cache.hpp>
#include <headroom/mla_scores.hpp>
#include <headroom/paged_latents.hpp>
#include <headroom/ring_cache.hpp>
#include <headroom/score_mod.hpp>

#include "support/any_mask.hpp"
#include "support/catch.hpp"
#include "support/latent_problem.hpp"
#include "support/problem.hpp"
#include "support/refusal.hpp"
#include "support/visited_scores.hpp"

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <vector>

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;
using hr::score_stage;

namespace {

// Masks that do not modify scores are one type: each type is kernels of its own.
using some_mask =
    any_mask<hr::none, hr::causal, hr::causal_top_left, hr::key_length,
             hr::both_masks<hr::causal, hr::either_mask<hr::sliding_window, hr::prefix>>>;

const some_mask everything{hr::none()}, causal{hr::causal()};

template <class Scalar, class Core, class Latents, class Weight, class Mask>
visited_scores<Scalar> visited(const Core& core, score_stage stage, const matrix<Scalar>& q,
                               const Latents& latents, const hr::linear<Weight>& up,
                               const Mask& mask, const hr::attention_options<Scalar>& options) {
  return {q.rows(), core.q_heads(), latents.tokens(), [&](const auto& visit) {
            hr::visit_scores(core, stage, q, latents, up, mask, options, visit);
          }};
}

// All scores of a stage, each of which is visited once.
template <class Scalar, class Latents, class Weight, class Mask>
tensor<Scalar> all_scores(score_stage stage, const latent_problem<Scalar>& p,
                          const Latents& latents, const hr::linear<Weight>& up, const Mask& mask,
                          const hr::attention_options<Scalar>& options) {
  auto all = visited<Scalar>(p.core(), stage, p.q, latents, up, mask, options);
  REQUIRE(all.all_once());
  return std::move(all.scores);
}

// The same by the definition, in double, over keys that are made first.
template <class Scalar, class Mask>
tensor<double> exact_scores(score_stage stage, const latent_problem<Scalar>& p, const Mask& mask,
                            const hr::attention_options<Scalar>& options) {
  const Index width = p.nope + p.rope;
  tensor<double> q(p.q_len, p.heads, width), k(p.kv_len, p.heads, width);
  tensor<double> all(p.q_len, p.heads, p.kv_len), out(p.q_len, p.heads, 1);
  const tensor<double> v(p.kv_len, p.heads, 1);
  for (Index h = 0; h < p.heads; ++h) {
    const matrix<double> w_uk =
        p.up.middleRows(h * (p.nope + p.value), p.nope).template cast<double>();
    const matrix<double> made = p.latents.template cast<double>() * w_uk.transpose();
    for (Index d = 0; d < width; ++d) {
      for (Index t = 0; t < p.q_len; ++t) q(t, h, d) = static_cast<double>(p.q(t, h * width + d));
      for (Index j = 0; j < p.kv_len; ++j)
        k(j, h, d) = d < p.nope ? made(j, d) : static_cast<double>(p.rope_keys(j, d - p.nope));
    }
  }
  std::vector<double> sinks;
  hr::reference_attention<double>(q.view(), k.view(), v.view(), out.view(), mask,
                                  in_double(options, sinks), reference_of(stage, all.view()));
  return all;
}

// A score is a sum over rank + rope, of queries that are sums over nope.
template <class Scalar>
void check_equal(const latent_problem<Scalar>& p, const tensor<Scalar>& got,
                 const tensor<double>& want) {
  check_equal(got, want, p.rank + p.rope + p.nope);
}

template <class Scalar, class Mask>
void check_stages(const latent_problem<Scalar>& p, const Mask& mask,
                  const hr::attention_options<Scalar>& options) {
  CAPTURE(p.heads, p.rank, p.nope, p.rope, p.value, p.q_len, p.kv_len);
  const auto cache = p.cache();
  for (const score_stage stage : stages)
    check_equal(p, all_scores<Scalar>(stage, p, cache, hr::linear(p.up), mask, options),
                exact_scores(stage, p, mask, options));
}

// The problem whose latents are what a source holds.
template <class Source>
latent_problem<float> held_by(const Source& source, latent_problem<float> p) {
  Eigen::RowVectorXf row(p.rank + p.rope);
  for (Index j = 0; j < p.kv_len; ++j) {
    Source::KeyCodec::decode(source.keys(0, j, j + 1).rows, row.data(), row.size());
    p.latents.row(j) = row.head(p.rank);
    p.rope_keys.row(j) = row.tail(p.rope);
  }
  return p;
}

}  // namespace

TEMPLATE_TEST_CASE("every stage is that of keys made beforehand", "", float, double) {
  using Problem = latent_problem<TestType>;
  const std::vector<TestType> all_sinks(128, TestType(0.5));
  const auto tilt = hr::score_mod([](auto s, const hr::query_row& row, Index j) {
    return s - decltype(s)(0.01) * decltype(s)(row.position - j + row.query);
  });
  for (const Problem& p :
       {Problem(1, 1, 1, 1, 0, 1, 1, 1), Problem(2, 1, 7, 3, 0, 2, 5, 40),
        Problem(3, 3, 24, 10, 6, 12, 1, 300), Problem(4, 5, 33, 16, 8, 20, 67, 131),
        Problem(5, 2, 17, 5, 4, 9, 40, 500), Problem(6, 128, 32, 8, 4, 8, 17, 33),
        Problem(7, 3, 24, 10, 6, 12, 9, 3)}) {
    const std::span<const TestType> sinks = std::span(all_sinks).first(std::size_t(p.heads));
    check_stages<TestType>(p, everything, {});
    check_stages<TestType>(p, causal, {.softcap = TestType(2), .sinks = sinks});
    check_stages<TestType>(p, some_mask(hr::causal_top_left()), {});
    check_stages<TestType>(p, hr::sliding_window(20) & tilt, {.scale = TestType(0.3)});
    check_stages<TestType>(p, causal, {.first_position = -2});
  }
}

TEST_CASE("random shapes") {
  random_source random(61);
  for (int round = 0; round < 40; ++round) {
    const Index q_len = random.integer(0, 40), kv_len = random.integer(0, 450);
    const latent_problem<float> p(static_cast<std::uint64_t>(round), random.integer(1, 9),
                                  random.integer(1, 70), random.integer(1, 40),
                                  random.integer(0, 20), random.integer(1, 9), q_len, kv_len);
    check_stages<float>(
        p, some_mask(hr::causal() & (hr::sliding_window(random.integer(1, 60)) | hr::prefix(3))),
        {});
  }
}

TEST_CASE("weights times values are what mla returns, in either form") {
  random_source random(62);
  for (int round = 0; round < 10; ++round) {
    latent_problem<float> p(static_cast<std::uint64_t>(round), random.integer(1, 6), 40, 12, 6, 10,
                            random.integer(1, 30), random.integer(30, 300));
    const std::vector<float> sinks(static_cast<std::size_t>(p.heads), 0.5f);
    const hr::attention_options<float> options{.softcap = 4, .sinks = sinks};
    const auto cache = p.cache();
    const auto weights =
        all_scores<float>(score_stage::softmax, p, cache, hr::linear(p.up), causal, options);
    matrix<double> expected(p.q_len, p.heads * p.value);
    for (Index h = 0; h < p.heads; ++h) {
      const matrix<double> w_uv =
          p.up.middleRows(h * (p.nope + p.value) + p.nope, p.value).cast<double>();
      matrix<double> of_head(p.q_len, p.kv_len);
      for (Index t = 0; t < p.q_len; ++t)
        for (Index j = 0; j < p.kv_len; ++j) of_head(t, j) = double(weights(t, h, j));
      expected.middleCols(h * p.value, p.value) =
          of_head * p.latents.cast<double>() * w_uv.transpose();
    }
    p.exact(causal);  // for its bound, which softcap and sinks do not raise
    matrix<float> out(p.q_len, p.heads * p.value);
    p.core().expanded(p.q, cache, hr::linear(p.up), out, causal, options);
    CHECK(difference(out.cast<double>(), expected) <= 2 * p.bound);
    p.core().absorbed(p.q, cache, hr::linear(p.up), out, causal, options);
    CHECK(difference(out.cast<double>(), expected) <= 2 * p.bound);
  }
}

// One scalar, which is read as it is, and two codecs: latents have a scale for a row, or for
// blocks.
TEMPLATE_TEST_CASE("latents are what is stored, in one piece or on pages", "", Eigen::half,
                   hr::int8_rows, hr::int8_blocks) {
  for (const Index q_len : {1, 20}) {
    const latent_problem<float> p(8, 5, 64, 12, 6, 10, q_len, 300);
    hr::latent_cache<TestType, 64, 6> cache(300);
    cache.append(p.latents, p.rope_keys);
    hr::latent_page_pool<TestType, 64, 6> pool(60, 7);
    hr::paged_latents<TestType, 64, 6> pages(pool);
    pages.append(p.latents, p.rope_keys);
    const latent_problem<float> held = held_by(cache, p);
    for (const score_stage stage : stages) {
      const auto in_one_piece = all_scores<float>(stage, p, cache, hr::linear(p.up), causal, {});
      check_equal(held, in_one_piece,
                  exact_scores(stage, held, causal, hr::attention_options<float>()));
      const auto on_pages = all_scores<float>(stage, p, pages, hr::linear(p.up), causal, {});
      CHECK(same_bits<float>(on_pages.view(), in_one_piece.view()));
    }
  }
}

TEMPLATE_TEST_CASE("weights come in 16 bits, and latents in another scalar than queries", "", float,
                   double) {
  latent_problem<TestType> p(9, 3, 24, 10, 6, 12, 7, 210);
  const matrix<Eigen::half> up = p.up.template cast<Eigen::half>();
  p.up = up.template cast<TestType>();
  p.latents = p.latents.template cast<Eigen::bfloat16>().template cast<TestType>().eval();
  p.rope_keys = p.rope_keys.template cast<Eigen::bfloat16>().template cast<TestType>().eval();
  const auto cache = p.template cache<Eigen::bfloat16>();
  for (const score_stage stage : stages)
    check_equal(p, all_scores<TestType>(stage, p, cache, hr::linear(up), causal, {}),
                exact_scores(stage, p, causal, hr::attention_options<TestType>()));
}

TEST_CASE("sizes may be fixed, all or some") {
  const latent_problem<float> p(10, 4, 16, 8, 4, 6, 3, 90);
  const auto cache = p.cache();
  const auto given =
      all_scores<float>(score_stage::softmax, p, cache, hr::linear(p.up), causal, {});
  const auto check = [&](const auto& core) {
    const auto got =
        visited<float>(core, score_stage::softmax, p.q, cache, hr::linear(p.up), causal, {});
    CHECK(same_bits<float>(got.scores.view(), given.view()));
  };
  check(hr::mla<4, 16, 8, 4, 6>());
  check(hr::mla<Eigen::Dynamic, 16, 8, 4, Eigen::Dynamic>(4, 16, 8, 4, 6));
}

TEST_CASE("NaN in a latent behind the mask stays there, one that is seen comes out") {
  latent_problem<float> p(11, 2, 16, 8, 4, 6, 4, 40);
  p.latents.row(39).setConstant(quiet_nan<float>());
  p.rope_keys.row(39).setConstant(quiet_nan<float>());
  const auto weights =
      all_scores<float>(score_stage::softmax, p, p.cache(), hr::linear(p.up), causal, {});
  for (Index t = 0; t < 3; ++t) {
    float sum = 0;
    for (Index j = 0; j < 39; ++j) sum += weights(t, 1, j);
    CHECK(std::abs(sum - 1) < 1e-5f);
    CHECK(weights(t, 1, 39) == 0);
  }
  CHECK(std::isnan(weights(3, 1, 0)));
}

TEST_CASE("a ring's latents are counted in the whole context, and the dropped ones not visited") {
  random_source random(63);
  for (int round = 0; round < 30; ++round) {
    const hr::ring_shape shape{.window = random.integer(1, 250),
                               .prefix = random.integer(0, 1) * random.integer(0, 220),
                               .chunk = random.integer(1, 20)};
    const Index q_len = random.integer(1, shape.chunk);
    INFO("window " << shape.window << ", prefix " << shape.prefix << ", chunk " << shape.chunk);
    const latent_problem<float> p(static_cast<std::uint64_t>(round), 3, 16, 8, 4, 6, q_len,
                                  random.integer(q_len, 700));
    hr::ring_cache<hr::latent_cache<float>> ring(shape, 16, 4);
    for (Index t = 0; t < p.kv_len; t += shape.chunk) {
      const Index count = std::min(shape.chunk, p.kv_len - t);
      ring.append(p.latents.middleRows(t, count), p.rope_keys.middleRows(t, count));
    }
    const some_mask mask(hr::causal() &
                         (hr::sliding_window(shape.window) | hr::prefix(shape.prefix)));
    const Index first = p.kv_len - q_len - shape.window + 1;
    for (const score_stage stage : stages) {
      auto got = visited<float>(p.core(), stage, p.q, ring, hr::linear(p.up), causal, {});
      auto exact = exact_scores(stage, p, mask, hr::attention_options<float>());
      for (Index j = 0; j < p.kv_len; ++j) {
        const bool is_kept = j < shape.prefix || j >= first;
        for (Index t = 0; t < q_len; ++t)
          for (Index h = 0; h < p.heads; ++h) {
            REQUIRE(got.of(t, h, j) == (is_kept ? 1 : 0));
            if (is_kept) continue;
            if (stage == score_stage::softmax) REQUIRE(exact(t, h, j) == 0);
            got.scores(t, h, j) = 0;
            exact(t, h, j) = 0;
          }
      }
      check_equal(p, got.scores, exact);
    }
  }
}

TEST_CASE("what does not fit is refused before the first visit") {
  const latent_problem<float> p(12, 2, 16, 8, 4, 6, 3, 10), wide(12, 2, 24, 8, 4, 6, 3, 10);
  const auto cache = p.cache(), wide_cache = wide.cache();
  const auto refused = [&](const matrix<float>& q, const auto& latents, const matrix<float>& up,
                           const some_mask& mask, const hr::attention_options<float>& options) {
    return refusal_of([&] {
      hr::visit_scores(p.core(), score_stage::raw, q, latents, hr::linear(up), mask, options,
                       [](const auto&) { FAIL("visited"); });
    });
  };
  CHECK(refused(matrix<float>::Ones(3, 2 * 11), cache, p.up, everything, {}) ==
        "visit_scores: q has width 11, expected nope + rope = 12");
  CHECK(refused(p.q, wide_cache, p.up, everything, {}) ==
        "visit_scores: latents have width 24, expected latent_rank = 16");
  CHECK(
      refused(p.q, cache, wide.up, everything, {}) ==
      "visit_scores: up is [28, 24], expected [Q_heads * (nope + value), latent_rank] = [28, 16]");
  CHECK(refused(p.q, cache, p.up, some_mask(hr::key_length(11)), {}) ==
        "key_length: length = 11, expected 0 to kv_len = 10");
  CHECK(refused(p.q, cache, p.up, everything, {.softcap = -1}).find("visit_scores: softcap = -1") ==
        0);
  const std::vector<float> sinks(3);
  CHECK(refused(p.q, cache, p.up, everything, {.sinks = sinks}) ==
        "visit_scores: 3 sinks were given, expected Q_heads = 2");
  hr::ring_cache<hr::latent_cache<float>> ring({.window = 2, .chunk = 1}, 16, 4);
  for (Index t = 0; t < 10; ++t) ring.append(p.latents.row(t), p.rope_keys.row(t));
  CHECK(refused(p.q, ring, p.up, everything, {}) ==
        "ring_cache: the first query at position 7 sees token 6, expected at least 8, the oldest "
        "that is kept");
}
