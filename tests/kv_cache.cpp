// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a cache holds the tokens that were appended and not truncated, in order, each number
// rounded once to the stored scalar. What lies past its end has no effect, and a call that throws
// changes nothing.
#include <headroom/kv_cache.hpp>

#include "support/catch.hpp"
#include "support/problem.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

constexpr problem_size size{3, 11, 4, 2, 8, 5};

// Whether the cache holds the tokens [0, count) of k and v, rounded.
template <class Cache>
bool holds(const Cache& cache, hr::view<const float> k, hr::view<const float> v, Index count) {
  using Scalar = typename Cache::Key;
  if (cache.tokens() != count) return false;
  for (Index t = 0; t < count; ++t)
    for (Index g = 0; g < cache.groups(); ++g) {
      for (Index d = 0; d < cache.qk_dim(); ++d)
        if (cache.key_view()(t, g, d) != static_cast<Scalar>(k(t, g, d))) return false;
      for (Index d = 0; d < cache.v_dim(); ++d)
        if (cache.value_view()(t, g, d) != static_cast<Scalar>(v(t, g, d))) return false;
    }
  return true;
}

}  // namespace

TEMPLATE_TEST_CASE("tokens appended one by one, in chunks or at once are the same tokens", "",
                   float, double, Eigen::half, Eigen::bfloat16) {
  const problem p(size);
  const Index chunk = GENERATE(1, 2, 4, 11);
  hr::kv_cache<TestType, 2, 8, 5> cache(size.kv_len);
  for (Index t = 0; t < size.kv_len; t += chunk) {
    const Index end = std::min(t + chunk, size.kv_len);
    cache.append(p.keys().slice_tokens(t, end), p.values().slice_tokens(t, end));
    REQUIRE(holds(cache, p.keys(), p.values(), end));
  }
}

TEST_CASE("views of any layout and Eigen matrices are appended") {
  const problem p(size);
  for (const layout order : all_layouts) {
    const problem other(size, 1, order);
    hr::kv_cache<float> cache(size.kv_len, 2, 8, 5);
    cache.append(other.keys(), other.values());
    CHECK(holds(cache, p.keys(), p.values(), size.kv_len));
  }
  const RowMajor k = RowMajor::Random(3, 16), v = RowMajor::Random(3, 10);
  hr::kv_cache<float, 2> cache(3, 2, 8, 5);
  cache.append(k.topRows(1), v.topRows(1));
  cache.append(k.bottomRows(2), v.bottomRows(2));
  CHECK(holds(cache, hr::as_view(k, 2), hr::as_view(v, 2), 3));
}

TEST_CASE("runs and views of a cache are the same memory, one token after another in a group") {
  const problem p(size);
  hr::kv_cache<float, 2, 8, 5> cache(20);
  cache.append(p.keys(), p.values());
  const auto keys = cache.keys(1, 3, 9);
  CHECK(keys.rows == cache.key_view().row(3, 1));
  CHECK((keys.stride == 8 && keys.tokens == 6));
  const auto values = cache.values(0, 10, 11);
  CHECK(values.rows == cache.value_view().row(10, 0));
  CHECK((values.stride == 5 && values.tokens == 1));
}

TEST_CASE("after truncation the cache is as if the later tokens had never come") {
  const problem p(size);
  problem other(size, 2);
  hr::kv_cache<float> cache(size.kv_len, 2, 8, 5);
  cache.append(p.keys(), p.values());
  cache.truncate(4);
  CHECK(holds(cache, p.keys(), p.values(), 4));
  cache.append(other.keys().slice_tokens(0, 7), other.values().slice_tokens(0, 7));
  CHECK(cache.tokens() == 11);
  cache.truncate(4);
  cache.append(p.keys().slice_tokens(4, 11), p.values().slice_tokens(4, 11));
  CHECK(holds(cache, p.keys(), p.values(), 11));
  cache.truncate(11);
  CHECK(cache.tokens() == 11);
  cache.clear();
  CHECK(cache.tokens() == 0);
  CHECK(cache.capacity() == 11);
  cache.append(p.keys(), p.values());
  CHECK(holds(cache, p.keys(), p.values(), 11));
}

TEST_CASE("tokens are written over others, and what goes beyond them is appended") {
  const problem p(size);
  const problem other(size, 2);
  hr::kv_cache<float, 2, 8, 5> cache(size.kv_len);
  cache.append(p.keys().slice_tokens(0, 3), p.values().slice_tokens(0, 3));
  cache.append(other.keys().slice_tokens(0, 4), other.values().slice_tokens(0, 4));
  cache.write(3, p.keys().slice_tokens(3, 6), p.values().slice_tokens(3, 6));
  CHECK(cache.tokens() == 7);
  cache.write(6, p.keys().slice_tokens(6, 11), p.values().slice_tokens(6, 11));
  CHECK(holds(cache, p.keys(), p.values(), 11));
  cache.write(0, p.keys().slice_tokens(0, 0), p.values().slice_tokens(0, 0));
  CHECK(holds(cache, p.keys(), p.values(), 11));

  cache.write_keys(4, other.keys().slice_tokens(4, 6));
  CHECK(cache.key_view()(5, 1, 7) == other.keys()(5, 1, 7));
  CHECK(cache.value_view()(5, 1, 4) == p.values()(5, 1, 4));
  cache.write_keys(4, p.keys().slice_tokens(4, 6));
  CHECK(holds(cache, p.keys(), p.values(), 11));

  const auto k = other.keys().slice_tokens(0, 3);
  const auto v = other.values().slice_tokens(0, 3);
  CHECK_THROWS_WITH(cache.write(12, k, v),
                    "kv_cache: writing after tokens [0, 12), expected a range within size = 11");
  CHECK_THROWS_AS(cache.write(-1, k, v), std::invalid_argument);
  CHECK_THROWS_AS(cache.write(9, k, v), std::length_error);
  CHECK_THROWS_WITH(cache.write_keys(9, k),
                    "kv_cache: writing keys of tokens [9, 12), expected a range within size = 11");
  CHECK_THROWS_WITH(cache.write_keys(0, k.slice_dim(0, 5)), "kv_cache: k has width 5, expected 8");
  CHECK(holds(cache, p.keys(), p.values(), 11));
}

TEST_CASE("tokens behind those that are erased move up") {
  const problem p(size);
  hr::kv_cache<float, 2, 8, 5> cache(size.kv_len);
  cache.append(p.keys(), p.values());
  cache.erase(3, 7);
  CHECK(cache.tokens() == 7);
  for (Index t = 3; t < 7; ++t)
    for (Index g = 0; g < 2; ++g) {
      CHECK(cache.key_view()(t, g, 7) == p.keys()(t + 4, g, 7));
      CHECK(cache.value_view()(t, g, 4) == p.values()(t + 4, g, 4));
    }
  cache.erase(7, 7);
  cache.erase(3, 7);
  CHECK(holds(cache, p.keys(), p.values(), 3));
  CHECK_THROWS_WITH(cache.erase(1, 4),
                    "kv_cache: erasing tokens [1, 4), expected a range within size = 3");
  CHECK_THROWS_AS(cache.erase(-1, 2), std::invalid_argument);
  CHECK_THROWS_AS(cache.erase(2, 1), std::invalid_argument);
  CHECK(holds(cache, p.keys(), p.values(), 3));
}

TEST_CASE("attention over a cache does not see what lies past its end") {
  const problem p(size);
  problem garbage(size);
  for (Index t = 0; t < size.kv_len; ++t)
    for (Index g = 0; g < size.KV_groups; ++g) {
      fill_row(garbage.k.view(), t, g, quiet_nan<float>());
      fill_row(garbage.v.view(), t, g, quiet_nan<float>());
    }
  hr::kv_cache<float, 2, 8, 5> cache(2 * size.kv_len);
  cache.append(p.keys(), p.values());
  cache.append(garbage.keys(), garbage.values());
  cache.truncate(size.kv_len);
  answer<float> got{{size.q_len, 4, 5}, {size.q_len, 4, 1}};
  const hr::attention<4, 2, 8, 5> heads;
  heads(p.queries(), cache, got.out.view(), hr::causal(), {.lse = got.lse.per_head()});
  REQUIRE(error_ratio(got, p.exact(hr::causal())) <= 1);
}

TEST_CASE("a full cache refuses more, all or nothing") {
  const problem p(size);
  hr::kv_cache<float, 2, 8, 5> cache(size.kv_len - 1);
  CHECK_THROWS_AS(cache.append(p.keys(), p.values()), std::length_error);
  CHECK(cache.tokens() == 0);
  cache.append(p.keys().slice_tokens(0, 10), p.values().slice_tokens(0, 10));
  CHECK_THROWS_WITH(cache.append(p.keys().slice_tokens(0, 1), p.values().slice_tokens(0, 1)),
                    contains("kv_cache: appending 1 tokens to 10 exceeds the capacity of 10"));
  CHECK(holds(cache, p.keys(), p.values(), 10));
  CHECK_NOTHROW(cache.append(p.keys().slice_tokens(0, 0), p.values().slice_tokens(0, 0)));
}

TEST_CASE("sizes are those of the template, or those given") {
  const hr::kv_cache<Eigen::bfloat16, 8, 128> fixed(3);
  CHECK((fixed.groups() == 8 && fixed.qk_dim() == 128 && fixed.v_dim() == 128));
  CHECK(fixed.bytes_per_token() == 2 * 8 * (128 + 128));
  const hr::kv_cache<double> given(0, 3, 5);
  CHECK((given.groups() == 3 && given.qk_dim() == 5 && given.v_dim() == 5));
  const hr::kv_cache<float, Eigen::Dynamic, 4, 6> mixed(1, 2, 4);
  CHECK((mixed.groups() == 2 && mixed.v_dim() == 6));
  CHECK(mixed.bytes_per_token() == 4 * 2 * (4 + 6));
  CHECK_NOTHROW(hr::kv_cache<float, 8, 4>(1, 8, 4, 4));
  CHECK_THROWS_AS((hr::kv_cache<float, 8, 4>(1, 7, 4, 4)), std::invalid_argument);
}

TEST_CASE("a cache moves with its tokens") {
  const problem p(size);
  hr::kv_cache<float, 2, 8, 5> cache(size.kv_len);
  cache.append(p.keys(), p.values());
  const float* const memory = cache.key_view().data();
  const auto moved = std::move(cache);
  CHECK(moved.key_view().data() == memory);
  CHECK(holds(moved, p.keys(), p.values(), size.kv_len));
  CHECK((cache.tokens() == 0 && cache.capacity() == 0));
  CHECK_THROWS_AS(cache.append(p.keys(), p.values()), std::length_error);
}
