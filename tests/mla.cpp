// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// mla: attention over latents. Laws: expanded = absorbed = multi-head attention over keys and
// values made beforehand; prefill = chunked prefill = decode; what is behind the mask never counts.
// Errors are measured in double, where both sides round: the bound is the number of roundings on a
// path times the unit roundoff, times the largest magnitude that passes through it.

#include <headroom/fp8_codec.hpp>
#include <headroom/int8_codec.hpp>
#include <headroom/latent_cache.hpp>
#include <headroom/mla.hpp>
#include <headroom/reference.hpp>
#include <headroom/ring_cache.hpp>

#include "support/allocation_counter.hpp"
#include "support/any_mask.hpp"
#include "support/catch.hpp"
#include "support/latent_problem.hpp"
#include "support/matrix.hpp"
#include "support/random.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <limits>
#include <vector>

namespace {

namespace hr = headroom;
using namespace headroom_tests;
using hr::Index;

// All masks are one type: each type is kernels of its own, and compiling these takes long.
using windowed = hr::both_masks<hr::causal, hr::sliding_window>;
using windowed_or_prefix =
    hr::both_masks<hr::causal, hr::either_mask<hr::sliding_window, hr::prefix>>;
using some_mask =
    any_mask<hr::causal, windowed, windowed_or_prefix, hr::both_masks<hr::causal, hr::key_length>>;

some_mask causal() {
  return some_mask(hr::causal());
}

template <class Scalar>
void require_forms_agree(latent_problem<Scalar> problem, const some_mask& mask) {
  CAPTURE(problem.heads, problem.rank, problem.nope, problem.rope, problem.value, problem.q_len,
          problem.kv_len);
  matrix<double> exact_lse;
  const matrix<double> exact = problem.exact(mask, &exact_lse);
  const auto core = problem.core();
  const auto cache = problem.cache();
  const hr::linear<Scalar> up(problem.up);
  matrix<Scalar> expanded =
      matrix<Scalar>::Constant(problem.q_len, problem.heads * problem.value, NAN);
  matrix<Scalar> absorbed = expanded, chosen = expanded;
  matrix<Scalar> lse(problem.q_len, problem.heads), absorbed_lse = lse;
  core.expanded(problem.q, cache, up, expanded, mask, {.lse = lse});
  core.absorbed(problem.q, cache, up, absorbed, mask, {.lse = absorbed_lse});
  core(problem.q, cache, up, chosen, mask);
  const double expanded_error = difference(expanded.template cast<double>(), exact);
  const double absorbed_error = difference(absorbed.template cast<double>(), exact);
  REQUIRE(expanded_error <= problem.bound);
  REQUIRE(absorbed_error <= problem.bound);
  REQUIRE((chosen == expanded || chosen == absorbed));
  for (Index t = 0; t < problem.q_len; ++t)
    for (Index h = 0; h < problem.heads; ++h) {
      if (std::isinf(exact_lse(t, h))) {
        REQUIRE(lse(t, h) == exact_lse(t, h));
        REQUIRE(absorbed_lse(t, h) == exact_lse(t, h));
      } else {
        const double error = std::abs(static_cast<double>(lse(t, h)) - exact_lse(t, h));
        const double other = std::abs(static_cast<double>(absorbed_lse(t, h)) - exact_lse(t, h));
        REQUIRE(error <= problem.lse_bound);
        REQUIRE(other <= problem.lse_bound);
      }
    }
}

}  // namespace

TEST_CASE("expanded and absorbed agree with attention over keys and values made beforehand") {
  require_forms_agree(latent_problem<float>(1, 3, 24, 10, 6, 12, 1, 1), causal());
  require_forms_agree(latent_problem<float>(2, 3, 24, 10, 6, 12, 1, 300), causal());
  require_forms_agree(latent_problem<float>(3, 2, 17, 5, 4, 9, 150, 300), causal());
  require_forms_agree(latent_problem<float>(4, 5, 33, 16, 8, 20, 67, 131), causal());
  require_forms_agree(latent_problem<float>(5, 1, 7, 3, 0, 2, 5, 40), causal());
  require_forms_agree(latent_problem<double>(6, 4, 40, 16, 8, 16, 70, 200), causal());
  require_forms_agree(latent_problem<double>(7, 2, 12, 6, 4, 8, 3, 2500), causal());
}

TEST_CASE("rows that see nothing, windows and no keys at all agree too") {
  const some_mask window(hr::causal() & hr::sliding_window(4));
  require_forms_agree(latent_problem<double>(8, 3, 24, 10, 6, 12, 9, 3), window);
  require_forms_agree(latent_problem<double>(9, 3, 24, 10, 6, 12, 140, 290), window);
  require_forms_agree(latent_problem<double>(10, 2, 8, 4, 2, 4, 3, 0), window);
  require_forms_agree(latent_problem<double>(11, 2, 8, 4, 2, 4, 0, 5), window);
  const some_mask with_prefix(hr::causal() & (hr::sliding_window(30) | hr::prefix(3)));
  require_forms_agree(latent_problem<double>(9, 2, 12, 6, 4, 8, 150, 900), with_prefix);
  require_forms_agree(latent_problem<float>(9, 2, 12, 6, 4, 8, 1, 2500), with_prefix);
}

TEST_CASE("a long prompt is expanded, one new token is absorbed") {
  latent_problem<float> prompt(12, 2, 64, 16, 8, 16, 200, 200), step(12, 2, 64, 16, 8, 16, 1, 200);
  const auto require_form = [](latent_problem<float>& p, bool is_expanded) {
    const hr::linear<float> up(p.up);
    const auto cache = p.cache();
    matrix<float> expanded(p.q_len, p.heads * p.value), absorbed = expanded, chosen = expanded;
    p.core().expanded(p.q, cache, up, expanded, causal());
    p.core().absorbed(p.q, cache, up, absorbed, causal());
    p.core()(p.q, cache, up, chosen, causal());
    REQUIRE_FALSE(expanded == absorbed);  // else nothing is told apart
    REQUIRE(chosen == (is_expanded ? expanded : absorbed));
  };
  require_form(prompt, true);
  require_form(step, false);
}

TEST_CASE("decode token by token equals chunks equals the whole prompt") {
  latent_problem<double> p(13, 3, 20, 8, 4, 10, 50, 50);
  const matrix<double> exact = p.exact(causal());
  const hr::linear<double> up(p.up);
  matrix<double> chunked(50, 30), stepped(50, 30);
  hr::latent_cache<double> cache(50, 20, 4);
  for (Index begin = 0; begin < 50;) {
    const Index n = std::min<Index>(begin % 7 + 1, 50 - begin);
    cache.append(p.latents.middleRows(begin, n), p.rope_keys.middleRows(begin, n));
    p.core()(p.q.middleRows(begin, n), cache, up, chunked.middleRows(begin, n), causal());
    begin += n;
  }
  cache.clear();
  for (Index t = 0; t < 50; ++t) {
    cache.append(p.latents.row(t), p.rope_keys.row(t));
    p.core()(p.q.row(t), cache, up, stepped.row(t), causal());
  }
  REQUIRE(difference(chunked, exact) <= p.bound);
  REQUIRE(difference(stepped, exact) <= p.bound);
}

TEST_CASE("half and bfloat16 latents and weights are what was rounded") {
  latent_problem<float> p(14, 2, 16, 8, 4, 8, 3, 40);
  p.latents = p.latents.cast<Eigen::bfloat16>().cast<float>().eval();
  p.rope_keys = p.rope_keys.cast<Eigen::bfloat16>().cast<float>().eval();
  p.up = p.up.cast<Eigen::half>().cast<float>().eval();
  const matrix<Eigen::half> up = p.up.cast<Eigen::half>();
  const matrix<double> exact = p.exact(causal());
  const auto cache = p.cache<Eigen::bfloat16>();
  matrix<float> expanded(3, 16), absorbed(3, 16);
  p.core().expanded(p.q, cache, hr::linear<Eigen::half>(up), expanded, causal());
  p.core().absorbed(p.q, cache, hr::linear<Eigen::half>(up), absorbed, causal());
  REQUIRE(difference(expanded.cast<double>(), exact) <= p.bound);
  REQUIRE(difference(absorbed.cast<double>(), exact) <= p.bound + p.bound_of_rounded_operands());
}

TEMPLATE_TEST_CASE("latents of a codec are what it gives back, rotary keys what 16 bits hold", "",
                   hr::int8_blocks, hr::fp8_codec) {
  // Few rows that split keys, and many.
  for (const auto& [heads, q_len, kv_len] : {std::array<Index, 3>{2, 1, 1700}, {20, 5, 230}}) {
    latent_problem<float> p(18, heads, 64, 8, 6, 8, q_len, kv_len);
    hr::latent_cache<TestType, 64> cache(kv_len, 64, 6);
    cache.append(p.latents, p.rope_keys);
    for (Index j = 0; j < kv_len; ++j) {
      Eigen::RowVectorXf row(70);
      decltype(cache)::KeyCodec::decode(cache.keys(0, j, j + 1).rows, row.data(), 70);
      p.latents.row(j) = row.head(64);
      p.rope_keys.row(j) = row.tail(6);
    }
    const matrix<double> exact = p.exact(causal());
    const hr::linear<float> up(p.up);
    matrix<float> expanded(q_len, heads * 8), absorbed(q_len, heads * 8);
    p.core().expanded(p.q, cache, up, expanded, causal());
    p.core().absorbed(p.q, cache, up, absorbed, causal());
    REQUIRE(difference(expanded.template cast<double>(), exact) <= p.bound);
    REQUIRE(difference(absorbed.template cast<double>(), exact) <= p.bound);
  }
}

TEST_CASE("a NaN behind the mask stays there, one that is seen comes out") {
  latent_problem<float> p(15, 2, 16, 8, 4, 8, 6, 40);
  const some_mask mask(hr::causal() & hr::key_length(20));
  const hr::linear<float> up(p.up);
  const auto run = [&](bool as_expanded) {
    const auto cache = p.cache();
    matrix<float> out(6, 16);
    if (as_expanded)
      p.core().expanded(p.q, cache, up, out, mask);
    else
      p.core().absorbed(p.q, cache, up, out, mask);
    return out;
  };
  for (const bool as_expanded : {true, false}) {
    const matrix<float> clean = run(as_expanded);
    auto poisoned = p;
    p.latents.bottomRows(20).setConstant(NAN);
    p.rope_keys.bottomRows(20).setConstant(NAN);
    REQUIRE(run(as_expanded) == clean);
    p.latents(7, 3) = NAN;
    REQUIRE(run(as_expanded).array().isNaN().all());
    p = poisoned;
  }
}

TEST_CASE("the executor does not change a bit") {
  latent_problem<float> p(16, 5, 24, 10, 6, 12, 70, 1700);
  const hr::linear<float> up(p.up);
  const auto cache = p.cache();
  const auto reversed = [](Index count, const auto& work) {
    for (Index i = count; i-- > 0;) work(i);
  };
  matrix<float> one(70, 60), other(70, 60);
  p.core().expanded(p.q, cache, up, one, causal());
  p.core().expanded(p.q, cache, up, other, causal(), {}, reversed);
  REQUIRE(one == other);
  p.core().absorbed(p.q, cache, up, one, causal());
  p.core().absorbed(p.q, cache, up, other, causal(), {}, reversed);
  REQUIRE(one == other);
}

namespace {

// Heads that the compiler knows, whose rows are then a multiple of them, against the same at run
// time.
template <int heads>
void require_same_bits() {
  for (const Index q_len : {1, 2, 3}) {
    INFO(heads << " heads, " << q_len << " queries");
    latent_problem<float> p(18, heads, 24, 10, 6, 12, q_len, 1800);
    const hr::linear<float> up(p.up);
    matrix<float> fixed(q_len, heads * 12), given = fixed;
    hr::mla<heads, 24, 10, 6, 12>().absorbed(p.q, p.cache(), up, fixed, causal());
    p.core().absorbed(p.q, p.cache(), up, given, causal());
    REQUIRE(fixed == given);
  }
}

using latents_of_8_bits = hr::latent_cache<hr::int8_blocks, 64>;

}  // namespace

TEMPLATE_TEST_CASE("what path_for says is what a call does", "", hr::latent_cache<float>,
                   hr::latent_cache<Eigen::bfloat16>, latents_of_8_bits) {
  for (const Index q_len : {0, 1, 3, 70})
    for (const Index kv_len : {70, 3000}) {
      INFO(q_len << " queries, " << kv_len << " latents");
      const latent_problem<float> p(7, 4, 64, 16, 8, 16, q_len, kv_len);
      TestType cache(kv_len, 64, 8);
      cache.append(p.latents, p.rope_keys);
      matrix<float> out(q_len, 4 * 16);
      std::vector<Index> items;
      const auto counting = [&](Index count, const auto& work) {
        items.push_back(count);
        hr::serial()(count, work);
      };
      p.core()(p.q, cache, hr::linear(p.up), out, causal(), {}, counting);
      const hr::attention_path path = p.core().path_for(q_len, cache);
      if (p.core().expands(q_len, kv_len) || q_len == 0) {
        CHECK(items == std::vector<Index>{path.work_items});
        CHECK(path.work_items == (q_len == 0 ? 0 : 4));
        CHECK(path.splits == (q_len == 0 ? 0 : 1));
      } else {
        CHECK(items == std::vector<Index>{4, path.work_items, 4});
        const hr::attention<4, 1, 72, 64> over_latents;
        CHECK(path == over_latents.path_for(q_len, cache));
      }
      hr::ring_cache<TestType> ring({.window = kv_len, .chunk = kv_len}, 64, 8);
      ring.append(p.latents, p.rope_keys);
      CHECK(p.core().path_for(q_len, ring) == path);
      const bool in_place = std::same_as<TestType, hr::latent_cache<float>> || q_len == 0;
      if (p.core().expands(q_len, kv_len)) CHECK(path.decodes == !in_place);
    }
  const hr::latent_cache<float> other(3, 32, 7);
  const auto core = latent_problem<float>(7, 4, 32, 16, 8, 16, 0, 0).core();
  CHECK_THROWS_WITH(
      core.path_for(1, other),
      "mla: latents with rotary keys have width 39, expected latent_rank + rope = 40");
  CHECK_THROWS_WITH(core.path_for(-1, hr::latent_cache<float>(3, 32, 8)),
                    "mla: path_for q_len = -1, expected at least 0");
}

TEST_CASE("heads that the compiler knows have the bits of those it does not") {
  require_same_bits<2>();
  require_same_bits<6>();
  require_same_bits<16>();
}

TEST_CASE("a decode step after the first allocates nothing") {
  if (!headroom_tests::counts_allocations) return;
  latent_problem<float> p(17, 16, 64, 32, 16, 32, 1, 300);
  const matrix<Eigen::half> up = p.up.cast<Eigen::half>();
  hr::latent_cache<Eigen::bfloat16> cache = p.cache<Eigen::bfloat16>();
  matrix<float> out(1, 16 * 32);
  const auto core = p.core();
  const auto step = [&] { core(p.q, cache, hr::linear<Eigen::half>(up), out, causal()); };
  step();
  std::vector<int> grows;
  REQUIRE(headroom_tests::allocations_of([&] { grows.resize(3); }) > 0);  // it does count
  REQUIRE(headroom_tests::allocations_of(step) == 0);
  REQUIRE(headroom_tests::allocations_of([&] {
            cache.append(p.latents.topRows(1), p.rope_keys.topRows(1));
            step();
          }) == 0);
}

TEST_CASE("shapes that disagree are named and nothing is written") {
  const hr::mla<2, 8, 4, 2, 3> core;
  hr::latent_cache<float> cache(4, 8, 2);
  const matrix<float> c = matrix<float>::Ones(3, 8), k_pe = matrix<float>::Ones(3, 2);
  cache.append(c, k_pe);
  const matrix<float> up = matrix<float>::Ones(14, 8), q = matrix<float>::Ones(2, 12);
  matrix<float> out = matrix<float>::Constant(2, 6, 7), wrong(2, 8);
  const matrix<float> narrow_up = matrix<float>::Ones(13, 8);
  hr::latent_cache<float> other(4, 8, 3);
  REQUIRE_THROWS_WITH(core(matrix<float>(2, 10), cache, hr::linear(up), out, causal()),
                      "mla: q has width 5, expected nope + rope = 6");
  REQUIRE_THROWS_WITH(
      core(q, other, hr::linear(up), out, causal()),
      "mla: latents with rotary keys have width 11, expected latent_rank + rope = 10");
  REQUIRE_THROWS_WITH(
      core(q, cache, hr::linear(narrow_up), out, causal()),
      "mla: up is [13, 8], expected [Q_heads * (nope + value), latent_rank] = [14, 8]");
  REQUIRE_THROWS_WITH(core(q, cache, hr::linear(up), wrong, causal()),
                      "mla: out has width 4, expected value = 3");
  using dynamic = hr::mla<Eigen::Dynamic, 8, 4, 2, 3>;
  REQUIRE_THROWS_WITH(dynamic(0, 8, 4, 2, 3), "mla: Q_heads = 0 was given, expected at least 1");
  REQUIRE_THROWS_WITH(dynamic(2, 9, 4, 2, 3),
                      "mla: latent_rank = 9 was given, expected 8 as in the template");
  REQUIRE(out == matrix<float>::Constant(2, 6, 7));
}
