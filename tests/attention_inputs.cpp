// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: what attention computes depends on the numbers it is given and on nothing else: not on
// where they lie, not on what they are stored as, not on which sizes the compiler knows.
#include <headroom/attention.hpp>
#include <headroom/kv_cache.hpp>

#include <array>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/problem.hpp"
#include "support/random.hpp"
#include "support/sizes.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

template <class Scalar>
tensor<Scalar> copy(const tensor<Scalar>& from, layout order) {
  tensor<Scalar> to(from.tokens(), from.heads(), from.dim(), order);
  for (Index t = 0; t < from.tokens(); ++t)
    for (Index h = 0; h < from.heads(); ++h)
      for (Index d = 0; d < from.dim(); ++d) to(t, h, d) = from(t, h, d);
  return to;
}

/// The tensor as an Eigen matrix [tokens, heads * dim].
RowMajor matrix(const tensor<float>& from) {
  RowMajor to(from.tokens(), from.heads() * from.dim());
  for (Index t = 0; t < from.tokens(); ++t)
    for (Index h = 0; h < from.heads(); ++h)
      for (Index d = 0; d < from.dim(); ++d) to(t, h * from.dim() + d) = from(t, h, d);
  return to;
}

const std::vector<problem_size> shapes = {{9, 140, 4, 2, 17, 6}, {1, 1900, 6, 3, 16, 24}};

}  // namespace

TEST_CASE("Every layout of every argument gives the same bits, and gaps stay as they are") {
  for (const problem_size& size : shapes) {
    const problem p(size);
    const auto dense = attend(p, hr::causal{});
    REQUIRE(error_ratio(dense, p.exact(hr::causal{})) <= 1);
    for (const layout order : all_layouts) {
      const auto q = copy(p.q, order), k = copy(p.k, order), v = copy(p.v, order);
      REQUIRE(same_bits(attend(q.view(), p.keys(), p.values(), hr::causal{}), dense));
      REQUIRE(same_bits(attend(p.queries(), k.view(), p.values(), hr::causal{}), dense));
      REQUIRE(same_bits(attend(p.queries(), p.keys(), v.view(), hr::causal{}), dense));
      const auto result =
          attend(q.view(), k.view(), v.view(), hr::causal{}, {}, hr::serial{}, order);
      REQUIRE(same_bits(result, dense));
      REQUIRE(result.out.gaps_untouched());
      REQUIRE(result.lse.gaps_untouched());
    }
  }
}

TEST_CASE("Eigen matrices, maps and blocks are the views that they look like") {
  for (const problem_size& size : shapes) {
    const problem p(size);
    const auto expected = attend(p, hr::causal{});
    const any_attention attention(size.Q_heads, size.KV_groups, size.qk_dim, size.v_dim);
    const auto check = [&](const RowMajor& got) {
      REQUIRE(same_bits(hr::as_view(got, size.Q_heads), expected.out.view()));
    };
    RowMajor q = matrix(p.q), k = matrix(p.k), v = matrix(p.v);
    RowMajor out(size.q_len, size.Q_heads * size.v_dim);
    attention(q, k, v, out, hr::causal{});
    check(out);

    out.setZero();
    attention(Eigen::Map<const RowMajor>(q.data(), q.rows(), q.cols()), p.keys(), v,
              Eigen::Map<RowMajor>(out.data(), out.rows(), out.cols()), hr::causal{});
    check(out);

    // A fused projection: q, k and v side by side in one matrix, the result in a part of another.
    RowMajor fused(size.kv_len, q.cols() + k.cols() + v.cols());
    fused.topLeftCorner(q.rows(), q.cols()) = q;
    fused.middleCols(q.cols(), k.cols()) = k;
    fused.rightCols(v.cols()) = v;
    RowMajor wide = RowMajor::Constant(size.q_len + 2, out.cols() + 9, 42);
    attention(fused.topLeftCorner(q.rows(), q.cols()), fused.middleCols(q.cols(), k.cols()),
              fused.rightCols(v.cols()), wide.block(1, 4, out.rows(), out.cols()), hr::causal{});
    check(wide.block(1, 4, out.rows(), out.cols()));
    wide.block(1, 4, out.rows(), out.cols()).setConstant(42);
    REQUIRE((wide.array() == 42).all());
  }
}

TEST_CASE("Heads and tokens may share memory: strides of zero repeat keys") {
  const problem p({3, 70, 4, 1, 8, 8});
  const auto spread = [](hr::view<const float> x, Index heads) {
    return hr::view<const float>(x.data(), x.tokens(), heads, x.dim(), x.token_stride(), 0);
  };
  const auto expected = attend(p);
  const auto shared = attend<float>(p.queries(), spread(p.keys(), 4), spread(p.values(), 4));
  REQUIRE(error_ratio(shared, expected, p.exact().bound) <= 2);
  // One token as seventy: every weight is the same, and so is every value.
  const hr::view<const float> k(p.k.view().data(), 70, 1, 8, 0, 8);
  const hr::view<const float> v(p.v.view().data(), 70, 1, 8, 0, 8);
  REQUIRE(error_ratio(attend(p.queries(), k, v), exact_attention<float>(p.queries(), k, v)) <= 1);
}

TEST_CASE("Keys and values keep their stored numbers, whatever they are stored as") {
  const auto check = [](auto scalar, auto key, auto value) {
    using Scalar = decltype(scalar);
    for (const problem_size& size : shapes)
      for (const layout order : {layout::tokens_major, layout::heads_padded}) {
        const problem<Scalar, decltype(key), decltype(value)> p(size, 3, order);
        REQUIRE(error_ratio(attend(p, hr::causal{}), p.exact(hr::causal{})) <= 1);
      }
  };
  check(float(), float(), double());
  check(float(), double(), float());
  check(float(), Eigen::half(), Eigen::half());
  check(float(), Eigen::bfloat16(), Eigen::bfloat16());
  check(float(), Eigen::bfloat16(), Eigen::half());
  check(double(), double(), double());
  check(double(), float(), Eigen::bfloat16());
  check(double(), Eigen::half(), double());
}

TEST_CASE("Queries may be stored as anything too") {
  const auto check = [](auto query) {
    const problem<decltype(query), float> p({5, 90, 4, 2, 16, 8});
    answer<float> result{{5, 4, 8}, {5, 4, 1}};
    any_attention(4, 2, 16, 8)(p.q.view(), p.k.view(), p.v.view(), result.out.view(), hr::none{},
                               {.lse = result.lse.per_head()});
    REQUIRE(error_ratio(result, exact_attention<float>(p.queries(), p.keys(), p.values())) <= 1);
  };
  check(double());
  check(Eigen::half());
  check(Eigen::bfloat16());
}

TEST_CASE("A cache gives what the views of its stored numbers give") {
  const auto check = [](auto stored) {
    using Stored = decltype(stored);
    for (const problem_size& size : shapes) {
      const problem p(size);
      hr::kv_cache<Stored> cache(size.kv_len + 5, size.KV_groups, size.qk_dim, size.v_dim);
      cache.append(p.keys(), p.values());
      answer<float> result{{size.q_len, size.Q_heads, size.v_dim}, {size.q_len, size.Q_heads, 1}};
      any_attention(size.Q_heads, size.KV_groups, size.qk_dim, size.v_dim)(
          p.queries(), cache, result.out.view(), hr::causal{}, {.lse = result.lse.per_head()});
      REQUIRE(same_bits(
          result, attend<float>(p.queries(), cache.key_view(), cache.value_view(), hr::causal{})));
      REQUIRE(error_ratio(result, exact_attention<float>(p.queries(), cache.key_view(),
                                                         cache.value_view(), hr::causal{})) <= 1);
    }
  };
  check(float());
  check(double());
  check(Eigen::half());
  check(Eigen::bfloat16());
}

TEST_CASE("Sizes that the compiler knows and sizes that it does not give the same bits") {
  const problem p({5, 140, 6, 2, 16, 24});
  const auto expected = attend(p, hr::causal{});
  const auto check = [&](const auto& attention) {
    answer<float> result{{5, 6, 24}, {5, 6, 1}};
    attention(p.queries(), p.keys(), p.values(), result.out.view(), hr::causal{},
              hr::attention_options<float>{.lse = result.lse.per_head()});
    REQUIRE(same_bits(result, expected));
    REQUIRE(attention.q_heads() == 6);
    REQUIRE(attention.kv_groups() == 2);
    REQUIRE(attention.heads_per_group() == 3);
    REQUIRE(attention.qk_width() == 16);
    REQUIRE(attention.v_width() == 24);
  };
  constexpr int dynamic = Eigen::Dynamic;
  check(hr::attention<6, 2, 16, 24>());
  check(hr::gqa<6, 2>(16, 24));
  check(hr::attention<6, dynamic, 16, dynamic>(6, 2, 16, 24));
  check(hr::attention<dynamic, 2, dynamic, 24>(6, 2, 16, 24));
}

TEST_CASE("Of values as wide as keys, or as the template says, no width need be given") {
  using dynamic = hr::attention<Eigen::Dynamic, Eigen::Dynamic>;
  REQUIRE(dynamic(8, 2, 24).v_width() == 24);
  REQUIRE(hr::attention<8, 2, Eigen::Dynamic, 40>(8, 2, 24).v_width() == 40);
  REQUIRE_THROWS_AS((hr::gqa<8, 2>(8, 4, 24)), std::invalid_argument);
}

TEST_CASE("Multi-head and multi-query are names of the same template") {
  STATIC_REQUIRE(std::is_same_v<hr::mha<8, 16>, hr::attention<8, 8, 16, 16>>);
  STATIC_REQUIRE(std::is_same_v<hr::gqa<8, 2, 16>, hr::attention<8, 2, 16, 16>>);
  STATIC_REQUIRE(std::is_same_v<hr::mqa<8, 16, 4>, hr::attention<8, 1, 16, 4>>);
  const problem p({3, 33, 8, 1, 16, 16});
  const auto expected = attend(p);
  tensor<float> out(3, 8, 16);
  hr::mqa<8>(16)(p.queries(), p.keys(), p.values(), out.view());
  REQUIRE(same_bits(std::as_const(out).view(), expected.out.view()));
}

TEST_CASE("Every awkward width of keys and of values is right") {
  for (const Index width : awkward_widths) {
    const problem wide_keys({3, 37, 4, 2, width, 5});
    REQUIRE(error_ratio(attend(wide_keys), wide_keys.exact()) <= 1);
    const problem wide_values({3, 37, 4, 2, 5, width});
    REQUIRE(error_ratio(attend(wide_values), wide_values.exact()) <= 1);
  }
}

TEST_CASE("Every awkward number of queries and keys is right") {
  for (const Index length : awkward_lengths) {
    const problem many_keys({3, length, 4, 2, 8, 8});
    REQUIRE(error_ratio(attend(many_keys, hr::causal{}), many_keys.exact(hr::causal{})) <= 1);
    const problem many_queries({length, 37, 4, 2, 8, 8});
    REQUIRE(error_ratio(attend(many_queries, hr::causal{}), many_queries.exact(hr::causal{})) <= 1);
  }
}
