// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
//
// A decode step of many sequences in one call, 32 heads, 8 groups, width 128, in bfloat16, on one
// thread.
//
//   batch/SEQUENCESxTOKENS     attend_batch against a call for each sequence
//   latents/SEQUENCESxTOKENS   the same for mla at the shape of DeepSeek-V2-Lite, 16 heads over
//                              latents of 512 + 64: the up-projection is read once, not once each
//   cascade/GROUPS/SEQUENCESxPREFIX  attend_cascade over a shared prefix and 128 tokens of each
//                              sequence against attend_batch over copies of it, 32 query heads
//   latent_cascade/SEQUENCESxPREFIX  the same over latents
//
// `ratio` is the other's time over ours, the median of neighbours; `bytes` what it would be if only
// bytes of keys and values counted (latents and up-projection): theirs over ours. Queries over a
// shared prefix are many rows, which are bound by arithmetic before they are bound by bytes. The
// four rows of a group that one query has with 8 groups nearly are, and its heads of latent
// attention are: there a shared prefix saves memory, and of time only what more rows still gain.

#include "support/counters.hpp"
#include "support/in_turn.hpp"
#include "support/inputs.hpp"
#include "support/latent_inputs.hpp"

#include <cmath>
#include <headroom/batch.hpp>
#include <headroom/cascade.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/latent_cache.hpp>
#include <headroom/mla_batch.hpp>
#include <headroom/mla_cascade.hpp>
#include <string>
#include <vector>

namespace headroom_bench {
namespace {

constexpr int Q_heads = 32, dim = 128;

// Sequences of one query each.
template <int KV_groups>
struct step {
  using Cache = headroom::kv_cache<Eigen::bfloat16, KV_groups, dim>;

  step(numbers& random, Index sequences, Index tokens)
      : q(random(sequences, Q_heads * dim)), out(sequences, Q_heads * dim) {
    caches.reserve(static_cast<std::size_t>(sequences));
    for (Index i = 0; i < sequences; ++i) {
      fill_up(caches.emplace_back(tokens), random);
      batch.emplace_back(caches.back());
      offsets.push_back(i + 1);
    }
  }
  static void fill_up(Cache& cache, numbers& random) {
    fill(cache, random, KV_groups * dim, KV_groups * dim);
  }
  static void append(Cache& cache, const Cache& other) {
    cache.append(other.key_view(), other.value_view());
  }
  void together() { headroom::attend_batch(heads, q, offsets, batch, out); }
  template <class Prefixes>
  void cascade(const Prefixes& prefixes) {
    headroom::attend_cascade(heads, q, offsets, prefixes, batch, out);
  }
  void one_by_one() {
    for (Index i = 0; i < q.rows(); ++i)
      heads(q.middleRows(i, 1), caches[static_cast<std::size_t>(i)], out.middleRows(i, 1),
            headroom::causal{});
  }
  /// Bytes read over so many tokens.
  double bytes_over(Index tokens) const {
    return static_cast<double>(tokens * caches.front().bytes_per_token());
  }

  headroom::gqa<Q_heads, KV_groups, dim> heads;
  matrix q, out;
  std::vector<Cache> caches;
  std::vector<headroom::batch_sequence<Cache, headroom::causal>> batch;
  std::vector<Index> offsets = {0};
};

// Sequences of one query each, of latent attention.
struct latent_step {
  static constexpr int heads = 16;
  using Cache = headroom::latent_cache<Eigen::bfloat16, latent_rank, rope_dim>;

  latent_step(numbers& random, Index sequences, Index tokens)
      : q(random(sequences, heads * latent_qk_dim)),
        out(sequences, heads * v_dim),
        // Variance 1 / rank leaves keys and values as large as latents are.
        weights((random(heads * (nope_dim + v_dim), latent_rank) * std::sqrt(3.0f / latent_rank))
                    .cast<Eigen::bfloat16>()) {
    caches.reserve(static_cast<std::size_t>(sequences));
    for (Index i = 0; i < sequences; ++i) {
      fill_up(caches.emplace_back(tokens), random);
      batch.emplace_back(caches.back());
      offsets.push_back(i + 1);
    }
  }
  static void fill_up(Cache& cache, numbers& random) { fill(cache, random, latent_rank, rope_dim); }
  static void append(Cache& cache, const Cache& other) {
    cache.append(other.latent_view(), other.rope_key_view());
  }
  void together() {
    headroom::attend_batch(core, q, offsets, batch, headroom::linear(weights), out);
  }
  void one_by_one() {
    for (Index i = 0; i < q.rows(); ++i)
      core(q.middleRows(i, 1), caches[static_cast<std::size_t>(i)], headroom::linear(weights),
           out.middleRows(i, 1), headroom::causal{});
  }
  template <class Prefixes>
  void cascade(const Prefixes& prefixes) {
    headroom::attend_cascade(core, q, offsets, prefixes, batch, headroom::linear(weights), out);
  }
  /// Bytes read over so many tokens, where the weights are read so many times.
  double bytes_over(Index tokens, double times = 1) const {
    return static_cast<double>(tokens * caches.front().bytes_per_token()) +
           times * static_cast<double>(weights.size()) * sizeof(Eigen::bfloat16);
  }

  headroom::mla<heads, latent_rank, nope_dim, rope_dim, v_dim> core;
  matrix q, out;
  row_major<Eigen::bfloat16> weights;
  std::vector<Cache> caches;
  std::vector<headroom::batch_sequence<Cache, headroom::causal>> batch;
  std::vector<Index> offsets = {0};
};

// Times `ours` between two runs of `other`.
template <class Ours, class Other>
void compare(benchmark::State& state, double bytes, const Ours& ours, const Other& other) {
  const times_in_turn times = time_in_turn(
      state, [&] { return seconds_of(other); }, [&] { return seconds_of(ours); });
  state.counters["ms"] = 1e3 * times.other;
  state.counters["ratio"] = times.one_over_other;
  state.counters["bytes"] = bytes;
}

void require_close(const matrix& a, const matrix& b, float room) {
  if (!((a - b).norm() <= room * b.norm())) throw std::runtime_error("a wrong answer");
}

template <class Step, class Bytes>
void add_batch(const std::string& name, Index sequences, Index tokens, const Bytes& bytes) {
  add_case(name + '/' + std::to_string(sequences) + 'x' + std::to_string(tokens),
           [=](benchmark::State& state) {
             numbers random;
             Step s(random, sequences, tokens);
             s.one_by_one();
             const matrix alone = s.out;
             s.together();
             require_close(s.out, alone, 0);
             compare(
                 state, bytes(s), [&] { s.together(); }, [&] { s.one_by_one(); });
           });
}

void add_batch(const std::string& prefix, Index sequences, Index tokens) {
  add_batch<step<8>>(prefix + "batch", sequences, tokens, [](const auto&) { return 1.0; });
}

void add_latents(const std::string& prefix, Index sequences, Index tokens) {
  add_batch<latent_step>(prefix + "latents", sequences, tokens, [](const latent_step& s) {
    const Index all = s.q.rows() * s.caches.front().tokens();
    return s.bytes_over(all, static_cast<double>(s.q.rows())) / s.bytes_over(all);
  });
}

// The first step that was drawn, over a copy of the prefix for each sequence.
template <class Step>
Step over_copies(const Step& shared, const typename Step::Cache& prefix) {
  numbers again;
  Step whole(again, shared.q.rows(), 0);
  whole.caches.clear();
  whole.batch.clear();
  for (const auto& cache : shared.caches) {
    auto& both = whole.caches.emplace_back(prefix.tokens() + cache.tokens());
    Step::append(both, prefix);
    Step::append(both, cache);
    whole.batch.emplace_back(both);
  }
  return whole;
}

template <class Step>
void add_cascade(const std::string& name, Index sequences, Index shared) {
  constexpr Index own = 128;
  add_case(name + '/' + std::to_string(sequences) + 'x' + std::to_string(shared),
           [=](benchmark::State& state) {
             numbers random;
             Step s(random, sequences, own);
             typename Step::Cache prefix(shared);
             Step::fill_up(prefix, random);
             Step whole = over_copies(s, prefix);
             const std::vector<headroom::shared_prefix<typename Step::Cache>> prefixes = {
                 {prefix, 0, sequences}};
             const auto cascade = [&] { s.cascade(prefixes); };
             const auto copies = [&] { whole.together(); };
             cascade();
             copies();
             // Many rows of bfloat16 may be multiplied as such: queries and weights are rounded.
             require_close(s.out, whole.out, 1.f / 64);
             compare(
                 state,
                 s.bytes_over(sequences * (shared + own)) / s.bytes_over(shared + sequences * own),
                 cascade, copies);
           });
}

}  // namespace
}  // namespace headroom_bench

int main(int argc, char** argv) {
  using namespace headroom_bench;
  for (const Index sequences : {4, 16, 64}) add_batch("", sequences, 1024);
  add_batch("", 64, 16);
  for (const Index tokens : {64, 1024, 8192}) add_latents("", 8, tokens);
  for (const Index sequences : {4, 16, 64})
    for (const Index shared : {512, 2048}) {
      add_cascade<step<8>>("cascade/8", sequences, shared);
      if (sequences <= 16) add_cascade<step<32>>("cascade/32", sequences, shared);
      add_cascade<latent_step>("latent_cascade", sequences, shared);
    }
  for (const Index sequences : {4, 16}) {
    add_cascade<step<8>>("cascade/8", sequences, 8192);
    add_cascade<latent_step>("latent_cascade", sequences, 8192);
  }
  add_batch("smoke/", 3, 100);
  add_latents("smoke/", 3, 100);
  add_cascade<step<8>>("smoke/cascade/8", 3, 900);
  add_cascade<latent_step>("smoke/latent_cascade", 3, 900);
  return run_cases(argc, argv);
}
