// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a batch gives every sequence the bits that a call for it alone gives, whatever the lengths,
// the other sequences, the executor and the threads; what does not fit is refused before anything
// is written.
#include <headroom/batch.hpp>
#include <headroom/kv_cache.hpp>

#include <array>
#include <functional>
#include <span>
#include <vector>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "support/executors.hpp"
#include "support/paged_source.hpp"
#include "support/problem.hpp"
#include "support/random.hpp"
#include "support/refusal.hpp"
#include "support/sizes.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

using windowed = hr::both_masks<hr::causal, hr::sliding_window>;

// Sequences of the given lengths, queries packed one after another, keys in caches.
template <class Stored = float, class Mask = hr::causal>
struct ragged {
  Index Q_heads, KV_groups, qk_dim, v_dim;
  std::vector<hr::kv_cache<Stored>> caches;
  std::vector<Index> offsets = {0};
  std::vector<hr::batch_sequence<hr::kv_cache<Stored>, Mask>> sequences;
  tensor<float> q;
  answer<float> got;

  // {q_len, kv_len} each.
  ragged(
      const std::vector<std::array<Index, 2>>& lengths, Index heads, Index groups, Index width,
      Index v_width, const std::function<Mask(Index)>& mask = [](Index) { return Mask(); })
      : Q_heads(heads), KV_groups(groups), qk_dim(width), v_dim(v_width) {
    caches.reserve(lengths.size());
    for (std::size_t i = 0; i < lengths.size(); ++i) {
      const auto [q_len, kv_len] = lengths[i];
      const problem<> p({0, kv_len, heads, groups, width, v_width}, i + 1);
      caches.emplace_back(kv_len + 1, groups, width, v_width);
      caches.back().append(p.keys(), p.values());
      offsets.push_back(offsets.back() + q_len);
      sequences.emplace_back(caches.back(), mask(static_cast<Index>(i)));
    }
    q = tensor<float>(offsets.back(), heads, width);
    random_source random(77);
    random.fill(q.view());
    got = nothing();
  }

  answer<float> nothing() const { return {{q.tokens(), Q_heads, v_dim}, {q.tokens(), Q_heads, 1}}; }
  any_attention heads() const { return any_attention(Q_heads, KV_groups, qk_dim, v_dim); }
  hr::view<const float> queries() const { return q.view(); }

  template <class Executor = hr::serial>
  answer<float> together(hr::attention_options<float> options = {},
                         const Executor& executor = {}) const {
    answer<float> result = nothing();
    options.lse = result.lse.per_head();
    hr::attend_batch(heads(), queries(), offsets, sequences, result.out.view(), options, executor);
    return result;
  }
  answer<float> one_by_one(hr::attention_options<float> options = {}) const {
    answer<float> result = nothing();
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      options.lse = result.lse.per_head().slice_tokens(offsets[i], offsets[i + 1]);
      options.first_position = sequences[i].first_position();
      heads()(queries().slice_tokens(offsets[i], offsets[i + 1]), caches[i],
              result.out.view().slice_tokens(offsets[i], offsets[i + 1]), sequences[i].mask(),
              options);
    }
    return result;
  }
};

// A prompt, chunks, decode over few and many keys, a sequence without queries and one without keys.
const std::vector<std::array<Index, 2>> mixed = {
    {1, 3000}, {260, 260}, {0, 5}, {16, 1100}, {1, 1}, {5, 0}, {1, 17}, {4, 900}, {200, 1000}};

}  // namespace

TEST_CASE("a batch has the bits of its sequences, one by one") {
  SECTION("grouped-query") {
    const ragged<> batch(mixed, 8, 2, 32, 24);
    CHECK(same_bits(batch.together(), batch.one_by_one()));
  }
  SECTION("multi-head, bfloat16") {
    const ragged<Eigen::bfloat16> batch(mixed, 4, 4, 32, 32);
    CHECK(same_bits(batch.together(), batch.one_by_one()));
  }
  SECTION("multi-query, with all options") {
    const ragged<> batch(mixed, 7, 1, 17, 9);
    const std::vector<float> sinks = {-3, -2, -1, 0, 1, 2, 3};
    const hr::attention_options<float> options{.scale = 0.3f, .softcap = 5.f, .sinks = sinks};
    CHECK(same_bits(batch.together(options), batch.one_by_one(options)));
  }
  SECTION("a window for each") {
    const ragged<float, windowed> batch(mixed, 4, 2, 16, 16, [](Index i) {
      return hr::causal() & hr::sliding_window(1 + 100 * i);
    });
    CHECK(same_bits(batch.together(), batch.one_by_one()));
  }
  SECTION("no sequences") {
    const ragged<> batch({}, 4, 2, 16, 16);
    CHECK(batch.together().out.tokens() == 0);
  }
}

TEST_CASE("random batches have the bits of their sequences, and these are right") {
  random_source random(11);
  for (int round = 0; round < 60; ++round) {
    std::vector<std::array<Index, 2>> lengths;
    for (Index i = random.integer(0, 6); i > 0; --i) {
      const Index kv_len =
          random.chance(0.3) ? random.pick(long_lengths) : random.pick(awkward_lengths);
      lengths.push_back({random.chance(0.5) ? 1 : random.integer(0, 70), kv_len});
    }
    const Index groups = random.integer(1, 3);
    const ragged<> batch(lengths, groups * random.integer(1, 5), groups, random.integer(1, 40),
                         random.integer(1, 40));
    const answer<float> got = batch.together();
    REQUIRE(same_bits(got, batch.one_by_one()));
    for (std::size_t i = 0; i < lengths.size(); ++i) {
      const Index begin = batch.offsets[i], end = batch.offsets[i + 1];
      const auto exact = exact_attention<float>(batch.queries().slice_tokens(begin, end),
                                                batch.caches[i].key_view(),
                                                batch.caches[i].value_view(), hr::causal());
      REQUIRE(error_ratio<float, double>(got.out.view().slice_tokens(begin, end), exact.out.view(),
                                         exact.bound.out.view()) <= 1);
    }
  }
}

TEST_CASE("a batch has the same bits on every executor, in one call of it") {
  const ragged<> batch(mixed, 8, 2, 32, 24);
  const answer<float> expected = batch.together();
  int calls = 0;
  CHECK(same_bits(batch.together({}, backwards(calls)), expected));
  CHECK(calls == 1);
  CHECK(same_bits(batch.together({}, team_of_three), expected));
#ifdef _OPENMP
  for (const int threads : {1, 2, 3, 8})
    CHECK(same_bits(batch.together({}, hr::openmp{threads}), expected));
#endif
}

TEST_CASE("offsets may be integers of any width in any array") {
  const ragged<> batch({{2, 9}, {1, 5}}, 4, 2, 8, 8);
  const answer<float> expected = batch.together();
  const auto with = [&](const auto& offsets) {
    answer<float> result = batch.nothing();
    hr::attend_batch(batch.heads(), batch.queries(), offsets, batch.sequences, result.out.view(),
                     {.lse = result.lse.per_head()});
    return result;
  };
  const int plain[] = {0, 2, 3};
  CHECK(same_bits(with(plain), expected));
  CHECK(same_bits(with(std::span<const int>(plain)), expected));
  CHECK(same_bits(with(std::array<std::int64_t, 3>{0, 2, 3}), expected));
  CHECK(same_bits(with(std::vector<unsigned short>{0, 2, 3}), expected));
}

TEST_CASE("any source and any scalars will do, and positions are each sequence's own") {
  const problem<double, Eigen::half, float> p({5, 900, 4, 2, 16, 8}),
      other({5, 40, 4, 2, 16, 8}, 2);
  using source = paged_source<Eigen::half, float>;
  const source pages(p.keys(), p.values(), 16), more(other.keys(), other.values(), 16);
  const std::vector<hr::batch_sequence<source, hr::causal>> sequences = {
      hr::batch_sequence<source, hr::causal>(pages, {}, 300),
      hr::batch_sequence<source, hr::causal>(more)};
  tensor<double> q(7, 4, 16);
  random_source random(4);
  random.fill(q.view());
  answer<double> got{{7, 4, 8}, {7, 4, 1}};
  const any_attention heads(4, 2, 16, 8);
  hr::attend_batch(heads, std::as_const(q).view(), std::array{0, 5, 7}, sequences, got.out.view(),
                   {.lse = got.lse.per_head()});
  const auto first = exact_attention<double>(std::as_const(q).view().slice_tokens(0, 5), p.keys(),
                                             p.values(), hr::causal(), {.first_position = 300});
  const auto second = exact_attention<double>(std::as_const(q).view().slice_tokens(5, 7),
                                              other.keys(), other.values(), hr::causal());
  const auto rows = std::as_const(got.out).view();
  CHECK(error_ratio<double, double>(rows.slice_tokens(0, 5), first.out.view(),
                                    first.bound.out.view()) <= 1);
  CHECK(error_ratio<double, double>(rows.slice_tokens(5, 7), second.out.view(),
                                    second.bound.out.view()) <= 1);
}

TEST_CASE("a batch of decode steps allocates nothing once one like it has run") {
  ragged<> batch({{1, 2100}, {1, 16}, {1, 900}, {1, 300}}, 8, 2, 32, 32);
  const problem<> token({0, 1, 8, 2, 32, 32}, 9);
  const auto step = [&] {
    for (auto& cache : batch.caches) {
      cache.truncate(cache.tokens() - 1);
      cache.append(token.keys(), token.values());
    }
    hr::attend_batch(batch.heads(), batch.queries(), batch.offsets, batch.sequences,
                     batch.got.out.view(), {.lse = batch.got.lse.per_head()});
  };
  step();
  const long count = allocations_of([&] {
    for (int i = 0; i < 5; ++i) step();
  });
  if (counts_allocations) CHECK(count == 0);
}

namespace {

// What the call says when it refuses; nothing may have been written.
template <class Options = hr::attention_options<float>>
std::string refusal(const ragged<>& batch, const std::vector<Index>& offsets, Options options = {},
                    hr::view<float> out = {}) {
  answer<float> result = batch.nothing();
  random_source random(5);
  random.fill(result.out.view());
  const answer<float> before = result;
  const std::string said = refusal_of([&] {
    hr::attend_batch(batch.heads(), batch.queries(), offsets, batch.sequences,
                     out.data() ? out : result.out.view(), options);
  });
  return same_bits(std::as_const(result.out).view(), before.out.view())
             ? said
             : "out was written: " + said;
}

}  // namespace

TEST_CASE("a batch refuses what does not fit, and writes nothing") {
  ragged<> batch({{2, 9}, {1, 5}, {3, 3}}, 4, 2, 8, 6);
  REQUIRE(refusal(batch, {0, 2, 3, 6}) == "out was written: nothing was thrown");
  SECTION("offsets") {
    CHECK(refusal(batch, {0, 3, 2, 6}) ==
          "attend_batch: offsets not monotone: offsets[2] = 2, expected at least offsets[1] = 3");
    CHECK(refusal(batch, {1, 2, 3, 6}) == "attend_batch: offsets[0] = 1, expected 0");
    CHECK(refusal(batch, {0, 2, 3, 5}) == "attend_batch: offsets[3] = 5, expected tokens of q = 6");
    CHECK(
        refusal(batch, {0, 2, 6}) ==
        "attend_batch: 3 offsets were given, expected 4, where each of 3 begins and the last ends");
    CHECK(
        refusal(batch, {}) ==
        "attend_batch: 0 offsets were given, expected 4, where each of 3 begins and the last ends");
  }
  SECTION("a position for all") {
    CHECK(refusal(batch, {0, 2, 3, 6}, hr::attention_options<float>{.first_position = 0}) ==
          "attend_batch: options has a first_position, expected none: each sequence has its own");
  }
  SECTION("the output and lse") {
    tensor<float> narrow(6, 4, 5);
    CHECK(refusal(batch, {0, 2, 3, 6}, {}, narrow.view()) ==
          "attend_batch: out has width 5, expected v_dim = 6");
    tensor<float> lse(5, 4, 1);
    CHECK(refusal(batch, {0, 2, 3, 6}, hr::attention_options<float>{.lse = lse.per_head()}) ==
          "attend_batch: lse is [5, 4], expected [q_len, Q_heads] = [6, 4]");
  }
  SECTION("the last sequence's source") {
    const hr::kv_cache<float> other(4, 1, 8, 6), wide(4, 2, 9, 6), shallow(4, 2, 8, 5);
    using sequence = hr::batch_sequence<hr::kv_cache<float>, hr::causal>;
    batch.sequences.back() = sequence(other);
    CHECK(refusal(batch, {0, 2, 3, 6}) ==
          "attend_batch: sequence 2: k has 1 heads, expected KV_groups = 2");
    batch.sequences.back() = sequence(wide);
    CHECK(refusal(batch, {0, 2, 3, 6}) ==
          "attend_batch: sequence 2: k has width 9, expected qk_dim = 8");
    batch.sequences.back() = sequence(shallow);
    CHECK(refusal(batch, {0, 2, 3, 6}) ==
          "attend_batch: sequence 2: v has width 5, expected v_dim = 6");
  }
}

TEST_CASE("a mask that does not fit is named by its sequence") {
  const ragged<float, hr::key_length> batch({{1, 5}, {1, 3}}, 2, 1, 4, 4,
                                            [](Index) { return hr::key_length(4); });
  CHECK_THROWS_WITH(batch.together(),
                    "attend_batch: sequence 1: key_length: length = 4, expected 0 to kv_len = 3");
}
