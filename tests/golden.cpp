// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: attention, and the definition that the other tests trust, give what PyTorch gives
// (golden/attention.py), to within the bound derived from the scalar.
#include "golden/attention.hpp"

#include <headroom/attention.hpp>
#include <headroom/dense_mask.hpp>
#include <headroom/score_mod.hpp>

#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "support/any_mask.hpp"
#include "support/catch.hpp"
#include "support/problem.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

constexpr Index Q_heads = 4, KV_groups = 2, qk_dim = 8, v_dim = 5;

// Masks are two types, those that modify scores and the others: each type is kernels of its own,
// for every kind of stored scalar.
using window_or_prefix = hr::either_mask<hr::sliding_window, hr::prefix>;
using some_mask =
    any_mask<hr::none, hr::causal, hr::sliding_window, hr::key_length,
             hr::both_masks<hr::causal, hr::sliding_window>,
             hr::either_mask<hr::causal, hr::prefix>, hr::both_masks<hr::causal, window_or_prefix>>;
template <class Scalar>
using some_modification = any_mask<hr::dense_bias<Scalar>, hr::both_masks<hr::causal, hr::alibi>>;

const some_mask causal{hr::causal()};

/// The formula of attention.py for inputs: exact in every storage scalar.
template <class Scalar>
void fill_by_formula(const hr::view<Scalar>& target, std::int64_t seed, int factor = 1) {
  std::int64_t i = 0;
  for (Index t = 0; t < target.tokens(); ++t)
    for (Index h = 0; h < target.heads(); ++h)
      for (Index d = 0; d < target.dim(); ++d, ++i) {
        const auto n = (31 * i * i + 17 * i + 1009 * seed + i / 127) % 127 - 63;
        target(t, h, d) = static_cast<Scalar>(static_cast<double>(factor * n) / 64);
      }
}

template <class Scalar, class Stored>
problem<Scalar, Stored> golden_problem(Index q_len, Index kv_len) {
  problem<Scalar, Stored> p({q_len, kv_len, Q_heads, KV_groups, qk_dim, v_dim});
  fill_by_formula(p.q.view(), 1, 4);
  fill_by_formula(p.k.view(), 2);
  fill_by_formula(p.v.view(), 3);
  return p;
}

/// Requires that attention and its definition give the golden answer.
template <class Scalar, class Key, class Value, class Mask>
void require_golden(std::span<const double> out, std::span<const double> lse,
                    hr::view<const Scalar> q, hr::view<const Key> k, hr::view<const Value> v,
                    const Mask& mask, const hr::attention_options<Scalar>& options = {}) {
  REQUIRE(static_cast<Index>(out.size()) == q.tokens() * q.heads() * v.dim());
  REQUIRE(static_cast<Index>(lse.size()) == q.tokens() * q.heads());
  const auto golden_out = hr::tokens_major(out.data(), q.tokens(), q.heads(), v.dim());
  const auto golden_lse = hr::tokens_major(lse.data(), q.tokens(), q.heads(), 1);

  const auto exact = exact_attention<Scalar>(q, k, v, mask, options);
  const auto got = attend(q, k, v, mask, options);
  REQUIRE(error_ratio(got.out.view(), golden_out, exact.bound.out.view()) <= 1);
  REQUIRE(error_ratio(got.lse.view(), golden_lse, exact.bound.lse.view()) <= 1);

  std::vector<double> sinks;
  const auto bound = attention_error_bound<double>(q, k, v, mask, in_double(options, sinks));
  REQUIRE(error_ratio(exact.out.view(), golden_out, bound.out.view()) <= 1);
  REQUIRE(error_ratio(exact.lse.view(), golden_lse, bound.lse.view()) <= 1);
}

const std::vector<double> sink_logits = {-1, 0, 1.5, 3};

}  // namespace

#define GOLDEN(name) golden::attention::name##_out, golden::attention::name##_lse

TEST_CASE("Masks, as PyTorch has them") {
  const auto p = golden_problem<float, float>(6, 11);
  const auto q = p.queries();
  const auto k = p.keys(), v = p.values();
  require_golden(GOLDEN(bidirectional), q, k, v, some_mask(hr::none{}));
  require_golden(GOLDEN(causal), q, k, v, causal);
  require_golden(GOLDEN(decode), q.slice_tokens(5, 6), k, v, causal);
  require_golden(GOLDEN(multi_query), q, k.slice_heads(0, 1), v.slice_heads(0, 1), causal);
  require_golden(GOLDEN(more_queries_than_keys), q, k.slice_tokens(0, 4), v.slice_tokens(0, 4),
                 causal);
  require_golden(GOLDEN(window_of_3), q, k, v, some_mask(hr::causal{} & hr::sliding_window{3}));
  require_golden(GOLDEN(symmetric_window_of_3), q, k, v,
                 some_mask(hr::sliding_window::symmetric(3)));
  require_golden(GOLDEN(prefix_of_8), q, k, v, some_mask(hr::causal{} | hr::prefix{8}));
  require_golden(GOLDEN(window_of_3_and_first_2), q, k, v,
                 some_mask(hr::causal{} & (hr::sliding_window{3} | hr::prefix{2})));
  require_golden(GOLDEN(padded_to_7_keys), q, k, v, some_mask(hr::key_length{7}));
}

TEMPLATE_TEST_CASE("Scores, as PyTorch has them", "", float, double) {
  const auto p = golden_problem<TestType, TestType>(6, 11);
  const auto q = p.queries();
  const auto k = p.keys(), v = p.values();
  const std::vector<TestType> sinks(sink_logits.begin(), sink_logits.end());
  require_golden(GOLDEN(softcap), q, k, v, causal,
                 {.scale = TestType(1.25), .softcap = TestType(1.5)});
  require_golden(GOLDEN(sinks), q, k, v, causal, {.sinks = sinks});

  // The formula counts [heads, q_len, kv_len]; so does heads_major.
  tensor<TestType> bias(6, Q_heads, 11, layout::heads_major);
  TestType* const values = bias.view().data();
  fill_by_formula(hr::view<TestType>(values, Q_heads, 6, 11, 6 * 11, 11), 4);
  for (Index i = 0; i < 6 * Q_heads * 11; ++i)
    if (values[i] > TestType(0.75)) values[i] = -std::numeric_limits<TestType>::infinity();
  const some_modification<TestType> mask(hr::dense_bias<TestType>(std::as_const(bias).view()));
  require_golden(GOLDEN(dense_bias), q, k, v, mask);
  require_golden(GOLDEN(capped_then_biased), q, k, v, mask, {.softcap = TestType(0.5)});

  const auto slopes = hr::alibi_slopes(Q_heads);
  require_golden(GOLDEN(alibi), q, k, v,
                 some_modification<TestType>(hr::causal{} & hr::alibi(slopes)));
}

TEMPLATE_TEST_CASE("Long decode steps and stored scalars, as PyTorch has them", "", float, double,
                   Eigen::half, Eigen::bfloat16) {
  const auto p = golden_problem<float, TestType>(2, 1500);
  const std::vector<float> sinks(sink_logits.begin(), sink_logits.end());
  require_golden(GOLDEN(long_decode), p.queries(), p.keys(), p.values(), causal);
  require_golden(GOLDEN(long_sinks), p.queries(), p.keys(), p.values(),
                 some_mask(hr::causal{} & hr::sliding_window{1200}),
                 {.softcap = 2.f, .sinks = sinks});
  const auto few = golden_problem<float, TestType>(6, 11);
  require_golden(GOLDEN(causal), few.queries(), few.keys(), few.values(), causal);
}
