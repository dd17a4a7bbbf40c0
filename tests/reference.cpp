// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: reference.hpp is the definition that everything else is tested against, so it is held to
// values computed by hand, from logarithms whose exponentials are small integers. Of the library
// only the masks are used besides.
#include <headroom/dense_mask.hpp>
#include <headroom/mask.hpp>
#include <headroom/reference.hpp>
#include <headroom/score_mod.hpp>

#include <array>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "support/catch.hpp"

namespace hr = headroom;
using Eigen::Index;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
const double ln2 = std::log(2.0), ln3 = std::log(3.0);

/// A dozen roundings of numbers below 16.
constexpr double tolerance = 1e-14;

/// One head of width 1 unless said otherwise; scores are q * k, as scale is 1.
struct example {
  std::vector<double> q, k, v;
  Index Q_heads = 1, KV_groups = 1, qk_dim = 1, v_dim = 1;
  hr::attention_options<double> options = {.scale = 1.0};

  Index q_len() const { return static_cast<Index>(q.size()) / (Q_heads * qk_dim); }
  Index kv_len() const { return static_cast<Index>(k.size()) / (KV_groups * qk_dim); }

  struct result {
    std::vector<double> out, lse;
    std::vector<double> raw, capped, biased, softmax;
  };

  template <class Mask = hr::none>
  result run(const Mask& mask = {}) {
    const auto size = static_cast<std::size_t>(q_len() * Q_heads);
    const auto scores = size * static_cast<std::size_t>(kv_len());
    result r{std::vector<double>(size * static_cast<std::size_t>(v_dim), not_a_number),
             std::vector<double>(size, not_a_number),
             std::vector<double>(scores, not_a_number),
             std::vector<double>(scores, not_a_number),
             std::vector<double>(scores, not_a_number),
             std::vector<double>(scores, not_a_number)};
    const auto stage = [&](std::vector<double>& s) {
      return hr::tokens_major(s.data(), q_len(), Q_heads, kv_len());
    };
    const double *queries = q.data(), *keys = k.data(), *values = v.data();
    options.lse = {r.lse.data(), q_len(), Q_heads};
    hr::reference_attention<double>(
        hr::tokens_major(queries, q_len(), Q_heads, qk_dim),
        hr::tokens_major(keys, kv_len(), KV_groups, qk_dim),
        hr::tokens_major(values, kv_len(), KV_groups, v_dim),
        hr::tokens_major(r.out.data(), q_len(), Q_heads, v_dim), mask, options,
        {stage(r.raw), stage(r.capped), stage(r.biased), stage(r.softmax)});
    return r;
  }
};

void require_equal(const std::vector<double>& got, const std::vector<double>& expected) {
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    CAPTURE(i, got[i], expected[i]);
    if (std::isinf(expected[i]))
      REQUIRE(got[i] == expected[i]);
    else
      REQUIRE(std::abs(got[i] - expected[i]) <= tolerance);
  }
}

}  // namespace

TEST_CASE("Weights are e^score over their sum") {
  // e^0 : e^ln3 = 1 : 3.
  const auto r = example{.q = {1}, .k = {0, ln3}, .v = {4, 8}}.run();
  require_equal(r.raw, {0, ln3});
  require_equal(r.capped, {0, ln3});
  require_equal(r.biased, {0, ln3});
  require_equal(r.softmax, {0.25, 0.75});
  require_equal(r.out, {7});
  require_equal(r.lse, {2 * ln2});
}

TEST_CASE("A score is the scaled dot product, 1 / sqrt(qk_dim) by default") {
  // q.k = 2 log 2 and 0 over four channels: scores log 2 and 0, weights 2 : 1.
  example e{.q = {ln2, 1, 0, 1}, .k = {1, ln2, 5, 0, 0, 2, 3, -2}, .v = {3, 30, 6, 60}};
  e.qk_dim = 4;
  e.v_dim = 2;
  e.options.scale = std::nullopt;
  auto r = e.run();
  require_equal(r.raw, {ln2, 0});
  require_equal(r.out, {4, 40});
  require_equal(r.lse, {ln3});
  e.options.scale = 1.0;  // weights 4 : 1
  r = e.run();
  require_equal(r.raw, {2 * ln2, 0});
  require_equal(r.out, {18.0 / 5, 180.0 / 5});
}

TEST_CASE("Query head h uses group h / heads_per_group") {
  // One key per group: every head gets its group's value.
  example e{.q = {1, 2, 3, 4}, .k = {5, 6}, .v = {70, 80}, .Q_heads = 4, .KV_groups = 2};
  auto r = e.run();
  require_equal(r.raw, {5, 10, 18, 24});
  require_equal(r.out, {70, 70, 80, 80});
  e = {.q = {1, 2}, .k = {5}, .v = {70}, .Q_heads = 2, .KV_groups = 1};
  require_equal(e.run().out, {70, 70});
}

TEST_CASE("Causal is aligned at the bottom right, causal_top_left at the top left") {
  // Two queries, three equal keys.
  example e{.q = {0, 0}, .k = {1, 1, 1}, .v = {6, 12, 24}};
  require_equal(e.run().out, {14, 14});
  require_equal(e.run(hr::causal{}).out, {9, 14});
  require_equal(e.run(hr::causal_top_left{}).out, {6, 9});
  require_equal(e.run(hr::causal{}).lse, {ln2, ln3});
  require_equal(e.run(hr::causal{}).biased, {0, 0, -infinity, 0, 0, 0});
  require_equal(e.run(hr::causal{}).softmax, {0.5, 0.5, 0, 1.0 / 3, 1.0 / 3, 1.0 / 3});
}

TEST_CASE("Queries before the first key see nothing") {
  example e{.q = {1, 1, 1}, .k = {0}, .v = {5}};
  const auto r = e.run(hr::causal{});
  require_equal(r.out, {0, 0, 5});
  require_equal(r.lse, {-infinity, -infinity, 0});
  require_equal(r.softmax, {0, 0, 1});
}

TEST_CASE("A window counts the query's own position") {
  example e{.q = {0, 0, 0, 0}, .k = {0, 0, 0, 0}, .v = {8, 16, 32, 64}};
  require_equal(e.run(hr::causal{} & hr::sliding_window{1}).out, {8, 16, 32, 64});
  require_equal(e.run(hr::causal{} & hr::sliding_window{2}).out, {8, 12, 24, 48});
  require_equal(e.run(hr::sliding_window{1}).out, {30, 112.0 / 3, 48, 64});
  require_equal(e.run(hr::sliding_window::symmetric(2)).out, {12, 56.0 / 3, 112.0 / 3, 48});
  require_equal(e.run(hr::causal{} | hr::prefix{3}).out, {56.0 / 3, 56.0 / 3, 56.0 / 3, 30});
  require_equal(e.run(hr::causal{} & (hr::sliding_window{1} | hr::prefix{1})).out, {8, 12, 20, 36});
  require_equal(e.run(hr::key_length{2}).out, {12, 12, 12, 12});
}

TEST_CASE("Positions may be given") {
  example e{.q = {0}, .k = {0, 0, 0}, .v = {6, 12, 24}};
  e.options.first_position = 0;
  require_equal(e.run(hr::causal{}).out, {6});
  e.options.first_position = 1;
  require_equal(e.run(hr::causal{}).out, {9});
  e.options.first_position = 5;
  require_equal(e.run(hr::causal{}).out, {14});
  e.options.first_position = -1;
  require_equal(e.run(hr::causal{}).lse, {-infinity});
}

TEST_CASE("The softcap comes before the bias, and the bias before the softmax") {
  // 2 tanh(s / 2) = 1 for s = 2 artanh(1 / 2) = log 3; a bias of log 2 - 1 then makes it log 2.
  example e{.q = {1}, .k = {0, ln3}, .v = {3, 6}};
  e.options.softcap = 2;
  const std::vector<double> values = {0, ln2 - 1};
  const auto r = e.run(hr::dense_bias<double>(hr::tokens_major(values.data(), 1, 1, 2)));
  require_equal(r.raw, {0, ln3});
  require_equal(r.capped, {0, 1});
  require_equal(r.biased, {0, ln2});
  require_equal(r.softmax, {1.0 / 3, 2.0 / 3});
  require_equal(r.out, {5});
}

TEST_CASE("A bias or mask tensor is shared by the heads, or has one for each") {
  example e{.q = {0, 0}, .k = {1, 1}, .v = {3, 6}, .Q_heads = 2};
  const std::vector<double> bias = {0, ln2, 0, -infinity};
  require_equal(e.run(hr::dense_bias<double>(hr::tokens_major(bias.data(), 1, 1, 2))).out, {5, 5});
  require_equal(e.run(hr::dense_bias<double>(hr::tokens_major(bias.data(), 1, 2, 2))).out, {5, 3});
  const std::array<bool, 4> flags = {true, true, false, true};
  require_equal(e.run(hr::dense_mask<bool>(hr::tokens_major(flags.data(), 1, 2, 2))).out, {4.5, 6});
  const std::array<int, 2> real = {1, 0};
  require_equal(e.run(hr::key_padding(real)).out, {3, 3});
}

TEST_CASE("ALiBi subtracts slope times distance") {
  // Slope 1: weights e^-distance, from the middle of three keys and from the last.
  const std::vector<float> slopes = {1.f};
  example e{.q = {0, 0}, .k = {0, 0, 0}, .v = {7, 14, 28}};
  const auto r = e.run(hr::alibi(slopes));
  require_equal(r.biased, {-1, 0, -1, -2, -1, 0});
  const double a = std::exp(-1.0), b = std::exp(-2.0);
  require_equal(r.out, {(7 * a + 14 + 28 * a) / (1 + 2 * a), (7 * b + 14 * a + 28) / (1 + a + b)});
  require_equal(r.lse, {std::log(1 + 2 * a), std::log(1 + a + b)});
}

TEST_CASE("A user's mask and score modification see heads, queries, keys and positions") {
  example e{.q = {0, 0}, .k = {0, 0, 0, 0}, .v = {1, 2, 4, 8}};
  require_equal(e.run(hr::mask([](Index, Index query, Index key) { return key == 2 * query; })).out,
                {1, 4});
  require_equal(
      e.run(hr::mask([](const hr::query_row& row, Index key) { return key == row.position; })).out,
      {4, 8});
  const auto only = hr::score_mod(
      [](double score, Index, Index query, Index key) { return score + (key == query ? ln3 : 0); });
  require_equal(e.run(only).out, {(3 * 1 + 2 + 4 + 8) / 6.0, (1 + 3 * 2 + 4 + 8) / 6.0});
}

TEST_CASE("A sink joins the denominator, and lse leaves it out") {
  // Weights 1 and 3 of 4, and a sink of 4: half is left. The sink is neither scaled nor capped.
  example e{.q = {1, 1}, .k = {0, ln3}, .v = {4, 8}, .Q_heads = 2};
  const std::vector<double> sinks = {2 * ln2, -infinity};
  e.options.sinks = sinks;
  const auto r = e.run();
  require_equal(r.out, {3.5, 7});
  require_equal(r.softmax, {0.125, 0.375, 0.25, 0.75});
  require_equal(r.lse, {2 * ln2, 2 * ln2});
  require_equal(e.run(hr::key_length{0}).out, {0, 0});
}

TEST_CASE("What is hidden may be NaN, what is seen may not") {
  example e{.q = {1, 1}, .k = {0, ln3, not_a_number}, .v = {4, 8, not_a_number}};
  const auto r = e.run(hr::causal{});
  require_equal({r.out[0]}, {7});
  require_equal({r.lse[0]}, {2 * ln2});
  REQUIRE(std::isnan(r.out[1]));
  REQUIRE(std::isnan(r.lse[1]));
  e.k[2] = 0;
  REQUIRE(std::isnan(e.run().out[0]));
}

TEST_CASE("No keys: zeros; no queries: nothing") {
  const auto r = example{.q = {1, 2}, .k = {}, .v = {}}.run();
  require_equal(r.out, {0, 0});
  require_equal(r.lse, {-infinity, -infinity});
  REQUIRE(example{.q = {}, .k = {1}, .v = {1}}.run().out.empty());
}

TEST_CASE("Any scalar will do") {
  const auto run = [](auto scalar) {
    using Scalar = decltype(scalar);
    const std::array<Scalar, 1> q = {Scalar(1)};
    const std::array<Scalar, 2> k = {Scalar(0), Scalar(0)}, v = {Scalar(2), Scalar(4)};
    std::array<Scalar, 1> out = {};
    hr::reference_attention<Scalar>(
        hr::tokens_major(q.data(), 1, 1, 1), hr::tokens_major(k.data(), 2, 1, 1),
        hr::tokens_major(v.data(), 2, 1, 1), hr::tokens_major(out.data(), 1, 1, 1), hr::none{});
    return out[0] == Scalar(3);
  };
  REQUIRE(run(float()));
  REQUIRE(run(double()));
  REQUIRE(run(static_cast<long double>(0)));
}
