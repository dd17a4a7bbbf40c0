// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// cached_layer: how a layer is called. A batch of sequences gives each sequence what it gets alone,
// and reads weights once, whatever caches are around their keys and values; a call that throws
// leaves outputs and every cache as they were; a decode step after the first allocates nothing.

#include <headroom/int8_codec.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/latent_cache.hpp>
#include <headroom/layer.hpp>
#include <headroom/mla_layer.hpp>
#include <headroom/paged_cache.hpp>
#include <headroom/ring_cache.hpp>
#include <headroom/rotated_cache.hpp>
#include <headroom/scaled_cache.hpp>

#include "support/allocation_counter.hpp"
#include "support/any_mask.hpp"
#include "support/catch.hpp"
#include "support/random.hpp"

#include <array>
#include <limits>
#include <stdexcept>
#include <utility>
#include <vector>

namespace {

namespace hr = headroom;
using headroom_tests::random_source;
using hr::Index;
using matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// What layers are called with is one type: each type of mask is kernels of its own for every cache.
using some_mask =
    headroom_tests::any_mask<hr::causal, hr::both_masks<hr::causal, hr::sliding_window>,
                             hr::both_masks<hr::causal, hr::key_length>>;

some_mask causal() {
  return some_mask(hr::causal());
}
some_mask causal_window(Index window) {
  return some_mask(hr::causal() & hr::sliding_window(window));
}
some_mask causal_length(Index length) {
  return some_mask(hr::causal() & hr::key_length(length));
}

matrix random_matrix(random_source& random, Index rows, Index cols, double deviation = 0.3) {
  matrix result(rows, cols);
  random.fill(hr::as_view(result, 1), deviation);
  return result;
}

// Weights that pick a number each and scale it by a power of two: products do not round, so that
// they are the same bits however many rows are multiplied at once.
matrix random_picks(random_source& random, Index rows, Index cols) {
  matrix result = matrix::Zero(rows, cols);
  for (Index i = 0; i < rows; ++i)
    result(i, random.integer(0, cols - 1)) = random.pick<float>({-1, -0.5, 0.5, 1, 2});
  return result;
}

struct gqa_model {
  using cache = hr::kv_cache<float, 2, 8>;
  static cache empty(Index capacity) { return cache(capacity); }

  random_source random{31};
  matrix q = random_picks(random, 32, 24), k = random_picks(random, 16, 24),
         v = random_picks(random, 16, 24), o = random_picks(random, 24, 32);

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

struct rotated_model : gqa_model {
  using cache = hr::rotated_cache<gqa_model::cache>;
  static cache empty(Index capacity) { return cache(capacity); }
};

template <class Scaled>
struct with_value_scales : Scaled {
  explicit with_value_scales(Index capacity) : Scaled(capacity) {
    random_source random(33);
    matrix scales(1, 16);
    for (Index i = 0; i < 16; ++i) scales(0, i) = static_cast<float>(1 + random.uniform());
    this->set_value_scales(scales);
  }
};

struct scaled_model : gqa_model {
  using cache = with_value_scales<hr::scaled_cache<hr::kv_cache<hr::int8_rows, 2, 8>>>;
  static cache empty(Index capacity) { return cache(capacity); }
};

struct rotated_scaled_model : gqa_model {
  using cache = hr::rotated_cache<scaled_model::cache>;
  static cache empty(Index capacity) { return cache(capacity); }
};

struct ring_model : gqa_model {
  using cache = hr::ring_cache<gqa_model::cache>;
  static cache empty(Index) { return cache({.window = 7, .prefix = 1, .chunk = 9}); }
};

struct rotated_ring_model : gqa_model {
  using cache = hr::rotated_cache<ring_model::cache>;
  static cache empty(Index) { return cache({.window = 7, .prefix = 1, .chunk = 9}); }
};

// A cache of a user's own around another: nobody but it knows that its queries see three tokens.
struct three_tokens {
  gqa_model::cache cache;

  Index tokens() const { return cache.tokens(); }
  const gqa_model::cache& stored() const { return cache; }
  void truncate(Index tokens) { cache.truncate(tokens); }
  void append(const auto& k, const auto& v) { cache.append(k, v); }
  void attend(const auto& attention, const auto& q, const auto& out, const auto& mask,
              const auto& options, const auto& executor) const {
    attention(q, cache, out, mask & hr::sliding_window(3), options, executor);
  }
};

struct own_cache_model : gqa_model {
  using cache = three_tokens;
  static cache empty(Index capacity) { return {gqa_model::cache(capacity)}; }
};

struct latent_model {
  using cache = hr::latent_cache<float, 16, 4>;
  static cache empty(Index capacity) { return cache(capacity); }

  random_source random{32};
  matrix q_down = random_picks(random, 12, 24), q_up = random_picks(random, 48, 12),
         kv_down = random_picks(random, 20, 24), kv_up = random_matrix(random, 64, 16),
         o = random_picks(random, 24, 32);
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

struct latent_ring_model : latent_model {
  using cache = hr::ring_cache<latent_model::cache>;
  static cache empty(Index) { return cache({.window = 7, .prefix = 1, .chunk = 9}); }
};

}  // namespace

TEMPLATE_TEST_CASE("a batch gives each sequence what it gets alone, bit by bit", "", gqa_model,
                   rotated_model, scaled_model, rotated_scaled_model, ring_model,
                   rotated_ring_model, own_cache_model, latent_model, latent_ring_model) {
  TestType model;
  using cache = typename TestType::cache;
  const auto layer = model.layer();
  const std::vector<Index> lengths = {5, 0, 1, 9};
  const auto mask_of = [](Index i) { return causal_window(4 + 9 * i); };
  std::vector<cache> together, alone;
  for (int i = 0; i < 4; ++i) {
    together.push_back(TestType::empty(40));
    alone.push_back(TestType::empty(40));
  }
  // Rounds fill the caches unevenly, and turn those that are rings.
  for (int round = 0; round < 4; ++round) {
    const matrix x = random_matrix(model.random, 15, 24, 1);
    std::vector<hr::layer_sequence<cache>> sequences;
    for (std::size_t i = 0; i < 4; ++i) sequences.push_back({lengths[i], &together[i]});
    matrix batched = matrix::Constant(15, 24, NAN), single = batched;
    layer.batch(x, sequences, batched, mask_of);
    Index first = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      layer(x.middleRows(first, lengths[i]), alone[i], single.middleRows(first, lengths[i]),
            mask_of(static_cast<Index>(i)));
      first += lengths[i];
      REQUIRE(together[i].tokens() == alone[i].tokens());
    }
    REQUIRE(batched == single);
  }
}

TEMPLATE_TEST_CASE("a batch has no more phases than one sequence, and allocates nothing", "",
                   gqa_model, rotated_model, scaled_model, rotated_scaled_model, ring_model,
                   rotated_ring_model, latent_model, latent_ring_model) {
  TestType model;
  using cache = typename TestType::cache;
  const auto layer = model.layer();
  const matrix x = random_matrix(model.random, 5, 24, 1);
  matrix out(5, 24);
  // Each product, each phase of attention, and what caches do before and after it is one call of
  // the executor.
  int calls = 0;
  const auto counting = [&calls](Index count, const auto& run) {
    ++calls;
    for (Index i = 0; i < count; ++i) run(i);
  };
  cache single = TestType::empty(64);
  layer(x.topRows(1), single, out.topRows(1), causal(), {}, counting);
  const int of_one = std::exchange(calls, 0);
  std::vector<cache> caches;
  for (int i = 0; i < 5; ++i) caches.push_back(TestType::empty(64));
  std::vector<hr::layer_sequence<cache>> sequences;
  for (cache& own : caches) sequences.push_back({1, &own});
  layer.batch(x, sequences, out, causal(), counting);
  REQUIRE(calls <= of_one);
  if (!headroom_tests::counts_allocations) return;
  REQUIRE(headroom_tests::allocations_of([&] {
            for (int step = 0; step < 20; ++step) layer.batch(x, sequences, out, causal());
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
  layer.batch(x, sequences, batched, [](Index i) { return causal_window(i + 1); });
  layer(x.bottomRows(4), alone, single, causal_window(2), hr::token_positions(ids));
  REQUIRE(batched.bottomRows(4) == single);
}

TEST_CASE("a batch in which one sequence has no room changes no cache and no output") {
  gqa_model model;
  const auto layer = model.layer();
  const matrix x = random_matrix(model.random, 6, 24, 1);
  gqa_model::cache roomy(10), full(4);
  matrix out = matrix::Constant(6, 24, 7);
  matrix first(3, 24);
  layer(x.topRows(3), full, first, causal());
  const std::array<hr::layer_sequence<gqa_model::cache>, 2> sequences = {{{4, &roomy}, {2, &full}}};
  REQUIRE_THROWS_AS(layer.batch(x, sequences, out, causal()), std::length_error);
  REQUIRE(roomy.tokens() == 0);
  REQUIRE(full.tokens() == 3);
  REQUIRE(out == matrix::Constant(6, 24, 7));
}

TEST_CASE("a refused call leaves rings as far to go back as they had, and pages as shared") {
  gqa_model model;
  const auto layer = model.layer();
  const matrix x = random_matrix(model.random, 4, 24, 1);
  matrix out(4, 24);

  ring_model::cache first = ring_model::empty(0), second = ring_model::empty(0);
  for (int i = 0; i < 6; ++i)
    for (ring_model::cache* ring : {&first, &second}) layer(x, *ring, out, causal());
  REQUIRE_THROWS_WITH(layer(x, first, out, causal_length(1000)),
                      headroom_tests::contains("length = 1000"));
  const std::array<hr::layer_sequence<ring_model::cache>, 2> both = {{{2, &first}, {2, &second}}};
  REQUIRE_THROWS_WITH(
      layer.batch(x, both, out, [](Index i) { return i == 0 ? causal() : causal_length(1000); }),
      headroom_tests::contains("layer: sequence 1: key_length: length = 1000"));
  first.truncate(24 - 9);  // a chunk

  hr::page_pool<float, 2, 8> pool(4, 4);
  hr::paged_cache prompt(pool);
  layer(x.topRows(2), prompt, out.topRows(2), causal());
  hr::paged_cache fork = prompt.fork();
  const Index free = pool.pages_free();
  REQUIRE_THROWS_AS(layer(x, fork, out, causal_length(1000)), std::invalid_argument);
  REQUIRE((pool.pages_free() == free && pool.pages_shared() == 1));
}

TEMPLATE_TEST_CASE("a call that an executor ends takes appended tokens back, the last one too", "",
                   gqa_model, latent_model) {
  TestType model;
  const auto layer = model.layer();
  typename TestType::cache cache = TestType::empty(10);
  const matrix x = random_matrix(model.random, 3, 24, 1);
  matrix out(3, 24);
  int calls = 0, allowed = 1000;
  const auto failing = [&](Index count, const auto& run) {
    if (++calls > allowed) throw std::runtime_error("no more");
    for (Index i = 0; i < count; ++i) run(i);
  };
  layer(x, cache, out, causal(), {}, failing);
  REQUIRE(cache.tokens() == 3);
  const int all = calls;
  for (allowed = 0; allowed < all; ++allowed) {
    calls = 0;
    REQUIRE_THROWS_AS(layer(x, cache, out, causal(), {}, failing), std::runtime_error);
    REQUIRE(cache.tokens() == 3);
  }
}

TEMPLATE_TEST_CASE("a refused call says what was wrong and takes appended tokens back", "",
                   gqa_model, rotated_ring_model, latent_model) {
  TestType model;
  const auto layer = model.layer();
  typename TestType::cache cache = TestType::empty(10);
  const matrix x = random_matrix(model.random, 3, 24, 1);
  matrix out = matrix::Constant(3, 24, 7);
  matrix narrow(3, 23), short_out(2, 24);
  REQUIRE_THROWS_WITH(layer(narrow, cache, out, causal()),
                      "layer: x is [3, 23], expected [tokens, hidden = 24]");
  REQUIRE_THROWS_WITH(layer(x, cache, short_out, causal()),
                      "layer: out is [2, 24], expected [3, 24]");
  REQUIRE_THROWS_WITH(layer(x, cache, out, causal_length(4)),
                      "key_length: length = 4, expected 0 to kv_len = 3");
  const std::vector<Index> ids = {0, 1};
  REQUIRE_THROWS_WITH(layer(x, cache, out, causal(), hr::token_positions(ids)),
                      "layer: 2 positions were given, expected one for each of 3 tokens");
  std::array<hr::layer_sequence<typename TestType::cache>, 1> sequences = {{{2, &cache}}};
  REQUIRE_THROWS_WITH(layer.batch(x, sequences, out, causal()),
                      "layer: sequences have 2 tokens, expected 3 as x");
  sequences[0].tokens = std::numeric_limits<Index>::max();
  REQUIRE_THROWS_WITH(layer.batch(x, sequences, out, causal()),
                      "layer: sequences have more than 3 tokens, expected as many as x");
  sequences[0] = {3, nullptr};
  REQUIRE_THROWS_WITH(layer.batch(x, sequences, out, causal()),
                      headroom_tests::contains("expected at least 0 tokens and a cache"));
  const std::array<hr::layer_sequence<typename TestType::cache>, 2> shared = {
      {{2, &cache}, {1, &cache}}};
  REQUIRE_THROWS_WITH(layer.batch(x, shared, out, causal()),
                      "layer: sequences 0 and 1 share a cache, expected one for each");
  typename TestType::cache other = TestType::empty(10);
  const std::array<hr::layer_sequence<typename TestType::cache>, 2> two = {
      {{2, &cache}, {1, &other}}};
  REQUIRE_THROWS_WITH(layer.batch(x, two, out, [](Index i) { return causal_length(2 + i); }),
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
  layer(x, cache, out, causal());
  const long count = headroom_tests::allocations_of([&] {
    for (int step = 0; step < 50; ++step) layer(x, cache, out, causal());
  });
  REQUIRE(count == 0);
  REQUIRE(cache.tokens() == 51);
}
