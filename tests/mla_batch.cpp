// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a batch gives every sequence the bits that a call of mla for it alone gives, in whichever
// form that is, whatever the lengths, the other sequences, the executor and the threads; what does
// not fit is refused before anything is written. That a call alone is right, tests/mla.cpp tells.
#include <headroom/int8_codec.hpp>
#include <headroom/latent_cache.hpp>
#include <headroom/mla_batch.hpp>
#include <headroom/paged_latents.hpp>

#include <array>
#include <cmath>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "support/allocation_counter.hpp"
#include "support/any_mask.hpp"
#include "support/catch.hpp"
#include "support/executors.hpp"
#include "support/matrix.hpp"
#include "support/problem.hpp"
#include "support/random.hpp"
#include "support/refusal.hpp"
#include "support/sizes.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

// Masks are one type: each type is kernels of its own.
using some_mask =
    any_mask<hr::causal, hr::both_masks<hr::causal, hr::sliding_window>, hr::key_length>;
using mask_of_sequence = std::function<some_mask(Index)>;
some_mask causal(Index) {
  return some_mask(hr::causal());
}
using any_mla =
    hr::mla<Eigen::Dynamic, Eigen::Dynamic, Eigen::Dynamic, Eigen::Dynamic, Eigen::Dynamic>;

struct lengths {
  Index q_len, kv_len;
};

// Sequences of the given lengths, queries packed one after another, latents in caches.
template <class Cache = hr::latent_cache<float>, class Scalar = float, class Weight = Scalar>
struct ragged {
  any_mla core;
  matrix<Weight> weights;
  std::vector<Cache> caches;
  std::vector<Index> offsets = {0};
  std::vector<hr::batch_sequence<Cache, some_mask>> sequences;
  tensor<Scalar> q;

  // make_cache(kv_len) has room for one token more.
  ragged(const std::vector<lengths>& each, const any_mla& sizes,
         const std::function<Cache(Index)>& make_cache, const mask_of_sequence& mask = causal)
      : core(sizes) {
    random_source random(77);
    weights =
        random_matrix<Scalar>(random, core.q_heads() * (core.nope_width() + core.value_width()),
                              core.rank(), 1 / std::sqrt(double(core.rank())))
            .template cast<Weight>();
    caches.reserve(each.size());
    for (const auto& [q_len, kv_len] : each) {
      caches.push_back(make_cache(kv_len));
      caches.back().append(random_matrix<float>(random, kv_len, core.rank()),
                           random_matrix<float>(random, kv_len, core.rope_width()));
      offsets.push_back(offsets.back() + q_len);
      sequences.emplace_back(caches.back(), mask(static_cast<Index>(sequences.size())));
    }
    q = tensor<Scalar>(offsets.back(), core.q_heads(), core.nope_width() + core.rope_width(),
                       layout::padded);
    random.fill(q.view());
  }
  explicit ragged(const std::vector<lengths>& each, const any_mla& sizes = {5, 64, 16, 8, 12},
                  const mask_of_sequence& mask = causal)
      : ragged(
            each, sizes,
            [&](Index kv_len) { return Cache(kv_len + 1, sizes.rank(), sizes.rope_width()); },
            mask) {}

  hr::view<const Scalar> queries() const { return q.view(); }
  hr::linear<Weight> up() const { return hr::linear<Weight>(weights); }
  answer<Scalar> nothing() const {
    return {{q.tokens(), core.q_heads(), core.value_width()}, {q.tokens(), core.q_heads(), 1}};
  }

  template <class Executor = hr::serial>
  answer<Scalar> together(hr::attention_options<Scalar> options = {},
                          const Executor& executor = {}) const {
    answer<Scalar> result = nothing();
    options.lse = result.lse.per_head();
    hr::attend_batch(core, queries(), offsets, sequences, up(), result.out.view(), options,
                     executor);
    return result;
  }
  answer<Scalar> one_by_one(hr::attention_options<Scalar> options = {}) const {
    answer<Scalar> result = nothing();
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      options.lse = result.lse.per_head().slice_tokens(offsets[i], offsets[i + 1]);
      options.first_position = sequences[i].first_position();
      core(queries().slice_tokens(offsets[i], offsets[i + 1]), caches[i], up(),
           result.out.view().slice_tokens(offsets[i], offsets[i + 1]), sequences[i].mask(),
           options);
    }
    return result;
  }
  // Whether some sequences are computed in one form, and some in the other.
  bool in_both_forms() const {
    bool expanded = false, absorbed = false;
    for (std::size_t i = 0; i < sequences.size(); ++i)
      (core.expands(offsets[i + 1] - offsets[i], caches[i].tokens()) ? expanded : absorbed) = true;
    return expanded && absorbed;
  }
};

// Prompts, chunks, decode over few and many latents, drafts, sequences without queries and without
// latents; stacks of queries that end in, at and between sequences.
const std::vector<lengths> mixed = {{1, 1100}, {1, 40},  {260, 260}, {1, 1}, {3, 900}, {0, 5},
                                    {1, 17},   {16, 90}, {5, 0},     {1, 8}, {2, 70},  {4, 900},
                                    {8, 30},   {1, 3},   {120, 700}, {9, 9}, {1, 2}};

}  // namespace

TEST_CASE("a batch of latent attention has the bits of its sequences, one by one") {
  SECTION("float") {
    const ragged<> batch(mixed);
    REQUIRE(batch.in_both_forms());
    CHECK(same_bits(batch.together(), batch.one_by_one()));
  }
  SECTION("double, in which products are Eigen's") {
    const ragged<hr::latent_cache<Eigen::half>, double> batch(mixed);
    REQUIRE(batch.in_both_forms());
    CHECK(same_bits(batch.together(), batch.one_by_one()));
    // So narrow that Eigen does not call its large products.
    const ragged<hr::latent_cache<Eigen::half>, double> narrow(mixed, {3, 7, 5, 2, 3});
    CHECK(same_bits(narrow.together(), narrow.one_by_one()));
  }
  SECTION("bfloat16 latents and weights") {
    const ragged<hr::latent_cache<Eigen::bfloat16>, float, Eigen::bfloat16> batch(mixed);
    CHECK(same_bits(batch.together(), batch.one_by_one()));
  }
  SECTION("latents of a codec, on pages, with a rank the compiler knows") {
    hr::latent_page_pool<hr::int8_blocks, 64, 8> pool(600, 16);
    const ragged<hr::paged_latents<hr::int8_blocks, 64, 8>> batch(
        mixed, {5, 64, 16, 8, 12}, [&](Index) { return hr::paged_latents(pool); });
    CHECK(same_bits(batch.together(), batch.one_by_one()));
  }
  SECTION("all options, no rotary part") {
    const ragged<> batch(mixed, {5, 48, 17, 0, 9});
    const std::vector<float> sinks = {-2, -1, 0, 1, 2};
    const hr::attention_options<float> options{.scale = 0.3f, .softcap = 5.f, .sinks = sinks};
    CHECK(same_bits(batch.together(options), batch.one_by_one(options)));
  }
  SECTION("a window for each") {
    const ragged<> batch(mixed, {5, 64, 16, 8, 12}, [](Index i) {
      return some_mask(hr::causal() & hr::sliding_window(1 + 30 * i));
    });
    CHECK(same_bits(batch.together(), batch.one_by_one()));
  }
  SECTION("positions for each") {
    ragged<> batch({{1, 90}, {4, 60}, {70, 90}});
    REQUIRE(batch.in_both_forms());
    for (std::size_t i = 0; i < 3; ++i)
      batch.sequences[i] = hr::batch_sequence(batch.caches[i], causal(static_cast<Index>(i)),
                                              static_cast<Index>(10 * i));
    CHECK(same_bits(batch.together(), batch.one_by_one()));
  }
  SECTION("no sequences") {
    const ragged<> batch({});
    CHECK(batch.together().out.tokens() == 0);
  }
  SECTION("no queries") {
    const ragged<> batch({{0, 9}, {0, 0}});
    CHECK(batch.together().out.tokens() == 0);
  }
}

TEST_CASE("random batches of latent attention have the bits of their sequences") {
  random_source random(12);
  for (int round = 0; round < 350; ++round) {
    std::vector<lengths> each;
    for (Index i = random.integer(0, 12); i > 0; --i) {
      const Index kv_len =
          random.chance(0.2) ? random.pick(long_lengths) : random.pick(awkward_lengths);
      const Index few = random.integer(0, 12), many = random.integer(0, 250);
      each.push_back({random.chance(0.5) ? 1 : random.chance(0.7) ? few : many, kv_len});
    }
    const any_mla core(random.integer(1, 6), random.pick(awkward_widths), random.integer(1, 40),
                       random.integer(0, 20), random.integer(1, 40));
    CAPTURE(round, core.q_heads(), core.rank(), core.nope_width(), core.value_width());
    const ragged<> batch(each, core);
    REQUIRE(same_bits(batch.together(), batch.one_by_one()));
    const ragged<hr::latent_cache<Eigen::half>, double> wide(
        each, core, [](Index i) { return some_mask(hr::causal() & hr::sliding_window(50 + i)); });
    REQUIRE(same_bits(wide.together(), wide.one_by_one()));
  }
}

TEST_CASE("a batch of latent attention has the same bits on every executor, in a call a phase") {
  const ragged<> batch(mixed);
  const answer<float> expected = batch.together();
  int calls = 0;
  CHECK(same_bits(batch.together({}, backwards(calls)), expected));
  CHECK(calls == 3);
  calls = 0;
  const ragged<> prompts({{90, 90}, {200, 300}});
  CHECK(same_bits(prompts.together({}, backwards(calls)), prompts.one_by_one()));
  CHECK(calls == 1);
  CHECK(same_bits(batch.together({}, team_of_three), expected));
#ifdef _OPENMP
  for (const int threads : {1, 2, 3, 8})
    CHECK(same_bits(batch.together({}, hr::openmp{threads}), expected));
#endif
}

TEST_CASE("a batch of latent decode steps allocates nothing once one like it has run") {
  ragged<hr::latent_cache<Eigen::bfloat16>, float, Eigen::bfloat16> batch(
      {{1, 2100}, {1, 16}, {1, 900}, {3, 300}, {1, 90}});
  answer<float> got = batch.nothing();
  const matrix<float> token = matrix<float>::Ones(1, 64);
  const auto step = [&] {
    for (auto& cache : batch.caches) {
      cache.truncate(cache.tokens() - 1);
      cache.append(token, token.leftCols(8));
    }
    hr::attend_batch(batch.core, batch.queries(), batch.offsets, batch.sequences, batch.up(),
                     got.out.view(), {.lse = got.lse.per_head()});
  };
  step();
  const long count = allocations_of([&] {
    for (int i = 0; i < 5; ++i) step();
  });
  if (counts_allocations) CHECK(count == 0);
}

TEST_CASE("a NaN that one sequence sees does not reach the others of its stack") {
  ragged<> batch({{1, 9}, {1, 30}, {1, 5}});
  const answer<float> clean = batch.together();
  const matrix<float> poison = matrix<float>::Constant(1, 64, NAN);
  batch.caches[1].truncate(29);
  batch.caches[1].append(poison, poison.leftCols(8));
  const answer<float> got = batch.together();
  for (const Index i : {0, 2})
    CHECK(same_bits(std::as_const(got.out).view().slice_tokens(i, i + 1),
                    clean.out.view().slice_tokens(i, i + 1)));
  for (Index h = 0; h < 5; ++h) CHECK(std::isnan(got.out(1, h, 0)));
}

namespace {

struct changes {
  std::vector<Index> offsets = {0, 2, 3, 6};
  hr::attention_options<float> options = {};
  hr::view<float> out = {};
  std::optional<hr::linear<float>> up = std::nullopt;
  hr::view<const float> q = {};
};

// What the call says when it refuses; nothing may have been written.
std::string refusal(const ragged<>& batch, const changes& with = {}) {
  answer<float> result = batch.nothing();
  random_source random(5);
  random.fill(result.out.view());
  const answer<float> before = result;
  const std::string said = refusal_of([&] {
    hr::attend_batch(batch.core, with.q.data() ? with.q : batch.queries(), with.offsets,
                     batch.sequences, with.up.value_or(batch.up()),
                     with.out.data() ? with.out : result.out.view(), with.options);
  });
  return same_bits(std::as_const(result.out).view(), before.out.view())
             ? said
             : "out was written: " + said;
}

}  // namespace

TEST_CASE("a batch of latent attention refuses what does not fit, and writes nothing") {
  ragged<> batch({{2, 9}, {1, 5}, {3, 3}}, {4, 8, 6, 2, 5});
  REQUIRE(refusal(batch) == "out was written: nothing was thrown");
  SECTION("offsets") {
    CHECK(refusal(batch, {.offsets = {0, 3, 2, 6}}) ==
          "attend_batch: offsets not monotone: offsets[2] = 2, expected at least offsets[1] = 3");
    CHECK(refusal(batch, {.offsets = {0, 2, 3, 5}}) ==
          "attend_batch: offsets[3] = 5, expected tokens of q = 6");
    CHECK(
        refusal(batch, {.offsets = {0, 6}}) ==
        "attend_batch: 2 offsets were given, expected 4, where each of 3 begins and the last ends");
  }
  SECTION("a position for all") {
    CHECK(refusal(batch, {.options = {.first_position = 0}}) ==
          "attend_batch: options has a first_position, expected none: each sequence has its own");
  }
  SECTION("queries, output and lse") {
    tensor<float> narrow(6, 4, 7), few(6, 3, 5), lse(5, 4, 1);
    CHECK(refusal(batch, {.q = std::as_const(narrow).view()}) ==
          "attend_batch: q has width 7, expected nope + rope = 8");
    CHECK(refusal(batch, {.out = narrow.view()}) ==
          "attend_batch: out has width 7, expected value = 5");
    CHECK(refusal(batch, {.out = few.view()}) ==
          "attend_batch: out has 3 heads, expected Q_heads = 4");
    CHECK(refusal(batch, {.options = {.lse = lse.per_head()}}) ==
          "attend_batch: lse is [5, 4], expected [q_len, Q_heads] = [6, 4]");
  }
  SECTION("the up-projection") {
    const matrix<float> narrow = matrix<float>::Ones(43, 8);
    CHECK(
        refusal(batch, {.up = hr::linear<float>(narrow)}) ==
        "attend_batch: up is [43, 8], expected [Q_heads * (nope + value), latent_rank] = [44, 8]");
    const std::vector<float> bias(44, 1.f);
    CHECK(refusal(batch, {.up = hr::linear<float>(batch.weights, bias.data())}) ==
          "attend_batch: up has a bias, expected none");
  }
  SECTION("the last sequence's latents") {
    const hr::latent_cache<float> wide(4, 9, 2), rotary(4, 8, 3);
    batch.sequences.back() = hr::batch_sequence(wide, causal(2));
    CHECK(refusal(batch) ==
          "attend_batch: sequence 2: latents have width 9, expected latent_rank = 8");
    batch.sequences.back() = hr::batch_sequence(rotary, causal(2));
    CHECK(refusal(batch) ==
          "attend_batch: sequence 2: latents with rotary keys have width 11, expected latent_rank "
          "+ rope = 10");
  }
}

TEST_CASE("latents of two groups, and a mask that does not fit, are named by their sequence") {
  const tensor<float> rows(3, 2, 10);
  const hr::view_source<float, float> two(rows.view(), rows.view().slice_dim(0, 8));
  const std::vector<hr::batch_sequence<hr::view_source<float, float>>> sequences = {
      hr::batch_sequence(two)};
  const matrix<double> up = matrix<double>::Ones(44, 8);
  tensor<double> q(1, 4, 8), out(1, 4, 5);
  CHECK_THROWS_WITH(
      hr::attend_batch(any_mla(4, 8, 6, 2, 5), std::as_const(q).view(), std::array{0, 1}, sequences,
                       hr::linear<double>(up), out.view()),
      "attend_batch: sequence 0: latents have 2 groups, expected 1");
  const ragged<> batch({{1, 5}, {1, 3}}, {4, 8, 6, 2, 5},
                       [](Index) { return some_mask(hr::key_length(4)); });
  CHECK_THROWS_WITH(batch.together(),
                    "attend_batch: sequence 1: key_length: length = 4, expected 0 to kv_len = 3");
}
