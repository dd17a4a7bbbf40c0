// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: options that are not given change nothing: the scale is 1 / sqrt(qk_dim), there is no
// softcap and no sink, lse is not written, and the queries are the last rows of the keys. Each
// option is what its sentence says, on numbers that can be checked by hand.
#include <headroom/options.hpp>

#include "support/catch.hpp"
#include "support/problem.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

// One query (2, 0, 0, 0) over two keys (2, 0, 0, 0) and (0, 0, 0, 0) with values 1 and 0: the
// output is the weight of the first key, whose score is 4 * scale; the other's is 0.
struct two_keys {
  float q[4] = {2}, k[8] = {2}, v[2] = {1, 0}, out = -1;

  float weight(const hr::attention_options<float>& options) {
    const hr::attention<1, 1, 4, 1> heads;
    heads(hr::tokens_major<const float>(q, 1, 1, 4), hr::tokens_major<const float>(k, 2, 1, 4),
          hr::tokens_major<const float>(v, 2, 1, 1), hr::tokens_major(&out, 1, 1, 1), hr::none(),
          options);
    return out;
  }
};

// The weight of score s beside a score of 0, and a further e^z in the denominator.
double weight_of(double s, double further = 0) {
  return std::exp(s) / (std::exp(s) + 1 + further);
}

bool near(float got, double expected) {
  return std::abs(double(got) - expected) <= 16 * unit_roundoff<float>;
}

}  // namespace

TEST_CASE("the scale is 1 / sqrt(qk_dim) unless given") {
  two_keys call;
  CHECK(near(call.weight({}), weight_of(4 / std::sqrt(4.))));
  CHECK(near(call.weight({.scale = 0.25f}), weight_of(1)));
  CHECK(near(call.weight({.scale = 0.f}), 0.5));
  CHECK(near(call.weight({.scale = -1.f}), weight_of(-4)));
}

TEST_CASE("a softcap bends the scaled score, and 0 turns it off") {
  two_keys call;
  CHECK(near(call.weight({.softcap = 3}), weight_of(3 * std::tanh(2. / 3))));
  CHECK(call.weight({.softcap = 0}) == call.weight({}));
}

TEST_CASE("a sink is compared with the scaled score and is neither scaled nor capped") {
  two_keys call;
  const float sink = 1.5f;
  const std::span<const float> sinks(&sink, 1);
  CHECK(near(call.weight({.sinks = sinks}), weight_of(2, std::exp(1.5))));
  CHECK(near(call.weight({.scale = 0.25f, .sinks = sinks}), weight_of(1, std::exp(1.5))));
  CHECK(near(call.weight({.softcap = 1, .sinks = sinks}), weight_of(std::tanh(2.), std::exp(1.5))));
}

TEST_CASE("lse is the natural logarithm, without sinks") {
  two_keys call;
  float lse = 0;
  const float sink = 1.5f;
  call.weight(
      {.sinks = std::span<const float>(&sink, 1), .lse = hr::token_head_view<float>(&lse, 1, 1)});
  CHECK(near(lse, std::log(std::exp(2.) + 1)));
}

TEST_CASE("lse goes to a matrix of either order") {
  const problem p({3, 5, 4, 2, 8, 8});
  const auto exact = p.exact();
  tensor<float> out(3, 4, 8);
  Eigen::MatrixXf columns(3, 4);
  Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> rows(3, 4);
  const hr::gqa<4, 2> heads(8);
  heads(p.queries(), p.keys(), p.values(), out.view(), hr::none(), {.lse = columns});
  heads(p.queries(), p.keys(), p.values(), out.view(), hr::none(), {.lse = rows});
  for (Index t = 0; t < 3; ++t)
    for (Index h = 0; h < 4; ++h) {
      REQUIRE(std::abs(double(columns(t, h)) - exact.lse(t, h, 0)) <= exact.bound.lse(t, h, 0));
      REQUIRE(rows(t, h) == columns(t, h));
    }
}

TEST_CASE("first_position places the first query among the keys") {
  const problem p({2, 6, 2, 1, 8, 8});
  const auto default_position = attend(p, hr::causal());
  CHECK(same_bits(attend(p, hr::causal(), {.first_position = 4}), default_position));
  // From position 0 on, causal is causal_top_left; before it, nothing is seen.
  const auto top_left = p.exact(hr::causal_top_left());
  REQUIRE(error_ratio(attend(p, hr::causal(), {.first_position = 0}), top_left) <= 1);
  const auto nothing = attend(p, hr::causal(), {.first_position = -2});
  for (Index t = 0; t < 2; ++t)
    for (Index h = 0; h < 2; ++h) {
      CHECK(nothing.lse(t, h, 0) == -std::numeric_limits<float>::infinity());
      CHECK(nothing.out(t, h, 7) == 0);
    }
}
