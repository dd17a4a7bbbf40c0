// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// cached_layer: how a layer is called. A batch of sequences gives each sequence what it gets alone,
// and reads weights once; a call that throws leaves outputs and every cache as they were; a decode
// step after the first allocates nothing.

#include <headroom/kv_cache.hpp>
#include <headroom/latent_cache.hpp>
#include <headroom/layer.hpp>
#include <headroom/mla_layer.hpp>
#include <headroom/rotated_cache.hpp>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "support/random.hpp"

#include <array>
#include <stdexcept>
#include <utility>
#include <vector>

namespace {

namespace hr = headroom;
using headroom_tests::random_source;
using hr::Index;
using matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

matrix random_matrix(random_source& random, Index rows, Index cols, double deviation = 0.3) {
  matrix result(rows, cols);
  random.fill(hr::as_view(result, 1), deviation);
  return result;
}

struct gqa_model {
  using cache = hr::kv_cache<float, 2, 8>;
  random_source random{31};
  matrix q = random_matrix(random, 32, 24), k = random_matrix(random, 16, 24),
         v = random_matrix(random, 16, 24), o = random_matrix(random, 24, 32);

  auto layer() const {
    hr::layer_options<float> options;
    options.rotary = hr::rope(8);
    return hr::attention_layer(
        hr::attention<4, 2, 8>(),
        hr::attention_weights<float>{
            .q = hr::linear(q), .k = hr::linear(k), .v = hr::linear(v), .o = hr::linear(o)},
        options);
  }
};

// Whose cache takes part in the attention, so that no batch is one call.
struct rotated_model : gqa_model {
  using cache = hr::rotated_cache<gqa_model::cache>;
};

struct latent_model {
  using cache = hr::latent_cache<float, 16, 4>;
  random_source random{32};
  matrix q_down = random_matrix(random, 12, 24), q_up = random_matrix(random, 48, 12),
         kv_down = random_matrix(random, 20, 24), kv_up = random_matrix(random, 64, 16),
         o = random_matrix(random, 24, 32);
  std::vector<float> q_norm = random.numbers(12), kv_norm = random.numbers(16);

  auto layer() const {
    hr::mla_layer_options<float> options;
    options.rotary = hr::rope(4, {.pairing = hr::rope_pairing::interleaved});
    hr::mla_weights<float> weights;
    weights.q_down = hr::linear(q_down);
    weights.q_norm = q_norm;
    weights.q_up = hr::linear(q_up);
    weights.kv_down = hr::linear(kv_down);
    weights.kv_norm = kv_norm;
    weights.kv_up = hr::linear(kv_up);
    weights.o = hr::linear(o);
    return hr::mla_layer(hr::mla<4, 16, 8, 4, 8>(), weights, options);
  }
};

}  // namespace

TEMPLATE_TEST_CASE("a batch gives each sequence what it gets alone", "", gqa_model, rotated_model,
                   latent_model) {
  TestType model;
  using cache = typename TestType::cache;
  const auto layer = model.layer();
  const std::vector<Index> lengths = {5, 0, 1, 9};
  const matrix x = random_matrix(model.random, 15, 24, 1);
  std::vector<cache> together, alone;
  for (int i = 0; i < 4; ++i) {
    together.emplace_back(20);
    alone.emplace_back(20);
  }
  // A first round fills the caches unevenly; the second is the mixed one.
  for (int round = 0; round < 2; ++round) {
    std::vector<hr::layer_sequence<cache>> sequences;
    for (std::size_t i = 0; i < 4; ++i) sequences.push_back({lengths[i], &together[i]});
    matrix batched = matrix::Constant(15, 24, NAN), single = batched;
    layer.batch(x, sequences, batched);
    Index first = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      layer(x.middleRows(first, lengths[i]), alone[i], single.middleRows(first, lengths[i]));
      first += lengths[i];
      REQUIRE(together[i].tokens() == alone[i].tokens());
    }
    // The output projection of 15 rows and of 1 row may round differently: 32 products a number.
    REQUIRE((batched - single).cwiseAbs().maxCoeff() <=
            64 * std::numeric_limits<float>::epsilon() * single.cwiseAbs().maxCoeff());
  }
}

TEMPLATE_TEST_CASE("a batch reads weights as often as one sequence, and allocates nothing", "",
                   gqa_model, latent_model) {
  TestType model;
  using cache = typename TestType::cache;
  const auto layer = model.layer();
  const matrix x = random_matrix(model.random, 5, 24, 1);
  matrix out(5, 24);
  // Each product, and each phase of attention, is one call of the executor.
  int calls = 0;
  const auto counting = [&calls](Index count, const auto& run) {
    ++calls;
    for (Index i = 0; i < count; ++i) run(i);
  };
  cache single(64);
  layer(x.topRows(1), single, out.topRows(1), hr::causal{}, {}, counting);
  const int of_one = std::exchange(calls, 0);
  std::vector<cache> caches;
  for (int i = 0; i < 5; ++i) caches.emplace_back(64);
  std::vector<hr::layer_sequence<cache>> sequences;
  for (cache& own : caches) sequences.push_back({1, &own});
  layer.batch(x, sequences, out, hr::causal{}, counting);
  REQUIRE(calls == of_one);
  if (!headroom_tests::counts_allocations) return;
  REQUIRE(headroom_tests::allocations_of([&] {
            for (int step = 0; step < 20; ++step) layer.batch(x, sequences, out);
          }) == 0);
}

TEST_CASE("each sequence of a batch may have a mask and positions of its own") {
  gqa_model model;
  const auto layer = model.layer();
  const matrix x = random_matrix(model.random, 8, 24, 1);
  std::array<gqa_model::cache, 2> together = {gqa_model::cache(8), gqa_model::cache(8)};
  gqa_model::cache alone(8);
  const std::vector<Index> ids = {3, 1, 4, 1};
  const std::array<hr::layer_sequence<gqa_model::cache>, 2> sequences = {
      {{4, &together[0]}, {4, &together[1], hr::token_positions(ids)}}};
  matrix batched(8, 24), single(4, 24);
  layer.batch(x, sequences, batched,
              [](Index i) { return hr::causal{} & hr::sliding_window(i + 1); });
  layer(x.bottomRows(4), alone, single, hr::causal{} & hr::sliding_window(2),
        hr::token_positions(ids));
  REQUIRE((batched.bottomRows(4) - single).cwiseAbs().maxCoeff() <=
          64 * std::numeric_limits<float>::epsilon() * single.cwiseAbs().maxCoeff());
}

TEST_CASE("a batch in which one sequence has no room changes no cache and no output") {
  gqa_model model;
  const auto layer = model.layer();
  const matrix x = random_matrix(model.random, 6, 24, 1);
  gqa_model::cache roomy(10), full(4);
  matrix out = matrix::Constant(6, 24, 7);
  matrix first(3, 24);
  layer(x.topRows(3), full, first);
  const std::array<hr::layer_sequence<gqa_model::cache>, 2> sequences = {{{4, &roomy}, {2, &full}}};
  REQUIRE_THROWS_AS(layer.batch(x, sequences, out), std::length_error);
  REQUIRE(roomy.tokens() == 0);
  REQUIRE(full.tokens() == 3);
  REQUIRE(out == matrix::Constant(6, 24, 7));
}

TEMPLATE_TEST_CASE("a refused call says what was wrong and takes appended tokens back", "",
                   gqa_model, latent_model) {
  TestType model;
  const auto layer = model.layer();
  typename TestType::cache cache(10);
  const matrix x = random_matrix(model.random, 3, 24, 1);
  matrix out = matrix::Constant(3, 24, 7);
  matrix narrow(3, 23), short_out(2, 24);
  REQUIRE_THROWS_WITH(layer(narrow, cache, out),
                      "layer: x is [3, 23], expected [tokens, hidden = 24]");
  REQUIRE_THROWS_WITH(layer(x, cache, short_out), "layer: out is [2, 24], expected [3, 24]");
  REQUIRE_THROWS_WITH(layer(x, cache, out, hr::causal{} & hr::key_length(4)),
                      "key_length: length = 4, expected 0 to kv_len = 3");
  const std::vector<Index> ids = {0, 1};
  REQUIRE_THROWS_WITH(layer(x, cache, out, hr::causal{}, hr::token_positions(ids)),
                      headroom_tests::contains("2 positions, expected one per token = 3"));
  std::array<hr::layer_sequence<typename TestType::cache>, 1> sequences = {{{2, &cache}}};
  REQUIRE_THROWS_WITH(layer.batch(x, sequences, out),
                      "layer: sequences have 2 tokens, expected 3 as x");
  sequences[0] = {3, nullptr};
  REQUIRE_THROWS_WITH(layer.batch(x, sequences, out),
                      headroom_tests::contains("expected at least 0 tokens and a cache"));
  const std::array<hr::layer_sequence<typename TestType::cache>, 2> shared = {
      {{2, &cache}, {1, &cache}}};
  REQUIRE_THROWS_WITH(layer.batch(x, shared, out),
                      "layer: sequences 0 and 1 share a cache, expected one for each");
  typename TestType::cache other(10);
  const std::array<hr::layer_sequence<typename TestType::cache>, 2> two = {
      {{2, &cache}, {1, &other}}};
  REQUIRE_THROWS_WITH(
      layer.batch(x, two, out, [](Index i) { return hr::causal{} & hr::key_length(2 + i); }),
      headroom_tests::contains("key_length: length = 3, expected 0 to kv_len = 1"));
  REQUIRE((cache.tokens() == 0 && other.tokens() == 0));
  REQUIRE(out == matrix::Constant(3, 24, 7));
}

TEMPLATE_TEST_CASE("a decode step after the first allocates nothing", "", gqa_model, latent_model) {
  if (!headroom_tests::counts_allocations) return;
  TestType model;
  const auto layer = model.layer();
  typename TestType::cache cache(64);
  const matrix x = random_matrix(model.random, 1, 24, 1);
  matrix out(1, 24);
  layer(x, cache, out);
  const long count = headroom_tests::allocations_of([&] {
    for (int step = 0; step < 50; ++step) layer(x, cache, out);
  });
  REQUIRE(count == 0);
  REQUIRE(cache.tokens() == 51);
}
