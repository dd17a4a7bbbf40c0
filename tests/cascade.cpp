// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: sequences that attend to what they share together get what each gets over its own copy of
// all of it, at any number of levels and under windows too; sinks join once; what does not fit is
// refused.
#include <headroom/cascade.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/ring_cache.hpp>
#include <headroom/score_mod.hpp>

#include <array>
#include <limits>
#include <vector>

#include "support/allocation_counter.hpp"
#include "support/cascades.hpp"
#include "support/catch.hpp"
#include "support/problem.hpp"
#include "support/random.hpp"
#include "support/refusal.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

using Cache = hr::kv_cache<float>;
using Sequence = hr::batch_sequence<Cache, hr::causal>;
using Prefix = hr::shared_prefix<Cache>;

constexpr Index Q_heads = 6, KV_groups = 2, qk_dim = 16, v_dim = 12;

Cache cache_of(Index tokens, std::uint64_t seed) {
  const problem<> p({0, tokens, Q_heads, KV_groups, qk_dim, v_dim}, seed);
  Cache cache(tokens, KV_groups, qk_dim, v_dim);
  cache.append(p.keys(), p.values());
  return cache;
}

// Sequences {q_len, own tokens} over prefixes {tokens, begin, end}, shared or not.
struct shared_batch {
  std::vector<Cache> prefix_caches, caches;
  std::vector<Prefix> prefixes;
  std::vector<Sequence> sequences;
  std::vector<Index> offsets = {0};
  tensor<float> q;

  shared_batch(const own_lengths& lengths, const shared_lengths& shared) {
    prefix_caches.reserve(shared.size());
    caches.reserve(lengths.size());
    for (const auto& [tokens, begin, end] : shared)
      prefixes.emplace_back(prefix_caches.emplace_back(cache_of(tokens, 100 + prefixes.size())),
                            begin, end);
    for (const auto& [q_len, tokens] : lengths) {
      sequences.emplace_back(caches.emplace_back(cache_of(tokens, 1 + sequences.size())));
      offsets.push_back(offsets.back() + q_len);
    }
    q = tensor<float>(offsets.back(), Q_heads, qk_dim);
    random_source random(3);
    random.fill(q.view());
  }

  answer<float> nothing() const { return {{q.tokens(), Q_heads, v_dim}, {q.tokens(), Q_heads, 1}}; }

  template <class Executor = hr::serial>
  answer<float> cascade(const hr::attention_options<float>& options = {},
                        const Executor& executor = {}) const {
    return cascade_of(sequences, options, executor);
  }

  // Of other sequences over the same caches.
  template <class Sequences, class Executor = hr::serial>
  answer<float> cascade_of(const Sequences& others, hr::attention_options<float> options = {},
                           const Executor& executor = {}) const {
    answer<float> result = nothing();
    options.lse = result.lse.per_head();
    const any_attention heads(Q_heads, KV_groups, qk_dim, v_dim);
    hr::attend_cascade(heads, q.view(), offsets, prefixes, others, result.out.view(), options,
                       executor);
    return result;
  }

  template <class MaskOf>
  auto masked(const MaskOf& mask_of) const {
    return masked_sequences(caches, mask_of);
  }
  Index shared_by(std::size_t i) const { return tokens_shared_by(i, prefixes); }

  // Everything that sequence i may see, in one piece.
  problem<> whole(std::size_t i) const {
    std::vector<const Cache*> parts;
    for (const Prefix& prefix : prefixes)
      if (shares(i, prefix)) parts.push_back(&prefix.source());
    parts.push_back(&caches[i]);
    problem<> p({offsets[i + 1] - offsets[i], shared_by(i) + caches[i].tokens(), Q_heads, KV_groups,
                 qk_dim, v_dim});
    Index at = 0;
    for (const Cache* part : parts)
      for (Index j = 0; j < part->tokens(); ++j, ++at)
        for (Index g = 0; g < KV_groups; ++g) {
          std::copy_n(part->key_view().row(j, g), qk_dim, p.k.view().row(at, g));
          std::copy_n(part->value_view().row(j, g), v_dim, p.v.view().row(at, g));
        }
    for (Index t = 0; t < p.q.tokens(); ++t)
      for (Index h = 0; h < Q_heads; ++h)
        std::copy_n(q.view().row(offsets[i] + t, h), qk_dim, p.q.view().row(t, h));
    return p;
  }

  // The worst error of the cascade, in bounds, over all sequences; mask_of(i) is the mask of
  // sequence i over everything.
  template <class MaskOf>
  double worst(const answer<float>& got, const hr::attention_options<float>& options,
               const MaskOf& mask_of) const {
    double result = 0;
    for (std::size_t i = 0; i < caches.size(); ++i) {
      const problem<> p = whole(i);
      // A merge weighs a part by its lse: the lse's error is one more of every weight of the part.
      double weight_error = 0;
      const auto alone = p.exact(mask_of(i));
      for (Index t = 0; t < p.q.tokens(); ++t)
        for (Index h = 0; h < Q_heads; ++h)
          weight_error = std::max(weight_error, alone.bound.lse(t, h, 0));
      weight_error += 2 * elementary_error<float>;
      const auto exact =
          exact_attention<float>(p.queries(), p.keys(), p.values(), mask_of(i), options,
                                 weight_error * static_cast<double>(prefixes.size()));
      const auto part = [&](const auto& x) {
        return x.view().slice_tokens(offsets[i], offsets[i + 1]);
      };
      result = std::max(
          {result,
           error_ratio<float, double>(part(got.out), exact.out.view(), exact.bound.out.view()),
           error_ratio<float, double>(part(got.lse), exact.lse.view(), exact.bound.lse.view())});
    }
    return result;
  }
  double worst(const answer<float>& got, const hr::attention_options<float>& options = {}) const {
    return worst(got, options, [](std::size_t) { return hr::causal(); });
  }
};

}  // namespace

TEST_CASE("what is shared counts as if each sequence had a copy of it") {
  check_levels<shared_batch>();
  SECTION("no sequences") {
    CHECK(shared_batch({}, {}).cascade().out.tokens() == 0);
  }
}

TEST_CASE("random cascades are the unshared result") {
  random_source random(6);
  for (int round = 0; round < 40; ++round) {
    const cascade_shape shape = cascade_shape::any(random, 1800);
    const shared_batch batch(shape.own, shape.shared);
    const std::vector<float> sinks = random.numbers(Q_heads, 2);
    const hr::attention_options<float> options{.softcap = 20.f, .sinks = sinks};
    REQUIRE(batch.worst(batch.cascade(options), options) <= 1);
  }
}

TEST_CASE("a window reaches into what is shared as far as it is wide") {
  const shared_batch batch(mixed, {{2000, 0, 6}, {90, 0, 2}, {33, 2, 4}, {1, 3, 4}});
  for (const std::vector<Index>& windows : {std::vector<Index>{1, 5, 1701, 71, 4, 2},
                                            {41, 6, 1734, 103, 9, 2000},
                                            {130, 96, 1735, 3000, 1, 1},
                                            {2130, 2095, 3733, 2104, 2003, 2001}}) {
    INFO("windows " << windows[0] << ", " << windows[1] << ", " << windows[2]);
    const auto mask = within(windows);
    REQUIRE(batch.worst(batch.cascade_of(batch.masked(mask)), {}, mask) <= 1);
  }
  // As wide as everything it hides nothing.
  const std::vector<Index> all(6, 2000 + 90 + 1700);
  CHECK(same_bits(batch.cascade_of(batch.masked(within(all))), batch.cascade()));
}

TEST_CASE("random cascades under windows are the unshared result") {
  random_source random(8);
  for (int round = 0; round < 40; ++round) {
    const cascade_shape shape = cascade_shape::any_windowed(random);
    const shared_batch batch(shape.own, shape.shared);
    const std::vector<float> sinks = random.numbers(Q_heads, 2);
    const hr::attention_options<float> options{.sinks = sinks};
    const auto mask = within(shape.windows);
    REQUIRE(batch.worst(batch.cascade_of(batch.masked(mask), options), options, mask) <= 1);
  }
}

TEST_CASE("all that is shared stays visible beside a window, where the mask says so") {
  const shared_batch batch(mixed, {{200, 0, 5}, {90, 0, 2}});
  const auto own = [](std::size_t) {
    return hr::causal() & (hr::sliding_window(3) | hr::prefix(0));
  };
  const auto whole = [&](std::size_t i) {
    return hr::causal() & (hr::sliding_window(3) | hr::prefix(batch.shared_by(i)));
  };
  CHECK(batch.worst(batch.cascade_of(batch.masked(own)), {}, whole) <= 1);
}

TEST_CASE("a chunk reaches into what is shared as far as it begins there") {
  const shared_batch batch(mixed, {{2000, 0, 6}, {90, 0, 2}, {33, 2, 4}, {1, 3, 4}});
  for (const Index chunk : {1, 7, 40, 1000, 2034, 9000}) {
    INFO("chunk " << chunk);
    const auto own = [&](std::size_t i) {
      return hr::causal() & hr::local_chunk(chunk, batch.shared_by(i));
    };
    const auto whole = [&](std::size_t) { return hr::causal() & hr::local_chunk(chunk); };
    REQUIRE(batch.worst(batch.cascade_of(batch.masked(own)), {}, whole) <= 1);
  }
}

TEST_CASE("what a window hides of a prefix is not read") {
  shared_batch batch({{1, 4}, {2, 3}}, {{300, 0, 2}});
  const auto mask = [](std::size_t) { return hr::causal() & hr::sliding_window(9); };
  const auto expected = batch.cascade_of(batch.masked(mask));
  problem<> p({0, 300, Q_heads, KV_groups, qk_dim, v_dim}, 100);  // the prefix's
  for (Index t = 0; t < 300 - 7; ++t)  // a query at position 1 sees 7 before its own
    for (Index g = 0; g < KV_groups; ++g) {
      std::fill_n(p.k.view().row(t, g), qk_dim, quiet_nan<float>());
      std::fill_n(p.v.view().row(t, g), v_dim, quiet_nan<float>());
    }
  batch.prefix_caches[0].clear();
  batch.prefix_caches[0].append(p.keys(), p.values());
  CHECK(same_bits(batch.cascade_of(batch.masked(mask)), expected));
}

TEST_CASE("a window over a ring of own keys counts in the whole of them") {
  // The ring's own window is no window of the sequence: what it dropped was not shared.
  const shared_batch batch({{2, 60}}, {{50, 0, 1}});
  hr::ring_cache<Cache> ring({.window = 70, .chunk = 60}, KV_groups, qk_dim, v_dim);
  ring.append(batch.caches[0].key_view(), batch.caches[0].value_view());
  const auto mask = [](std::size_t) { return hr::causal() & hr::sliding_window(75); };
  const auto kept = ring.kept(2);
  const auto own = kept.masked(mask(0));
  using Kept = std::remove_const_t<decltype(kept)>;
  const std::vector<hr::batch_sequence<Kept, std::remove_const_t<decltype(own)>>> sequences = {
      hr::batch_sequence(kept, own, kept.first_position())};
  CHECK(batch.worst(batch.cascade_of(sequences), {}, mask) <= 1);
}

TEST_CASE("sinks join once") {
  const shared_batch batch(mixed, {{200, 0, 5}, {90, 0, 2}});
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> finite = {-2, 0, 5, 20, -30, 3};
  const hr::attention_options<float> with_finite{.sinks = finite};
  CHECK(batch.worst(batch.cascade(with_finite), with_finite) <= 1);
  // One of minus infinity is none, one of infinity takes all the weight.
  const std::vector<float> sinks = {-2, 0, 5, 20, -infinity, infinity};
  const auto got = batch.cascade({.sinks = sinks});
  const auto plain = batch.cascade();
  CHECK(same_bits(std::as_const(got.lse).view(), plain.lse.view()));
  CHECK(same_bits(std::as_const(got.out).view().slice_heads(4, 5),
                  plain.out.view().slice_heads(4, 5)));
  for (Index t = 0; t < got.out.tokens(); ++t) CHECK(got.out(t, 5, 0) == 0);
}

TEST_CASE("sequences that share nothing are a batch, with queries before their keys, too") {
  shared_batch batch({{3, 2}, {1, 5}}, {});
  const any_attention heads(Q_heads, KV_groups, qk_dim, v_dim);
  answer<float> cascade = batch.nothing(), plain = batch.nothing();
  hr::attend_cascade(heads, batch.q.view(), batch.offsets, batch.prefixes, batch.sequences,
                     cascade.out.view());
  hr::attend_batch(heads, batch.q.view(), batch.offsets, batch.sequences, plain.out.view());
  CHECK(same_bits(std::as_const(cascade.out).view(), std::as_const(plain.out).view()));
}

TEST_CASE("a query that sees nothing at all gets zeros, with sinks too") {
  const shared_batch batch({{2, 2}, {1, 1}}, {{0, 0, 2}});
  const std::vector<float> sinks(Q_heads, -std::numeric_limits<float>::infinity());
  std::vector<hr::batch_sequence<Cache, hr::key_length>> hidden;
  for (const Cache& cache : batch.caches) hidden.emplace_back(cache, hr::key_length(0));
  answer<float> got = batch.nothing();
  hr::attend_cascade(any_attention(Q_heads, KV_groups, qk_dim, v_dim), batch.q.view(),
                     batch.offsets, batch.prefixes, hidden, got.out.view(),
                     {.sinks = sinks, .lse = got.lse.per_head()});
  CHECK(got.out(1, 3, 2) == 0);
  CHECK(got.lse(2, 5, 0) == -std::numeric_limits<float>::infinity());
}

TEST_CASE("a cascade has the same bits on every executor") {
  const shared_batch batch(mixed, {{2000, 0, 6}, {90, 0, 2}});
  const answer<float> expected = batch.cascade();
  const auto backwards = [](Index count, const auto& work) {
    for (Index i = count; i-- > 0;) work(i);
  };
  CHECK(same_bits(batch.cascade({}, backwards), expected));
#ifdef _OPENMP
  for (const int threads : {1, 2, 5})
    CHECK(same_bits(batch.cascade({}, hr::openmp{threads}), expected));
#endif
}

TEST_CASE("a cascade of decode steps allocates nothing once one like it has run") {
  const shared_batch batch({{1, 40}, {1, 1700}, {1, 7}}, {{3000, 0, 3}, {90, 0, 2}});
  answer<float> got = batch.nothing();
  const any_attention heads(Q_heads, KV_groups, qk_dim, v_dim);
  const auto windowed =
      batch.masked([](std::size_t) { return hr::causal() & hr::sliding_window(2000); });
  const auto step = [&] {
    hr::attend_cascade(heads, batch.q.view(), batch.offsets, batch.prefixes, batch.sequences,
                       got.out.view());
    hr::attend_cascade(heads, batch.q.view(), batch.offsets, batch.prefixes, windowed,
                       got.out.view());
  };
  step();
  const long count = allocations_of([&] {
    for (int i = 0; i < 5; ++i) step();
  });
  if (counts_allocations) CHECK(count == 0);
}

TEST_CASE("a cascade refuses what does not fit, and writes nothing") {
  shared_batch batch({{2, 9}, {1, 5}}, {{20, 0, 2}});
  const auto refusal = [&] {
    answer<float> got = batch.nothing();
    random_source random(5);
    random.fill(got.out.view());
    const answer<float> before = got;
    const std::string said = refusal_of([&] {
      hr::attend_cascade(any_attention(Q_heads, KV_groups, qk_dim, v_dim), batch.q.view(),
                         batch.offsets, batch.prefixes, batch.sequences, got.out.view());
    });
    return same_bits(std::as_const(got.out).view(), before.out.view()) ? said
                                                                       : "out was written: " + said;
  };
  REQUIRE(refusal() == "out was written: nothing was thrown");
  SECTION("sequences that are not there") {
    batch.prefixes.emplace_back(batch.caches[0], 1, 3);
    CHECK(refusal() ==
          "attend_cascade: prefix 1 is of sequences [1, 3), expected a range within the 2 of the "
          "batch");
    batch.prefixes.back() = Prefix(batch.caches[0], 2, 1);
    CHECK(refusal() ==
          "attend_cascade: prefix 1 is of sequences [2, 1), expected a range within the 2 of the "
          "batch");
  }
  SECTION("a prefix of other sizes") {
    const Cache other(4, KV_groups, qk_dim + 1, v_dim);
    batch.prefixes.emplace_back(other, 0, 1);
    CHECK(refusal() == "attend_cascade: prefix 1: k has width 17, expected qk_dim = 16");
  }
  SECTION("what holds itself what it shares") {
    batch.prefixes.emplace_back(batch.caches[0], 1, 2);
    CHECK(refusal() == "out was written: nothing was thrown");  // not of that sequence
    batch.prefixes.back() = Prefix(batch.caches[0], 0, 1);
    CHECK(refusal() ==
          "attend_cascade: sequence 0: its keys begin with those of prefix 1, expected what comes "
          "behind these alone: of a fork a token_slice");
    batch.prefixes.back() = Prefix(batch.prefixes.front().source(), 1, 2);
    CHECK(refusal() ==
          "attend_cascade: prefix 1: its keys begin with those of prefix 0, expected what comes "
          "behind these alone: of a fork a token_slice");
  }
  SECTION("a query within what is shared") {
    batch.sequences[1] = Sequence(batch.caches[1], {}, -3);
    CHECK(refusal() ==
          "attend_cascade: sequence 1: its first query stands 3 tokens before its own keys, "
          "expected at least position 0: queries come after what is shared");
  }
  SECTION("a chunk that counts from somewhere else") {
    const auto chunks = batch.masked([](std::size_t i) {
      return hr::causal() & (hr::local_chunk(8, i == 0 ? 20 : 19) | hr::sliding_window(3));
    });
    CHECK(refusal_of([&] { batch.cascade_of(chunks); }) ==
          "attend_cascade: sequence 1: local_chunk counts 19 tokens before key 0, expected the 20 "
          "that are shared");
  }
  SECTION("what a batch refuses") {
    batch.offsets[1] = 4;
    CHECK(refusal() ==
          "attend_cascade: offsets not monotone: offsets[2] = 3, expected at least offsets[1] = 4");
  }
}
