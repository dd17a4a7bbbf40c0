// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: attention over rotated keys and values is attention over the keys and values; and where a
// channel is much larger than the others, few bits store the rotated ones better.
#include <headroom/attention.hpp>
#include <headroom/int4_codec.hpp>
#include <headroom/int8_codec.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/rotated_cache.hpp>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "support/problem.hpp"

#include <stdexcept>

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

static_assert(hr::wrapping_cache<hr::rotated_cache<hr::kv_cache<float, 2, 8>>>);
static_assert(!hr::kv_source<hr::rotated_cache<hr::kv_cache<float, 2, 8>>>);  // not by accident
static_assert(std::is_constructible_v<hr::rotated_cache<hr::kv_cache<float, 2, 8>>, int>);
static_assert(!std::is_constructible_v<hr::rotated_cache<hr::kv_cache<float>>, int>);

namespace {

tensor<double> rotated(const hr::view<const float>& rows) {
  tensor<double> result(rows.tokens(), rows.heads(), rows.dim());
  for (Index t = 0; t < rows.tokens(); ++t)
    for (Index h = 0; h < rows.heads(); ++h) {
      for (Index d = 0; d < rows.dim(); ++d) result.view()(t, h, d) = double(rows(t, h, d));
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

// Bounds an output and a log-sum-exp. Each of log2(dim) steps of a rotation keeps norms and rounds
// every number once, and the root, quotient and product of its factor once more; so a rotated row
// errs by epsilon times its norm, a score by 2 epsilon |q| |k|, and rotating back takes the errors
// of all channels into each.
struct rotated_bound {
  double out = 0, lse = 0;

  rotated_bound(const problem<float>& p, const hr::causal& mask) {
    const auto q = rotated(p.queries()), k = rotated(p.keys()), v = rotated(p.values());
    const Index qk_dim = p.queries().dim(), v_dim = p.values().dim();
    const auto epsilon = [](Index dim) {
      return gamma_bound(std::log2(double(hr::detail::hadamard_block(dim))) + 3,
                         unit_roundoff<float>);
    };
    const double score =
        2.1 * epsilon(qk_dim) * norm_of(q.view()) * norm_of(k.view()) / std::sqrt(double(qk_dim));
    const auto inner = attention_error_bound<float>(
        hr::view<const double>(q.view()), hr::view<const double>(k.view()),
        hr::view<const double>(v.view()), mask, hr::attention_options<double>{}, score);
    out = norm_of(inner.out.view()) + 2.1 * epsilon(v_dim) * norm_of(v.view());
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

// How much smaller the error of attention becomes by rotating what Codec stores.
template <class Codec>
double gain(float outlier) {
  problem<float> p({3, 200, 8, 2, 128, 128});
  for (Index t = 0; t < 200; ++t)
    for (Index g = 0; g < 2; ++g) {
      p.k.view()(t, g, 5) += outlier;
      p.v.view()(t, g, 77) -= outlier;
    }
  hr::kv_cache<Codec, 2, 128> plain(200);
  hr::rotated_cache<hr::kv_cache<Codec, 2, 128>> turned(200);
  const auto exact = p.exact(hr::causal());
  return error_of(attend_over(plain, p), exact) / error_of(attend_over(turned, p), exact);
}

}  // namespace

TEST_CASE("attention over rotated floats is attention") {
  for (const problem_size& size :
       {problem_size{1, 900, 8, 2, 64, 128}, problem_size{1, 50, 3, 3, 33, 20},
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
  hr::rotated_cache<hr::kv_cache<float, 2, 8>> cache(3);
  const problem<float> p({1, 2, 4, 2, 8, 8});
  cache.append(p.keys(), p.values());
  CHECK_THROWS_AS(cache.append(p.keys(), p.values()), std::length_error);
  CHECK_THROWS_WITH(cache.append(p.keys().slice_dim(0, 4), p.values()),
                    "kv_cache: k has width 4, expected 8");
  CHECK_THROWS_WITH(cache.truncate(3), "kv_cache: truncate to 3 tokens, expected 0 to size = 2");
  CHECK(cache.tokens() == 2);
  tensor<float> out(1, 4, 8);
  std::fill(out.view().data(), out.view().data() + 32, 5.f);
  const hr::gqa<4, 2, 8> attend;
  CHECK_THROWS_WITH(attend(p.queries().slice_heads(0, 3), cache, out.view()),
                    "attention: q has 3 heads, expected Q_heads = 4");
  CHECK_THROWS_WITH(attend(p.queries().slice_dim(0, 6), cache, out.view()),
                    "attention: q has width 6, expected qk_dim = 8");
  CHECK_THROWS_WITH(attend(p.queries(), cache, out.view().slice_heads(0, 2)),
                    "attention: out has 2 heads, expected Q_heads = 4");
  CHECK(out.view()(0, 0, 0) == 5);
}

TEST_CASE("a step with a rotated cache allocates nothing once one like it has run") {
  const problem<float> p({1, 40, 4, 2, 64, 64});
  hr::rotated_cache<hr::kv_cache<hr::int8_rows, 2, 64>> cache(50);
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
