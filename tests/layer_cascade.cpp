// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: sequences of a layer that share their beginnings get what each gets alone over a cache of
// everything, at the same positions.
#include <headroom/cached_layer.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/latent_cache.hpp>
#include <headroom/layer.hpp>
#include <headroom/mla_layer.hpp>

#include "support/catch.hpp"
#include "support/random.hpp"
#include "support/refusal.hpp"

#include <array>
#include <vector>

namespace {

namespace hr = headroom;
using headroom_tests::random_source;
using headroom_tests::refusal_of;
using hr::Index;
using matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

constexpr Index hidden = 24;
constexpr double tolerance = 1e-12;  // of numbers about 1, in double

matrix random_matrix(random_source& random, Index rows, Index cols) {
  matrix result(rows, cols);
  random.fill(hr::as_view(result, 1), 0.3);
  return result;
}

struct grouped {
  using cache = hr::kv_cache<double, 2, 8>;

  random_source random{71};
  matrix q = random_matrix(random, 32, hidden), k = random_matrix(random, 16, hidden),
         v = random_matrix(random, 16, hidden), o = random_matrix(random, hidden, 32);
  std::vector<double> sinks{0.1, -0.3, 0.5, 0};

  auto layer() const {
    hr::layer_options<double> options;
    options.rotary = hr::rope(8);
    options.sinks = sinks;
    return hr::attention_layer(
        hr::attention<4, 2, 8>(),
        hr::attention_weights<double>{
            .q = hr::linear(q), .k = hr::linear(k), .v = hr::linear(v), .o = hr::linear(o)},
        options);
  }
};

struct latent {
  using cache = hr::latent_cache<double, 16, 4>;

  random_source random{73};
  matrix q = random_matrix(random, 4 * 12, hidden), down = random_matrix(random, 20, hidden),
         up = random_matrix(random, 4 * 14, 16), o = random_matrix(random, hidden, 4 * 6);
  std::vector<double> gain = std::vector<double>(16, 1.25);

  auto layer() const {
    hr::mla_layer_options<double> options;
    options.rotary = hr::rope(4);
    hr::mla_weights<double> weights;
    weights.q = hr::linear(q);
    weights.kv_down = hr::linear(down);
    weights.kv_norm = gain;
    weights.kv_up = hr::linear(up);
    weights.o = hr::linear(o);
    return hr::mla_layer(hr::mla<4, 16, 8, 4, 6>(), weights, options);
  }
};

/// Three sequences: all begin with one prompt, the last two with another one after it.
template <class Model>
struct sharing {
  using Cache = typename Model::cache;
  using prefix = hr::shared_prefix<Cache>;
  using sequence = hr::layer_sequence<Cache>;

  Model model;
  random_source random{79};
  matrix first = random_matrix(random, 70, hidden), second = random_matrix(random, 9, hidden);
  Cache first_shared{200}, second_shared{200};
  std::vector<Cache> own, whole;
  std::vector<prefix> prefixes{{first_shared, 0, 3}, {second_shared, 1, 3}};

  sharing() {
    const auto layer = model.layer();
    layer.append(first, first_shared);
    layer.append(second, second_shared, 70);
    for (int i = 0; i < 3; ++i) {
      own.emplace_back(200);
      layer.append(first, whole.emplace_back(200));
      if (i > 0) layer.append(second, whole.back());
    }
  }

  /// A call of so many tokens each.
  void check(const std::array<Index, 3>& tokens, Index window) {
    const auto layer = model.layer();
    const auto mask = hr::causal() & hr::sliding_window(window);
    const matrix x = random_matrix(random, tokens[0] + tokens[1] + tokens[2], hidden);
    matrix out(x.rows(), hidden), expected(x.rows(), hidden);
    std::vector<sequence> sequences;
    Index begin = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      sequences.push_back({tokens[i], &own[i]});
      const matrix mine = x.middleRows(begin, tokens[i]);
      layer(mine, whole[i], expected.middleRows(begin, tokens[i]), mask);
      begin += tokens[i];
    }
    layer.cascade(x, prefixes, sequences, out, mask);
    CHECK((out - expected).cwiseAbs().maxCoeff() < tolerance);
    for (std::size_t i = 0; i < 3; ++i)
      CHECK(own[i].tokens() == whole[i].tokens() - (i > 0 ? 79 : 70));
  }
};

}  // namespace

TEMPLATE_TEST_CASE("sequences that share their beginnings get what each gets alone", "", grouped,
                   latent) {
  sharing<TestType> batch;
  batch.check({3, 1, 5}, 1000);  // prompts of their own
  batch.check({1, 1, 1}, 1000);  // a step
  batch.check({2, 0, 1}, 12);    // a window into what is shared
  batch.check({1, 30, 1}, 12);   // and on from it
}

TEST_CASE("one sequence may share what others do not") {
  sharing<grouped> batch;
  const auto layer = batch.model.layer();
  const matrix x = random_matrix(batch.random, 2, hidden);
  matrix out(2, hidden), expected(2, hidden);
  const std::array one{sharing<grouped>::sequence{2, batch.own.data()}};
  layer.cascade(x, std::array{hr::shared_prefix(batch.first_shared, 0, 1)}, one, out);
  layer(x, batch.whole[0], expected);
  CHECK((out - expected).cwiseAbs().maxCoeff() < tolerance);
}

TEST_CASE("positions may be given, and are then not those behind what is shared") {
  sharing<grouped> batch;
  const auto layer = batch.model.layer();
  const matrix x = random_matrix(batch.random, 2, hidden);
  matrix out(2, hidden), expected(2, hidden);
  const std::array one{sharing<grouped>::sequence{2, batch.own.data(), hr::token_positions(500)}};
  layer.cascade(x, std::array{hr::shared_prefix(batch.first_shared, 0, 1)}, one, out);
  layer(x, batch.whole[0], expected, hr::causal(), hr::token_positions(500));
  CHECK((out - expected).cwiseAbs().maxCoeff() < tolerance);
}

TEMPLATE_TEST_CASE("a cascade that is refused changes no cache and no output", "", grouped,
                   latent) {
  sharing<TestType> batch;
  const auto layer = batch.model.layer();
  const matrix x = random_matrix(batch.random, 3, hidden);
  matrix out = matrix::Constant(3, hidden, 7);
  std::vector<typename sharing<TestType>::sequence> sequences;
  for (auto& cache : batch.own) sequences.push_back({1, &cache});
  batch.prefixes.emplace_back(batch.first_shared, 2, 4);
  CHECK(refusal_of([&] { layer.cascade(x, batch.prefixes, sequences, out); }) ==
        "attend_cascade: prefix 2 is of sequences [2, 4), expected a range within the 3 of the "
        "batch");
  CHECK((out.array() == 7).all());
  for (const auto& cache : batch.own) CHECK(cache.tokens() == 0);
}
