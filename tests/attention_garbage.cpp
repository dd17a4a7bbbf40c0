// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: what the mask hides does not reach a result, be it NaN or infinite; what a query sees does.
// The mask decides, not the numbers. (0 * NaN is NaN, so a weight of 0 hides nothing.)
#include <headroom/attention.hpp>
#include <headroom/dense_mask.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/score_mod.hpp>

#include <array>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/paged_source.hpp"
#include "support/problem.hpp"
#include "support/sizes.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

// Prefill and decode; a tile of keys that some rows see in part.
const std::vector<problem_size> shapes = {{9, 140, 4, 2, 17, 6}, {2, 1900, 6, 3, 16, 8}};

/// Calls check(mask) for masks with and without holes, and with modified scores.
template <class Check>
void for_masks(const Check& check) {
  check(hr::causal{});
  check(hr::causal{} & hr::sliding_window{5});
  check(hr::sliding_window{4, 2} | hr::prefix{2});
  check(hr::mask([](Index head, Index query, Index key) { return (head + query + key) % 3 == 0; }));
  check(
      hr::mask([](Index, Index, Index key) { return key % 5 != 2; }) & hr::causal{} &
      hr::score_mod([](auto score, Index, Index, Index key) { return score - 0.1f * float(key); }));
}

template <class Mask>
bool sees_key(const Mask& mask, const problem_size& size, Index t, Index h, Index j) {
  return hr::sees(mask, hr::query_row{h, t, t + size.kv_len - size.q_len, size.kv_len}, j);
}

/// Requires that rows which see token j of group g are NaN throughout (their lse too, if `in_lse`),
/// and that the other rows are right.
template <class Mask>
void require_contained(const problem<>& p, const problem_size& size, const Mask& mask, Index j,
                       Index g, const exact_answer& exact, bool in_lse) {
  const auto got = attend(p, mask);
  for (Index t = 0; t < size.q_len; ++t)
    for (Index h = 0; h < size.Q_heads; ++h) {
      const bool seen = h / (size.Q_heads / size.KV_groups) == g && sees_key(mask, size, t, h, j);
      CAPTURE(t, h, j, g, seen);
      bool all_nan = true;
      for (Index d = 0; d < size.v_dim; ++d) {
        all_nan = all_nan && std::isnan(got.out(t, h, d));
        if (!seen)
          REQUIRE(std::abs(got.out(t, h, d) - exact.out(t, h, d)) <= exact.bound.out(t, h, d));
      }
      REQUIRE(all_nan == seen);
      REQUIRE(std::isnan(got.lse(t, h, 0)) == (seen && in_lse));
    }
}

/// A source on pages that notes whether tokens [begin, end) are asked for.
template <class Scalar>
struct watched_source : paged_source<Scalar> {
  Index begin, end;
  mutable bool asked = false;

  watched_source(const problem<Scalar>& p, Index first, Index last)
      : paged_source<Scalar>(p.keys(), p.values(), 16), begin(first), end(last) {}

  auto keys(Index g, Index first, Index last) const {
    asked |= begin <= first && first < end;
    return paged_source<Scalar>::keys(g, first, last);
  }
  auto values(Index g, Index first, Index last) const {
    asked |= begin <= first && first < end;
    return paged_source<Scalar>::values(g, first, last);
  }
};

template <class Scalar>
void check_not_asked(Index q_len) {
  constexpr Index kv_len = 4000, prefix = 3, window = 50;
  const problem<Scalar> p({q_len, kv_len, 4, 2, 17, 6});
  const auto mask = hr::causal{} & (hr::sliding_window{window} | hr::prefix{prefix});
  const Index tile = hr::detail::tile_keys, first_seen = kv_len - q_len - window + 1;
  const watched_source<Scalar> source(p, prefix + tile, first_seen - tile);
  answer<Scalar> got{{q_len, 4, 6}, {q_len, 4, 1}};
  const any_attention attention(4, 2, 17, 6);
  attention(p.queries(), source, got.out.view(), mask, {.lse = got.lse.per_head()});
  const auto exact = p.exact(mask);
  CHECK_FALSE(source.asked);
  CHECK(error_ratio(std::as_const(got.out).view(), exact.out.view(), exact.bound.out.view()) <= 1);
  CHECK(error_ratio(std::as_const(got.lse).view(), exact.lse.view(), exact.bound.lse.view()) <= 1);
  attention(p.queries(), source, got.out.view(), hr::causal{});
  CHECK(source.asked);
}

}  // namespace

TEST_CASE("Keys and values that no query sees may hold anything") {
  for (const problem_size& size : shapes)
    for_masks([&](const auto& mask) {
      const problem clean(size);
      const auto expected = attend(clean, mask);
      REQUIRE(error_ratio(expected, clean.exact(mask)) <= 1);
      for (const float garbage : {not_a_number, infinity, -infinity, 3e38f}) {
        problem p = clean;
        poison_unseen(p.k.view(), p.v.view(), mask, size.q_len, size.Q_heads,
                      size.kv_len - size.q_len, garbage);
        REQUIRE(error_ratio(attend(p, mask), clean.exact(mask)) <= 1);
      }
    });
}

TEST_CASE("What lies hidden between a prefix and a window is not read") {
  for (const Index q_len : {1, 3, 9, 200}) {
    INFO(q_len << " queries");
    check_not_asked<float>(q_len);
    check_not_asked<double>(q_len);
  }
}

TEST_CASE("A NaN key is NaN to the queries that see it, and nothing to the others") {
  for (const problem_size& size : shapes)
    for_masks([&](const auto& mask) {
      const problem clean(size);
      const auto exact = clean.exact(mask);
      for (const Index j : {Index(0), Index(3), size.kv_len - 5, size.kv_len - 1}) {
        problem p = clean;
        p.k(j, 1, size.qk_dim - 1) = not_a_number;
        require_contained(p, size, mask, j, 1, exact, true);
      }
    });
}

TEST_CASE("A NaN value is NaN to the queries that see it, and nothing to the others") {
  for (const problem_size& size : shapes)
    for_masks([&](const auto& mask) {
      const problem clean(size);
      const auto exact = clean.exact(mask);
      for (const Index j : {Index(1), Index(4), size.kv_len - 6, size.kv_len - 2}) {
        problem p = clean;
        fill_row(p.v.view(), j, 0, not_a_number);
        require_contained(p, size, mask, j, 0, exact, false);
      }
    });
}

TEST_CASE("A NaN in one channel of a value stays in that channel") {
  const problem_size size = {9, 140, 4, 2, 17, 6};
  problem p(size);
  p.v(3, 0, 2) = not_a_number;
  const auto got = attend(p, hr::causal{});
  const auto exact = p.exact(hr::causal{});
  for (Index d = 0; d < 6; ++d) REQUIRE(std::isnan(got.out(0, 0, d)) == (d == 2));
  REQUIRE(std::abs(got.out(0, 0, 3) - exact.out(0, 0, 3)) <= exact.bound.out(0, 0, 3));
}

TEST_CASE("A NaN query spoils its own row and no other") {
  for (const problem_size& size : shapes)
    for_masks([&](const auto& mask) {
      problem p(size);
      const auto exact = p.exact(mask);
      p.q(1, 2, 0) = not_a_number;
      const auto got = attend(p, mask);
      for (Index t = 0; t < size.q_len; ++t)
        for (Index h = 0; h < size.Q_heads; ++h) {
          const bool spoilt = t == 1 && h == 2;
          REQUIRE(std::isnan(got.lse(t, h, 0)) == spoilt);
          for (Index d = 0; d < size.v_dim; ++d) {
            REQUIRE(std::isnan(got.out(t, h, d)) == spoilt);
            if (!spoilt)
              REQUIRE(std::abs(got.out(t, h, d) - exact.out(t, h, d)) <= exact.bound.out(t, h, d));
          }
        }
    });
}

TEST_CASE("A NaN query that sees nothing gives zeros all the same") {
  problem p({4, 2, 2, 1, 3, 3});
  fill_row(p.q.view(), 0, 1, not_a_number);
  const auto got = attend(p, hr::causal{});
  REQUIRE(got.lse(0, 1, 0) == -infinity);
  for (Index d = 0; d < 3; ++d) REQUIRE(got.out(0, 1, d) == 0);
}

TEST_CASE("A score that is NaN at any place among many makes its row NaN") {
  // One place for every lane of a packet and every part of a tile.
  for (Index j = 0; j < 150; ++j) {
    problem p({1, 150, 1, 1, 1, 3});
    p.k(j, 0, 0) = not_a_number;
    for (const float softcap : {0.f, 2.f}) {
      const auto got = attend(p, hr::none{}, {.softcap = softcap});
      CAPTURE(j, softcap);
      REQUIRE(std::isnan(got.lse(0, 0, 0)));
      for (Index d = 0; d < 3; ++d) REQUIRE(std::isnan(got.out(0, 0, d)));
    }
  }
}

TEST_CASE("An infinite score is not a number; a score of minus infinity has no weight") {
  problem p({1, 200, 1, 1, 1, 2});
  p.q(0, 0, 0) = 1;
  const problem clean = p;
  p.k(7, 0, 0) = infinity;
  REQUIRE(std::isnan(attend(p).out(0, 0, 0)));
  p.k(7, 0, 0) = -infinity;
  const auto others = hr::mask([](Index, Index, Index key) { return key != 7; });
  REQUIRE(error_ratio(attend(p), clean.exact(others)) <= 1);
}

TEST_CASE("An infinite value is infinite to who sees it, and nothing to the others") {
  const problem_size size = {9, 140, 4, 2, 17, 6};
  const problem clean(size);
  const auto exact = clean.exact(hr::causal{});
  problem p = clean;
  p.v(136, 0, 1) = -infinity;
  const auto got = attend(p, hr::causal{});
  for (Index t = 0; t < 9; ++t)
    if (131 + t >= 136)
      REQUIRE(got.out(t, 0, 1) == -infinity);
    else
      REQUIRE(std::abs(got.out(t, 0, 1) - exact.out(t, 0, 1)) <= exact.bound.out(t, 0, 1));
}

TEST_CASE("A bias of minus infinity hides; one that is large and finite does not") {
  problem p({2, 6, 2, 1, 4, 3});
  tensor<float> bias(2, 1, 6);
  for (Index t = 0; t < 2; ++t)
    for (Index j = 0; j < 6; ++j) bias(t, 0, j) = j < 4 ? -1e30f : -infinity;
  const hr::dense_bias<float> mask(std::as_const(bias).view());
  fill_row(p.k.view(), 4, 0, not_a_number);
  fill_row(p.v.view(), 5, 0, not_a_number);
  // Among equally hopeless keys the softmax is the plain mean: the scores drown in the bias.
  const auto got = attend(p, mask);
  for (Index d = 0; d < 3; ++d) {
    const float mean = (p.v(0, 0, d) + p.v(1, 0, d) + p.v(2, 0, d) + p.v(3, 0, d)) / 4;
    REQUIRE(std::abs(got.out(1, 1, d) - mean) <= 4 * unit_roundoff<float> * 4);
  }
}

TEST_CASE("The unused tail of a cache and truncated tokens are never read") {
  const problem p({3, 150, 4, 2, 8, 6});
  const auto check = [&](auto stored) {
    hr::kv_cache<decltype(stored)> cache(400, 2, 8, 6);
    problem garbage({1, 250, 4, 2, 8, 6});
    for (Index j = 0; j < 250; ++j)
      for (Index g = 0; g < 2; ++g) {
        fill_row(garbage.k.view(), j, g, not_a_number);
        fill_row(garbage.v.view(), j, g, infinity);
      }
    cache.append(p.keys(), p.values());
    cache.append(garbage.keys(), garbage.values());
    cache.truncate(150);
    answer<float> got{{3, 4, 6}, {3, 4, 1}};
    any_attention(4, 2, 8, 6)(p.q.view(), cache, got.out.view(), hr::causal{},
                              {.lse = got.lse.per_head()});
    REQUIRE(error_ratio(got, exact_attention<float>(p.queries(), cache.key_view(),
                                                    cache.value_view(), hr::causal{})) <= 1);
  };
  check(float());
  check(Eigen::bfloat16());
}
