// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: key_padding shows key j iff valid[j]; dense_mask shows (t, h, j) iff allowed(t, h, j);
// dense_bias adds values(t, h, j), and hides where that is minus infinity. With one head they
// speak for all heads.
#include <headroom/dense_mask.hpp>

#include <array>
#include <cstdint>

#include "support/catch.hpp"
#include "support/problem.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

template <class Scalar>
using RowMajor = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

constexpr float minus_infinity = -std::numeric_limits<float>::infinity();

const problem_size size{5, 9, 4, 2, 8, 8};

}  // namespace

TEMPLATE_TEST_CASE("a key is real iff its flag converts to true", "", bool, char, std::uint8_t,
                   std::int64_t) {
  const std::array<TestType, 6> flags = {1, 0, 1, 1, 0, 1};
  const hr::key_padding padding(flags);
  for (Index j = 0; j < 6; ++j)
    CHECK(hr::sees(padding, hr::query_row{0, 0, 0, 6}, j) == (flags[std::size_t(j)] != 0));
}

TEST_CASE("flags may be an array or a span, and are not copied") {
  std::array<bool, 3> flags = {true, false, true};
  const hr::key_padding padding(flags);
  const hr::key_padding spanned{std::span<const bool>(flags)};
  const hr::query_row row{0, 0, 0, 3};
  CHECK_FALSE(hr::sees(padding, row, 1));
  flags[1] = true;
  CHECK(hr::sees(padding, row, 1));
  CHECK(hr::sees(spanned, row, 1));
  const std::vector<int> numbers = {0, 1, 0};
  const hr::key_padding part{std::span<const int>(numbers).first(2)};
  CHECK(hr::sees(part, {0, 0, 0, 2}, 1));
  const Eigen::Array<bool, Eigen::Dynamic, 1> array{{false, true, false}};
  const hr::key_padding of_eigen(array);
  CHECK((!hr::sees(of_eigen, row, 0) && hr::sees(of_eigen, row, 1)));
  CHECK(of_eigen.valid.data() == array.data());
}

TEST_CASE("a mask tensor says it for each query, head and key, or for all heads at once") {
  std::vector<char> flags(5 * 4 * 9);
  for (std::size_t i = 0; i < flags.size(); ++i) flags[i] = char(i * i % 7 % 2);
  const auto per_head = hr::tokens_major<const char>(flags.data(), 5, 4, 9);
  const auto by_head = hr::heads_major<const char>(flags.data(), 5, 4, 9);
  const auto shared = per_head.slice_heads(2, 3);
  const hr::dense_mask a(per_head), b(by_head), c(shared);
  for (Index t = 0; t < 5; ++t)
    for (Index h = 0; h < 4; ++h)
      for (Index j = 0; j < 9; ++j) {
        const hr::query_row row{h, t, t + 4, 9};
        CHECK(hr::sees(a, row, j) == (flags[std::size_t((t * 4 + h) * 9 + j)] != 0));
        CHECK(hr::sees(b, row, j) == (flags[std::size_t((h * 5 + t) * 9 + j)] != 0));
        CHECK(hr::sees(c, row, j) == (shared(t, 0, j) != 0));
      }
}

TEST_CASE("a matrix [q_len, kv_len] is shared by all heads and read in place") {
  RowMajor<bool> allowed = RowMajor<bool>::Constant(2, 3, true);
  const hr::dense_mask mask(allowed);
  const hr::query_row row{7, 1, 0, 3};
  CHECK(hr::sees(mask, row, 2));
  allowed(1, 2) = false;
  CHECK_FALSE(hr::sees(mask, row, 2));
}

TEST_CASE("a bias is added to the score; minus infinity hides, a large negative number does not") {
  RowMajor<float> values(1, 4);
  values << 0.5f, minus_infinity, -1e30f, std::numeric_limits<float>::lowest();
  const hr::dense_bias bias(values);
  const hr::query_row row{0, 0, 0, 4};
  CHECK(bias.modify(2.f, row, 0) == 2.5f);
  CHECK(bias.modify(2.0, row, 0) == 2.5);
  CHECK(hr::sees(bias, row, 0));
  CHECK_FALSE(hr::sees(bias, row, 1));
  CHECK(hr::sees(bias, row, 2));
  CHECK(hr::sees(bias, row, 3));
}

TEST_CASE("of doubles too, a large negative number does not hide") {
  const problem<float> p({1, 5, 1, 1, 8, 8});
  const RowMajor<double> bias =
      RowMajor<double>::Constant(1, 5, std::numeric_limits<double>::lowest());
  const auto got = attend(p, hr::dense_bias(bias));
  for (Index d = 0; d < 8; ++d) {
    float mean = 0;
    for (Index j = 0; j < 5; ++j) mean += p.v(j, 0, d) / 5;
    CHECK(std::abs(got.out(0, 0, d) - mean) < 1e-6f);
  }
}

TEST_CASE("a causal mask, as a tensor or as a bias, is causal attention") {
  const problem p(size);
  const auto exact = p.exact(hr::causal());
  RowMajor<bool> allowed(size.q_len, size.kv_len);
  RowMajor<Eigen::half> bias(size.q_len, size.kv_len);
  for (Index t = 0; t < size.q_len; ++t)
    for (Index j = 0; j < size.kv_len; ++j) {
      allowed(t, j) = j <= t + size.kv_len - size.q_len;
      bias(t, j) = Eigen::half(allowed(t, j) ? 0.f : minus_infinity);
    }
  REQUIRE(error_ratio(attend(p, hr::dense_mask(allowed)), exact) <= 1);
  REQUIRE(error_ratio(attend(p, hr::dense_bias(bias)), exact) <= 1);
}

TEST_CASE("padded keys change nothing, whatever they hold") {
  problem p(size);
  std::vector<char> valid(std::size_t(size.kv_len), 1);
  for (const Index j : {Index(0), Index(4), Index(8)}) {
    valid[std::size_t(j)] = 0;
    for (Index g = 0; g < size.KV_groups; ++g) {
      fill_row(p.k.view(), j, g, quiet_nan<float>());
      fill_row(p.v.view(), j, g, quiet_nan<float>());
    }
  }
  const auto shown = hr::key_padding(valid) & hr::causal();
  REQUIRE(error_ratio(attend(p, shown), p.exact(shown)) <= 1);
}

TEST_CASE("shapes that do not fit the call are named") {
  const hr::mask_shape shape{4, 2, 3};
  const std::vector<char> flags(4);
  CHECK_THROWS_AS(hr::key_padding(flags).check(shape), std::invalid_argument);
  CHECK_THROWS_WITH(hr::key_padding(flags).check(shape),
                    contains("key_padding: 4 flags were given, expected kv_len = 3"));
  const RowMajor<bool> transposed(3, 2);
  CHECK_THROWS_WITH(hr::dense_mask(transposed).check(shape),
                    contains("dense_mask: [q_len, heads, kv_len] = [3, 1, 2] was given, expected "
                             "[2, 1 or 4, 3]"));
  const std::vector<float> values(2 * 2 * 3);
  const hr::dense_bias two_heads(hr::tokens_major(values.data(), 2, 2, 3));
  CHECK_THROWS_WITH(two_heads.check(shape), contains("dense_bias: [q_len, heads, kv_len] = "
                                                     "[2, 2, 3] was given"));
  CHECK_NOTHROW(two_heads.check({2, 2, 3}));
  CHECK_NOTHROW(hr::dense_mask(transposed).check({4, 3, 2}));
}
