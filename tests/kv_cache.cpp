// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a cache holds the tokens that were appended and not truncated, in order, each number
// rounded once to the stored scalar. What lies past its end has no effect, and a call that throws
// changes nothing. Tokens of another cache are the same bits as there.
#include <headroom/int4_codec.hpp>
#include <headroom/int8_codec.hpp>
#include <headroom/kv_cache.hpp>

#include <cstring>
#include <stdexcept>
#include <type_traits>

#include "support/catch.hpp"
#include "support/problem.hpp"
#include "support/refusal.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

constexpr problem_size size{3, 11, 4, 2, 8, 5};

// It moves, and is not copied by accident.
using any_cache = hr::kv_cache<hr::int8_rows>;
static_assert(std::is_nothrow_move_constructible_v<any_cache> &&
              std::is_nothrow_move_assignable_v<any_cache>);
static_assert(!std::is_copy_constructible_v<any_cache> && !std::is_copy_assignable_v<any_cache>);

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

template <class Storage>
bool same_rows(const hr::token_run<Storage>& a, const hr::token_run<Storage>& b) {
  const auto bytes = static_cast<std::size_t>(a.stride * a.tokens) * sizeof(Storage);
  return a.stride == b.stride && a.tokens == b.tokens && !std::memcmp(a.rows, b.rows, bytes);
}

// Whether the tokens of `cache` from `first` on are stored as tokens [begin, end) of `other`.
template <class Cache>
bool stored_alike(const Cache& cache, Index first, const Cache& other, Index begin, Index end) {
  const Index last = first + end - begin;
  for (Index g = 0; g < cache.groups(); ++g)
    if (!same_rows(cache.keys(g, first, last), other.keys(g, begin, end)) ||
        !same_rows(cache.values(g, first, last), other.values(g, begin, end)))
      return false;
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
  CHECK_THROWS_WITH(
      cache.write_keys(9, k),
      "kv_cache: writing keys of 3 tokens from 9 on, expected a range within size = 11");
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

TEMPLATE_TEST_CASE("tokens of another cache are appended as they are stored there", "", float,
                   Eigen::half, hr::int8_rows, hr::int4_blocks) {
  const problem p({0, 11, 2, 2, 40, 24});
  using cache_type = hr::kv_cache<TestType>;
  cache_type other(11, 2, 40, 24), cache(30, 2, 40, 24);
  other.append(p.keys(), p.values());
  cache.append(other, 4, 9);
  CHECK(cache.tokens() == 5);
  for (const Index at : {0, 6, 11}) cache.append(other, at, at);
  CHECK(cache.tokens() == 5);
  cache.append(other, 0, 11);
  REQUIRE(cache.tokens() == 16);
  CHECK(stored_alike(cache, 0, other, 4, 9));
  CHECK(stored_alike(cache, 5, other, 0, 11));
  // Its own, up to the last.
  cache.append(cache, 2, 16);
  REQUIRE(cache.tokens() == 30);
  CHECK(stored_alike(cache, 16, cache, 2, 16));
  CHECK(stored_alike(cache, 0, other, 4, 9));
  CHECK(stored_alike(cache, 5, other, 0, 11));

  // A smaller cache takes what it has room for.
  cache_type small(3, 2, 40, 24);
  small.append(cache, 27, 30);
  CHECK(stored_alike(small, 0, cache, 27, 30));
  CHECK(small.tokens() == small.capacity());
}

TEST_CASE("keys and values that are stored differently are appended so") {
  const problem p(size);
  hr::kv_cache<Eigen::bfloat16, 2, 8, 5, hr::int8_blocks> other(size.kv_len), cache(7);
  other.append(p.keys(), p.values());
  cache.append(other, 0, 1);
  cache.append(other, 5, 11);
  CHECK(stored_alike(cache, 0, other, 0, 1));
  CHECK(stored_alike(cache, 1, other, 5, 11));
}

TEMPLATE_TEST_CASE("two that begin with one cache's tokens attend as if each had them first", "",
                   float, Eigen::half, hr::int8_rows, hr::int4_blocks) {
  const problem prompt({1, 70, 4, 2, 40, 24}), more({1, 3, 4, 2, 40, 24}, 2);
  const auto attend_to = [&](const auto& cache) {
    answer<float> result{{1, 4, 24}, {1, 4, 1}};
    const any_attention heads(4, 2, 40, 24);
    heads(prompt.queries(), cache, result.out.view(), hr::causal(), {.lse = result.lse.per_head()});
    return result;
  };
  hr::kv_cache<TestType> one(80, 2, 40, 24), two(73, 2, 40, 24);
  one.append(prompt.keys(), prompt.values());
  two.append(one, 0, 70);
  CHECK(same_bits(attend_to(two), attend_to(one)));
  one.append(more.keys(), more.values());
  two.append(more.keys(), more.values());
  CHECK(same_bits(attend_to(two), attend_to(one)));
}

TEST_CASE("tokens of another cache that do not fit are refused, all or nothing") {
  const problem p(size);
  const auto filled = [&](Index groups, Index qk_dim, Index v_dim) {
    hr::kv_cache<float> cache(11, groups, qk_dim, v_dim);
    cache.append(p.keys().slice_heads(0, groups).slice_dim(0, qk_dim),
                 p.values().slice_heads(0, groups).slice_dim(0, v_dim));
    return cache;
  };
  const auto other = filled(2, 8, 5);
  hr::kv_cache<float> cache(10, 2, 8, 5);
  cache.append(other, 0, 8);
  const auto refused = [&](const hr::kv_cache<float>& from, Index begin, Index end) {
    return refusal_of([&] { cache.append(from, begin, end); });
  };
  CHECK(refused(filled(1, 8, 5), 0, 1) == "kv_cache: other has KV_groups = 1, expected 2");
  CHECK(refused(filled(2, 7, 5), 0, 1) == "kv_cache: other has qk_dim = 7, expected 8");
  CHECK(refused(filled(2, 8, 4), 0, 0) == "kv_cache: other has v_dim = 4, expected 5");
  CHECK(refused(other, 10, 12) ==
        "kv_cache: appending other's tokens [10, 12), expected a range within size = 11");
  CHECK(refused(other, 2, 1) ==
        "kv_cache: appending other's tokens [2, 1), expected a range within size = 11");
  CHECK(refused(other, -1, 1) ==
        "kv_cache: appending other's tokens [-1, 1), expected a range within size = 11");
  CHECK(refused(cache, 7, 9) ==
        "kv_cache: appending other's tokens [7, 9), expected a range within size = 8");
  CHECK(refusal_of<std::length_error>([&] { cache.append(other, 8, 11); }) ==
        "kv_cache: appending 3 tokens to 8 exceeds the capacity of 10");
  CHECK(refusal_of<std::length_error>([&] { cache.append(cache, 0, 3); }) ==
        "kv_cache: appending 3 tokens to 8 exceeds the capacity of 10");
  CHECK(holds(cache, p.keys(), p.values(), 8));
  cache.append(other, 8, 10);
  CHECK(holds(cache, p.keys(), p.values(), 10));
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
  CHECK_THROWS_AS(cache.append(moved, 0, 1), std::length_error);
}
