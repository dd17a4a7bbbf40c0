// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a state holds max = max_j s_j, sum = sum_j e^(s_j - max) and value = sum_j e^(s_j - max)
// v_j. States over different keys merge associatively and commutatively, the empty one is neutral,
// and value / sum is the softmax-weighted mean.
#include <headroom/softmax_state.hpp>

#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/error_bound.hpp"
#include "support/problem.hpp"
#include "support/random.hpp"
#include "support/sizes.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

/// A state that owns its memory, of one row.
template <class Scalar>
struct one_row {
  explicit one_row(Index v_dim) : memory(static_cast<std::size_t>(v_dim + 2)) {
    state() = {1, v_dim, memory.data(), memory.data() + 1, memory.data() + 2};
    state().clear();
  }
  one_row(const one_row& other) : memory(other.memory), state_(other.state_) { rebind(); }
  one_row& operator=(const one_row& other) {
    memory = other.memory;
    rebind();
    return *this;
  }
  hr::softmax_state<Scalar>& state() { return state_; }

  /// Takes in keys [begin, end), as a kernel does: scores become weights, values are added.
  void add(const tensor<Scalar>& scores, const tensor<Scalar>& values, Index begin, Index end) {
    std::vector<Scalar> weights(scores.view().row(begin, 0), scores.view().row(end, 0));
    state_.add_scores(0, weights.data(), end - begin);
    for (Index j = begin; j < end; ++j)
      for (Index d = 0; d < state_.v_dim; ++d)
        state_.value_row(0)[d] += weights[static_cast<std::size_t>(j - begin)] * values(j, 0, d);
  }

  answer<Scalar> finish(Scalar sink = hr::softmax_state<Scalar>::minus_infinity) {
    answer<Scalar> result{{1, 1, state_.v_dim}, {1, 1, 1}};
    state_.finish(0, result.out.view().row(0, 0), sink);
    result.lse(0, 0, 0) = state_.lse(0);
    return result;
  }

 private:
  void rebind() {
    state_.max = memory.data();
    state_.sum = memory.data() + 1;
    state_.value = memory.data() + 2;
  }
  std::vector<Scalar> memory;
  hr::softmax_state<Scalar> state_;
};

/// Scores and values of some keys. As attention: the score of a key of width 1 is that key, for a
/// query of 1, so the exact answer and its bound are attention's.
template <class Scalar>
struct scored_keys {
  static constexpr Index v_dim = 5;
  tensor<Scalar> scores, values, one;

  explicit scored_keys(Index count, double deviation = 3, std::uint64_t seed = 1)
      : scores(count, 1, 1), values(count, 1, v_dim), one(1, 1, 1) {
    random_source random(seed);
    random.fill(scores.view(), deviation);
    random.fill(values.view());
    one(0, 0, 0) = 1;
  }

  exact_answer exact() const {
    return exact_attention<Scalar>(one.view(), scores.view(), values.view(), hr::none{},
                                   hr::attention_options<Scalar>{.scale = Scalar(1)});
  }

  one_row<Scalar> state_of(Index begin, Index end) const {
    one_row<Scalar> row(v_dim);
    row.add(scores, values, begin, end);
    return row;
  }
};

}  // namespace

TEMPLATE_TEST_CASE("Keys may come in tiles of any size", "", float, double) {
  for (const Index count : awkward_lengths)
    for (const Index tile : {1, 3, 16, 64, 1000}) {
      const scored_keys<TestType> keys(count);
      one_row<TestType> row(keys.v_dim);
      for (Index j = 0; j < count; j += tile)
        row.add(keys.scores, keys.values, j, std::min(j + tile, count));
      // The bound allows for a rescaling every 16 keys; finer tiles rescale more often.
      const double slack = 16.0 / static_cast<double>(std::min<Index>(tile, 16));
      REQUIRE(error_ratio(row.finish(), keys.exact()) <= slack);
    }
}

TEMPLATE_TEST_CASE("Merging is commutative, associative, and the same as adding", "", float,
                   double) {
  const scored_keys<TestType> keys(200);
  const auto exact = keys.exact();
  const auto a = keys.state_of(0, 7), b = keys.state_of(7, 130), c = keys.state_of(130, 200);
  const auto merged = [](one_row<TestType> first, one_row<TestType> second) {
    first.state().merge(second.state());
    return first;
  };
  for (auto whole : {merged(merged(a, b), c), merged(a, merged(b, c)), merged(merged(c, a), b),
                     keys.state_of(0, 200)})
    REQUIRE(error_ratio(whole.finish(), exact) <= 1);
}

TEMPLATE_TEST_CASE("The empty state is neutral, exactly", "", float, double) {
  const scored_keys<TestType> keys(50);
  auto state = keys.state_of(0, 50);
  const auto expected = state.finish();
  one_row<TestType> empty(keys.v_dim);
  state.state().merge(empty.state());
  REQUIRE(same_bits(state.finish(), expected));
  empty.state().merge(state.state());
  REQUIRE(same_bits(empty.finish(), expected));
  state.add(keys.scores, keys.values, 3, 3);
  REQUIRE(same_bits(state.finish(), expected));
}

TEMPLATE_TEST_CASE("Two empty states merge to the empty one: zeros, minus infinity", "", float,
                   double) {
  one_row<TestType> first(3), second(3);
  first.state().merge(second.state());
  const auto result = first.finish(TestType(2));
  REQUIRE(result.lse(0, 0, 0) == hr::softmax_state<TestType>::minus_infinity);
  for (Index d = 0; d < 3; ++d) REQUIRE(result.out(0, 0, d) == 0);
}

TEMPLATE_TEST_CASE("Scores of minus infinity have weight 0, exactly", "", float, double) {
  constexpr TestType hidden = hr::softmax_state<TestType>::minus_infinity;
  for (const Index count : {1, 2, 7, 8, 16, 33, 128}) {
    scored_keys<TestType> keys(count);
    std::vector<TestType> weights(static_cast<std::size_t>(count), hidden);
    one_row<TestType> row(keys.v_dim);
    row.state().add_scores(0, weights.data(), count);
    for (const TestType weight : weights) REQUIRE(weight == 0);
    REQUIRE(row.state().lse(0) == hidden);

    // Half hidden, after a tile that was hidden altogether.
    for (Index j = 0; j < count; ++j) weights[static_cast<std::size_t>(j)] = j % 2 ? hidden : -80;
    row.state().add_scores(0, weights.data(), count);
    for (Index j = 0; j < count; ++j)
      REQUIRE(weights[static_cast<std::size_t>(j)] == (j % 2 ? 0 : 1));
    const double lse = -80 + std::log(static_cast<double>((count + 1) / 2));
    REQUIRE(std::abs(row.state().lse(0) - lse) <= 200 * unit_roundoff<TestType>);
  }
}

TEMPLATE_TEST_CASE("Scores of any size neither overflow nor vanish", "", float, double) {
  for (const double deviation : {0.0, 1e-30, 30.0, 1e4, 1e30}) {
    const scored_keys<TestType> keys(100, deviation);
    for (const Index cut : {0, 1, 50, 99}) {
      auto row = keys.state_of(0, cut);
      row.add(keys.scores, keys.values, cut, 100);
      REQUIRE(error_ratio(row.finish(), keys.exact()) <= 1);
    }
  }
}

TEMPLATE_TEST_CASE("A NaN score makes everything NaN, wherever it stands", "", float, double) {
  for (Index j = 0; j < 40; ++j) {
    scored_keys<TestType> keys(40);
    keys.scores(j, 0, 0) = quiet_nan<TestType>();
    for (const Index cut : {0, 20}) {
      auto row = keys.state_of(0, cut);
      row.add(keys.scores, keys.values, cut, 40);
      auto merged = keys.state_of(0, 20);
      auto rest = keys.state_of(20, 40);
      merged.state().merge(rest.state());
      for (one_row<TestType>* state : {&row, &merged}) {
        CAPTURE(j, cut);
        REQUIRE(std::isnan(state->state().lse(0)));
        REQUIRE(std::isnan(state->finish().out(0, 0, 2)));
        REQUIRE(std::isnan(state->finish(TestType(1)).out(0, 0, 2)));
      }
    }
  }
}

TEST_CASE("A sink joins the denominator and nothing else") {
  // Scores 0 and 0, sink log 2: of four equal parts the sink has two.
  one_row<double> row(1);
  tensor<double> scores(2, 1, 1), values(2, 1, 1);
  scores(0, 0, 0) = scores(1, 0, 0) = 0;
  values(0, 0, 0) = 4;
  values(1, 0, 0) = 12;
  row.add(scores, values, 0, 2);
  REQUIRE(std::abs(row.finish().out(0, 0, 0) - 8) <= 1e-14);
  REQUIRE(std::abs(row.finish(std::log(2.0)).out(0, 0, 0) - 4) <= 1e-14);
  REQUIRE(std::abs(row.finish(std::log(2.0)).lse(0, 0, 0) - std::log(2.0)) <= 1e-15);
  REQUIRE(row.finish(std::numeric_limits<double>::infinity()).out(0, 0, 0) == 0);
  REQUIRE(row.finish(1000.0).out(0, 0, 0) == 0);
}

TEST_CASE("exp and log are as accurate as the error bound supposes") {
  // Weights against e^(s - max), at every 1000th float between -87, where they leave the normal
  // numbers, and 0.
  double worst = 0;
  for (float s = -87; s < -1e-6f; s *= 0.9999f) {
    float scores[16];
    std::fill(scores, scores + 16, s);
    scores[5] = 0;
    one_row<float> row(1);
    row.state().add_scores(0, scores, 16);
    const double exact = std::exp(static_cast<double>(s));
    for (const Index j : {0, 15})
      worst = std::max(worst, std::abs(static_cast<double>(scores[j]) / exact - 1));
  }
  REQUIRE(worst <= elementary_error<float>);
  // The cap as the kernels compute it.
  Eigen::ArrayXf x = Eigen::ArrayXf::LinSpaced(100001, -12, 12);
  const Eigen::ArrayXf y = x.tanh();
  worst = 0;
  for (Index i = 0; i < x.size(); ++i)
    if (x[i] != 0)
      worst = std::max(worst, std::abs(y[i] / std::tanh(static_cast<double>(x[i])) - 1));
  REQUIRE(worst <= elementary_error<float>);
}

TEMPLATE_TEST_CASE("Finished attentions merge: any order, in place, empty parts", "", float,
                   double) {
  const scored_keys<TestType> keys(90);
  const auto exact =
      exact_attention<TestType>(keys.one.view(), keys.scores.view(), keys.values.view(), hr::none{},
                                hr::attention_options<TestType>{.scale = TestType(1)},
                                keys.exact().bound.lse(0, 0, 0) + 2 * elementary_error<TestType>);
  const auto merge = [](answer<TestType> first, answer<TestType> second) {
    hr::merge_attention(first.out.view(), first.lse.per_head(), second.out.view(),
                        second.lse.per_head(), first.out.view(), first.lse.per_head());
    return first;
  };
  const auto part = [&](Index begin, Index end) { return keys.state_of(begin, end).finish(); };
  REQUIRE(error_ratio(merge(part(0, 33), part(33, 90)), exact) <= 1);
  REQUIRE(error_ratio(merge(part(33, 90), part(0, 33)), exact) <= 1);
  REQUIRE(same_bits(merge(part(0, 90), part(0, 0)), part(0, 90)));
  REQUIRE(same_bits(merge(part(0, 0), part(0, 90)), part(0, 90)));
  REQUIRE(same_bits(merge(part(0, 0), part(0, 0)), part(0, 0)));
  auto spoilt = part(0, 33);
  spoilt.lse(0, 0, 0) = quiet_nan<TestType>();
  REQUIRE(std::isnan(merge(spoilt, part(33, 90)).out(0, 0, 0)));
  REQUIRE(std::isnan(merge(part(33, 90), spoilt).out(0, 0, 0)));
  spoilt.out(0, 0, 0) = quiet_nan<TestType>();
  for (const auto& beside_nothing : {merge(spoilt, part(0, 0)), merge(part(0, 0), spoilt)})
    REQUIRE((std::isnan(beside_nothing.out(0, 0, 0)) && std::isnan(beside_nothing.lse(0, 0, 0))));
}

TEST_CASE("merge_attention names the argument whose shape differs, and writes nothing") {
  tensor<float> o(2, 3, 4), l(2, 3, 1), wide(2, 3, 5), tall(3, 3, 1), result(2, 3, 4), lse(2, 3, 1);
  const auto out = result.view();
  const auto throws = [&](auto second, auto second_lse, auto target, auto target_lse,
                          const std::string& message) {
    REQUIRE_THROWS_WITH(
        hr::merge_attention(o.view(), l.per_head(), second, second_lse, target, target_lse),
        contains(message));
    REQUIRE(result.gaps_untouched());
  };
  throws(wide.view(), l.per_head(), out, lse.per_head(),
         "merge_attention: second is [2, 3, 5], expected [2, 3, 4] as first");
  throws(o.view(), tall.per_head(), out, lse.per_head(), "second_lse is [3, 3, 4]");
  throws(o.view(), l.per_head(), wide.view(), lse.per_head(), "out is [2, 3, 5]");
  throws(o.view(), l.per_head(), out, tall.per_head(), "out_lse is [3, 3, 4]");
  REQUIRE(std::isnan(result(0, 0, 0)));
}
