// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: sequences that attend to latents that they share together get what each gets over its own
// copy of all of them, at any number of levels and under windows too, whatever the latents are kept
// in; sinks join once; what does not fit is refused.
#include <headroom/mla_batch.hpp>
#include <headroom/mla_cascade.hpp>
#include <headroom/paged_latents.hpp>
#include <headroom/ring_cache.hpp>

#include <array>
#include <limits>
#include <vector>

#include "support/allocation_counter.hpp"
#include "support/cascades.hpp"
#include "support/catch.hpp"
#include "support/executors.hpp"
#include "support/latent_problem.hpp"
#include "support/poison.hpp"
#include "support/refusal.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

struct latent_widths {
  Index heads = 5, rank = 24, nope = 10, rope = 6, value = 7;
};

template <class Scalar>
struct latent_answer {
  matrix<Scalar> out, lse;

  bool operator==(const latent_answer& other) const { return out == other.out && lse == other.lse; }
};

/// Sequences {q_len, own tokens} over prefixes {tokens, begin, end}, shared or not.
template <class Scalar, class Stored = Scalar, class Weight = Scalar>
struct shared_latents {
  using Problem = latent_problem<Scalar>;
  using Cache = hr::latent_cache<Stored>;
  using Prefix = hr::shared_prefix<Cache>;
  using Sequence = hr::batch_sequence<Cache, hr::causal>;

  latent_widths widths;
  std::vector<Problem> shared, own;
  std::vector<Cache> prefix_caches, caches;
  std::vector<Prefix> prefixes;
  std::vector<Sequence> sequences;
  std::vector<Index> offsets = {0};
  matrix<Weight> up;
  matrix<Scalar> q;

  shared_latents(const own_lengths& lengths, const shared_lengths& of_some,
                 const latent_widths& of = {})
      : widths(of), up(problem(99, 0, 0).up.template cast<Weight>()) {
    prefix_caches.reserve(of_some.size());
    caches.reserve(lengths.size());
    for (const auto& [tokens, begin, end] : of_some) {
      shared.push_back(problem(100 + shared.size(), 0, tokens));
      prefixes.emplace_back(prefix_caches.emplace_back(shared.back().template cache<Stored>()),
                            begin, end);
    }
    for (const auto& [q_len, tokens] : lengths) {
      own.push_back(problem(1 + own.size(), q_len, tokens));
      sequences.emplace_back(caches.emplace_back(own.back().template cache<Stored>()));
      offsets.push_back(offsets.back() + q_len);
    }
    q.resize(offsets.back(), widths.heads * (widths.nope + widths.rope));
    for (std::size_t i = 0; i < own.size(); ++i) q.middleRows(offsets[i], own[i].q_len) = own[i].q;
  }

  Problem problem(std::uint64_t seed, Index q_len, Index tokens) const {
    Problem p(seed, widths.heads, widths.rank, widths.nope, widths.rope, widths.value, q_len,
              tokens);
    p.latents = p.latents.template cast<Stored>().template cast<Scalar>();
    p.rope_keys = p.rope_keys.template cast<Stored>().template cast<Scalar>();
    return p;
  }

  auto core() const { return problem(0, 0, 0).core(); }

  template <class Prefixes, class Sequences, class Executor = hr::serial>
  latent_answer<Scalar> attend(const Prefixes& of_some, const Sequences& each,
                               hr::attention_options<Scalar> options = {},
                               const Executor& executor = {}) const {
    latent_answer<Scalar> result{{q.rows(), widths.heads * widths.value}, {q.rows(), widths.heads}};
    options.lse = result.lse;
    hr::attend_cascade(core(), q, offsets, of_some, each, hr::linear(up), result.out, options,
                       executor);
    return result;
  }
  template <class Executor = hr::serial>
  latent_answer<Scalar> cascade(const hr::attention_options<Scalar>& options = {},
                                const Executor& executor = {}) const {
    return attend(prefixes, sequences, options, executor);
  }

  template <class MaskOf>
  auto masked(const MaskOf& mask_of) const {
    return masked_sequences(caches, mask_of);
  }
  Index shared_by(std::size_t i) const { return tokens_shared_by(i, prefixes); }

  // Everything that sequence i may see, in one piece.
  Problem whole(std::size_t i) const {
    Problem p = own[i];
    p.up = up.template cast<Scalar>();
    p.kv_len = shared_by(i) + own[i].kv_len;
    p.latents.resize(p.kv_len, widths.rank);
    p.rope_keys.resize(p.kv_len, widths.rope);
    Index at = 0;
    const auto add = [&](const Problem& part) {
      p.latents.middleRows(at, part.kv_len) = part.latents;
      p.rope_keys.middleRows(at, part.kv_len) = part.rope_keys;
      at += part.kv_len;
    };
    for (std::size_t j = 0; j < shared.size(); ++j)
      if (shares(i, prefixes[j])) add(shared[j]);
    add(own[i]);
    return p;
  }

  // The worst error of the cascade, in bounds, over all sequences; mask_of(i) is the mask of
  // sequence i over everything.
  template <class MaskOf>
  double worst(const latent_answer<Scalar>& got, const hr::attention_options<Scalar>& options,
               const MaskOf& mask_of) const {
    const std::vector<double> sinks(options.sinks.begin(), options.sinks.end());
    hr::attention_options<double> exact_options{.softcap = double(options.softcap), .sinks = sinks};
    if (options.scale) exact_options.scale = double(*options.scale);
    // A merge weighs a part by its lse: the lse's error is one more of every weight of the part.
    const double merges = 1 + static_cast<double>(prefixes.size());
    double result = 0;
    for (std::size_t i = 0; i < own.size(); ++i) {
      if (own[i].q_len == 0) continue;
      Problem p = whole(i);
      matrix<double> lse;
      const matrix<double> exact = p.exact(mask_of(i), &lse, exact_options);
      if (hr::detail::has_fast_bfloat16_dots && std::same_as<Stored, Eigen::bfloat16>) {
        p.bound += p.bound_of_rounded_operands();
        p.lse_bound += p.bound_of_rounded_operands();
      }
      const auto part = [&](const matrix<Scalar>& x) -> matrix<double> {
        return x.middleRows(offsets[i], own[i].q_len).template cast<double>();
      };
      result = std::max({result, difference(part(got.out), exact) / (merges * p.bound),
                         difference(part(got.lse), lse) / (merges * p.lse_bound)});
    }
    return result;
  }
  double worst(const latent_answer<Scalar>& got,
               const hr::attention_options<Scalar>& options = {}) const {
    return worst(got, options, [](std::size_t) { return hr::causal(); });
  }
};

template <class Scalar>
std::vector<Scalar> random_sinks(random_source& random, Index heads) {
  const std::vector<float> sinks = random.numbers(heads, 2);
  return {sinks.begin(), sinks.end()};
}

}  // namespace

TEMPLATE_TEST_CASE("latents that are shared count as if each sequence had a copy of them", "",
                   float, double) {
  using batch_of = shared_latents<TestType>;
  check_levels<batch_of>();
  SECTION("no sequences, no queries") {
    CHECK(batch_of({}, {}).cascade().out.rows() == 0);
    CHECK(batch_of({{0, 4}}, {{9, 0, 1}}).cascade().out.rows() == 0);
  }
  SECTION("one head, one channel, no rotary part") {
    const batch_of batch(mixed, {{300, 0, 6}, {7, 1, 3}},
                         {.heads = 1, .rank = 1, .nope = 1, .rope = 0, .value = 1});
    CHECK(batch.worst(batch.cascade()) <= 1);
  }
}

TEMPLATE_TEST_CASE("random cascades of latents are the unshared result", "", float, double) {
  random_source random(6);
  for (int round = 0; round < 40; ++round) {
    const cascade_shape shape = cascade_shape::any(random, 900);
    const shared_latents<TestType> batch(shape.own, shape.shared,
                                         {.heads = random.integer(1, 20),
                                          .rank = random.integer(1, 70),
                                          .nope = random.integer(1, 30),
                                          .rope = random.integer(0, 20),
                                          .value = random.integer(1, 30)});
    const std::vector<TestType> sinks = random_sinks<TestType>(random, batch.widths.heads);
    const hr::attention_options<TestType> options{
        .scale = TestType(0.2), .softcap = 20, .sinks = sinks};
    CAPTURE(round, batch.widths.heads, batch.widths.rank, shape.own.size(), shape.shared.size());
    REQUIRE(batch.worst(batch.cascade(options), options) <= 1);
    REQUIRE(batch.worst(batch.cascade()) <= 1);
  }
}

TEST_CASE("latents and weights in bfloat16 are shared as they are") {
  const shared_latents<float, Eigen::bfloat16, Eigen::bfloat16> batch(
      mixed, {{300, 0, 6}, {90, 0, 2}},
      {.heads = 16, .rank = 64, .nope = 16, .rope = 16, .value = 16});
  CHECK(batch.worst(batch.cascade()) <= 1);
}

TEST_CASE("sizes that the compiler knows give the same bits") {
  const shared_latents<float> batch(mixed, {{300, 0, 6}, {90, 0, 2}});
  const auto expected = batch.cascade();
  matrix<float> out(expected.out.rows(), expected.out.cols());
  hr::attend_cascade(hr::mla<5, 24, 10, 6, 7>(), batch.q, batch.offsets, batch.prefixes,
                     batch.sequences, hr::linear(batch.up), out);
  CHECK(out == expected.out);
}

TEST_CASE("without prefixes a cascade is a batch") {
  const shared_latents<float> batch({{1, 40}, {2, 300}, {1, 7}}, {});
  const auto got = batch.cascade();
  CHECK(batch.worst(got) <= 1);
  latent_answer<float> of_batch = got;
  of_batch.out.setZero();
  hr::attend_batch(batch.core(), batch.q, batch.offsets, batch.sequences, hr::linear(batch.up),
                   of_batch.out, {.lse = of_batch.lse});
  CHECK(batch.worst(of_batch) <= 1);
}

TEST_CASE("without prefixes a cascade of one sequence has the bits of a batch of it") {
  for (const Index q_len : {1, 2, 5}) {
    const shared_latents<float> batch({{q_len, 300}}, {});
    const auto got = batch.cascade();
    latent_answer<float> expected = got;
    expected.out.setZero();
    hr::attend_batch(batch.core(), batch.q, batch.offsets, batch.sequences, hr::linear(batch.up),
                     expected.out, {.lse = expected.lse});
    CHECK(got == expected);
  }
}

TEST_CASE("prefixes on pages and own latents in one piece, or the other way about") {
  const shared_latents<float> batch(mixed, {{300, 0, 6}, {93, 0, 2}, {1, 1, 6}});
  const auto expected = batch.cascade();
  hr::latent_page_pool<float> pool(1000, 5, batch.widths.rank, batch.widths.rope);
  using Pages = hr::paged_latents<float>;
  {
    // Pages that are handed out have held something else.
    Pages all(pool);
    const matrix<float> garbage = matrix<float>::Constant(5000, 24, quiet_nan<float>());
    all.append(garbage, garbage.leftCols(6));
  }
  std::vector<Pages> prefix_pages, pages;
  std::vector<hr::shared_prefix<Pages>> prefixes;
  std::vector<hr::batch_sequence<Pages, hr::causal>> sequences;
  prefix_pages.reserve(3);
  pages.reserve(mixed.size());
  const auto paged = [&](const auto& p) {
    Pages result(pool);
    result.append(p.latents, p.rope_keys);
    return result;
  };
  for (std::size_t i = 0; i < 3; ++i)
    prefixes.emplace_back(prefix_pages.emplace_back(paged(batch.shared[i])),
                          batch.prefixes[i].begin(), batch.prefixes[i].end());
  for (const auto& p : batch.own) sequences.emplace_back(pages.emplace_back(paged(p)));
  CHECK(batch.attend(prefixes, batch.sequences) == expected);
  CHECK(batch.attend(batch.prefixes, sequences) == expected);
  CHECK(batch.attend(prefixes, sequences) == expected);
}

TEST_CASE("what a cache keeps behind its last latent does not reach a result") {
  shared_latents<float> batch(mixed, {{300, 0, 6}, {93, 0, 2}});
  const auto expected = batch.cascade();
  const matrix<float> garbage = matrix<float>::Constant(3, 24, quiet_nan<float>());
  const auto dirty = [&](auto& caches) {
    for (auto& cache : caches) {
      const Index tokens = cache.tokens();
      cache.append(garbage, garbage.leftCols(6));
      cache.truncate(tokens);
    }
  };
  dirty(batch.prefix_caches);
  dirty(batch.caches);
  CHECK(batch.cascade() == expected);
}

TEST_CASE("a window reaches into shared latents as far as it is wide") {
  const shared_latents<double> batch(mixed, {{2000, 0, 6}, {90, 0, 2}, {33, 2, 4}, {1, 3, 4}});
  for (const std::vector<Index>& windows : {std::vector<Index>{1, 5, 1701, 71, 4, 2},
                                            {41, 6, 1734, 103, 9, 2000},
                                            {130, 96, 1735, 3000, 1, 1},
                                            {2130, 2095, 3733, 2104, 2003, 2001}}) {
    INFO("windows " << windows[0] << ", " << windows[1] << ", " << windows[2]);
    const auto mask = within(windows);
    REQUIRE(batch.worst(batch.attend(batch.prefixes, batch.masked(mask)), {}, mask) <= 1);
  }
  // As wide as everything it hides nothing.
  const std::vector<Index> all(6, 2000 + 90 + 1700);
  CHECK(batch.attend(batch.prefixes, batch.masked(within(all))) == batch.cascade());
}

TEST_CASE("random cascades of latents under windows are the unshared result") {
  random_source random(8);
  for (int round = 0; round < 40; ++round) {
    const cascade_shape shape = cascade_shape::any_windowed(random);
    const shared_latents<double> batch(shape.own, shape.shared);
    const std::vector<double> sinks = random_sinks<double>(random, batch.widths.heads);
    const hr::attention_options<double> options{.sinks = sinks};
    const auto mask = within(shape.windows);
    CAPTURE(round);
    REQUIRE(batch.worst(batch.attend(batch.prefixes, batch.masked(mask), options), options, mask) <=
            1);
  }
}

TEST_CASE("all shared latents stay visible beside a window, where the mask says so") {
  const shared_latents<double> batch(mixed, {{200, 0, 5}, {90, 0, 2}});
  const auto own = [](std::size_t) {
    return hr::causal() & (hr::sliding_window(3) | hr::prefix(0));
  };
  const auto whole = [&](std::size_t i) {
    return hr::causal() & (hr::sliding_window(3) | hr::prefix(batch.shared_by(i)));
  };
  CHECK(batch.worst(batch.attend(batch.prefixes, batch.masked(own)), {}, whole) <= 1);
}

TEST_CASE("shared latents that a window hides are not read") {
  shared_latents<double> batch({{1, 4}, {2, 3}}, {{300, 0, 2}});
  const std::vector<Index> windows = {9, 9};
  const auto expected = batch.attend(batch.prefixes, batch.masked(within(windows)));
  auto& p = batch.shared[0];
  // A query at position 1 sees 7 before its own.
  p.latents.topRows(300 - 7).setConstant(quiet_nan<double>());
  p.rope_keys.topRows(300 - 7).setConstant(quiet_nan<double>());
  batch.prefix_caches[0].clear();
  batch.prefix_caches[0].append(p.latents, p.rope_keys);
  CHECK(batch.attend(batch.prefixes, batch.masked(within(windows))) == expected);
}

TEST_CASE("a window over a ring of own latents counts in the whole of them") {
  // The ring's own window is no window of the sequence: what it dropped was not shared.
  const shared_latents<double> batch({{2, 60}}, {{50, 0, 1}});
  hr::ring_cache<hr::latent_cache<double>> ring({.window = 70, .chunk = 60}, batch.widths.rank,
                                                batch.widths.rope);
  ring.append(batch.own[0].latents, batch.own[0].rope_keys);
  const std::vector<Index> windows = {75};
  const auto kept = ring.kept(2);
  const auto own = kept.masked(within(windows)(0));
  using Kept = std::remove_const_t<decltype(kept)>;
  const std::vector<hr::batch_sequence<Kept, std::remove_const_t<decltype(own)>>> sequences = {
      hr::batch_sequence(kept, own, kept.first_position())};
  CHECK(batch.worst(batch.attend(batch.prefixes, sequences), {}, within(windows)) <= 1);
}

TEST_CASE("sinks join a cascade of latents once") {
  const shared_latents<double> batch(mixed, {{200, 0, 5}, {90, 0, 2}});
  const double infinity = std::numeric_limits<double>::infinity();
  const std::vector<double> finite = {-2, 0, 5, 20, -30};
  const hr::attention_options<double> with_finite{.sinks = finite};
  CHECK(batch.worst(batch.cascade(with_finite), with_finite) <= 1);
  // One of minus infinity is none, one of infinity takes all the weight.
  const std::vector<double> sinks = {-2, 0, 5, -infinity, infinity};
  const auto got = batch.cascade({.sinks = sinks});
  const auto plain = batch.cascade();
  CHECK(got.lse == plain.lse);
  CHECK(got.out.middleCols(3 * 7, 7) == plain.out.middleCols(3 * 7, 7));
  CHECK((got.out.rightCols(7).array() == 0).all());
}

TEST_CASE("a query that sees no latent at all gets zeros, with sinks too") {
  const shared_latents<double> batch({{2, 2}, {1, 1}}, {{0, 0, 2}});
  const double infinity = std::numeric_limits<double>::infinity();
  const std::vector<double> sinks(5, -infinity);
  const auto got =
      batch.attend(batch.prefixes, batch.masked([](std::size_t) { return hr::key_length(0); }),
                   {.sinks = sinks});
  CHECK((got.out.array() == 0).all());
  CHECK((got.lse.array() == -infinity).all());
}

TEST_CASE("a NaN among the own latents of a sequence does not reach the others") {
  shared_latents<float> batch({{1, 9}, {2, 30}, {1, 5}}, {{40, 0, 3}});
  const auto clean = batch.cascade();
  batch.own[1].latents.row(3).setConstant(quiet_nan<float>());
  batch.caches[1].clear();
  batch.caches[1].append(batch.own[1].latents, batch.own[1].rope_keys);
  const auto got = batch.cascade();
  CHECK(got.out.row(0) == clean.out.row(0));
  CHECK(got.out.row(3) == clean.out.row(3));
  CHECK(got.out.middleRows(1, 2).array().isNaN().all());
}

TEST_CASE("a cascade of latents has the same bits on every executor, in a call a phase") {
  const shared_latents<float> batch(mixed, {{2000, 0, 6}, {90, 0, 2}});
  const auto expected = batch.cascade();
  int calls = 0;
  CHECK(batch.cascade({}, backwards(calls)) == expected);
  CHECK(calls == 4);
  CHECK(batch.cascade({}, team_of_three) == expected);
#ifdef _OPENMP
  for (const int threads : {1, 2, 5}) CHECK(batch.cascade({}, hr::openmp{threads}) == expected);
#endif
}

TEST_CASE("a cascade of latent decode steps allocates nothing once one like it has run") {
  const auto check = [](const auto& batch, const auto& sequences, auto out) {
    out.resize(batch.q.rows(), batch.widths.heads * batch.widths.value);
    const auto step = [&, core = batch.core()] {
      hr::attend_cascade(core, batch.q, batch.offsets, batch.prefixes, sequences,
                         hr::linear(batch.up), out);
    };
    step();
    const long count = allocations_of([&] {
      for (int i = 0; i < 5; ++i) step();
    });
    if (counts_allocations) CHECK(count == 0);
  };
  const own_lengths own = {{1, 40}, {1, 1700}, {1, 7}};
  const shared_lengths of_some = {{3000, 0, 3}, {90, 0, 2}};
  const shared_latents<float, Eigen::bfloat16, Eigen::bfloat16> batch(own, of_some);
  check(batch, batch.sequences, matrix<float>());
  const shared_latents<double> wide(own, of_some);
  const std::vector<Index> windows = {2000, 2000, 2000};
  check(wide, wide.masked(within(windows)), matrix<double>());
}

TEST_CASE("a cascade of latents refuses what does not fit, and writes nothing") {
  shared_latents<float> batch({{2, 9}, {1, 5}}, {{20, 0, 2}});
  const auto refusal = [&] {
    matrix<float> out = matrix<float>::Constant(batch.q.rows(), 5 * 7, 3);
    const std::string said = refusal_of([&] {
      hr::attend_cascade(batch.core(), batch.q, batch.offsets, batch.prefixes, batch.sequences,
                         hr::linear(batch.up), out);
    });
    return (out.array() == 3).all() ? said : "out was written: " + said;
  };
  using Batch = shared_latents<float>;
  REQUIRE(refusal() == "out was written: nothing was thrown");
  SECTION("sequences that are not there") {
    batch.prefixes.emplace_back(batch.caches[0], 1, 3);
    CHECK(refusal() ==
          "attend_cascade: prefix 1 is of sequences [1, 3), expected a range within the 2 of the "
          "batch");
    batch.prefixes.back() = Batch::Prefix(batch.caches[0], 2, 1);
    CHECK(refusal() ==
          "attend_cascade: prefix 1 is of sequences [2, 1), expected a range within the 2 of the "
          "batch");
  }
  SECTION("a prefix of other sizes") {
    const Batch::Cache wide(4, 25, 6), rotary(4, 24, 5);
    batch.prefixes.emplace_back(wide, 0, 1);
    CHECK(refusal() ==
          "attend_cascade: prefix 1: latents have width 25, expected latent_rank = 24");
    batch.prefixes.back() = Batch::Prefix(rotary, 0, 1);
    CHECK(refusal() ==
          "attend_cascade: prefix 1: latents with rotary keys have width 29, expected latent_rank "
          "+ rope = 30");
  }
  SECTION("a sequence of other sizes") {
    const Batch::Cache wide(4, 25, 6);
    batch.sequences[1] = Batch::Sequence(wide);
    CHECK(refusal() ==
          "attend_cascade: sequence 1: latents have width 25, expected latent_rank = 24");
  }
  SECTION("a query within what is shared") {
    batch.sequences[1] = Batch::Sequence(batch.caches[1], {}, -3);
    CHECK(refusal() ==
          "attend_cascade: sequence 1: its first query stands 3 tokens before its own keys, "
          "expected at least position 0: queries come after what is shared");
  }
  SECTION("the up-projection") {
    batch.up.conservativeResize(84, 24);
    CHECK(refusal() ==
          "attend_cascade: up is [84, 24], expected [Q_heads * (nope + value), latent_rank] = [85, "
          "24]");
  }
  SECTION("what a batch refuses") {
    batch.offsets[1] = 4;
    CHECK(refusal() ==
          "attend_cascade: offsets not monotone: offsets[2] = 3, expected at least offsets[1] = 4");
  }
  SECTION("queries of another width") {
    batch.q.conservativeResize(3, 5 * 15);
    CHECK(refusal() == "attend_cascade: q has width 15, expected nope + rope = 16");
  }
}
