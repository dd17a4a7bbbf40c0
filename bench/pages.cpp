// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
//
// What pages cost: attention over a paged_cache whose pages lie in random order, against the same
// over a kv_cache, in turn. Grouped-query attention, 32 heads, 8 groups, width 128, causal, on one
// thread.
//
//   pages/decode/KV/PAGE/QxK
//   pages/chunk/KV/PAGE/QxK
//   pages/prefill/KV/PAGE/QxK
//   pages/latents/KV/PAGE/QxK   mla as DeepSeek-V2-Lite has it, 16 heads over paged_latents of
//                               512 + 64, against the same over a latent_cache
//
// KV is what keys and values are stored in, PAGE the tokens of a page; 1 is a page for each token.

#include "support/pages.hpp"
#include "support/counters.hpp"
#include "support/grouped_inputs.hpp"
#include "support/in_turn.hpp"
#include "support/inputs.hpp"
#include "support/latent_inputs.hpp"

#include <headroom/attention.hpp>
#include <headroom/int4_codec.hpp>
#include <headroom/int8_codec.hpp>
#include <headroom/mla.hpp>
#include <headroom/paged_cache.hpp>
#include <headroom/paged_latents.hpp>
#include <stdexcept>
#include <string>

namespace headroom_bench {
namespace {

constexpr int Q_heads = 32, KV_groups = 8, dim = 128;

// Pages for so many tokens of one sequence, and the sequence.
template <class Cache>
struct one_sequence {
  template <class... Sizes>
  one_sequence(Index tokens, Index page_tokens, Index first_width, Index second_width,
               Sizes... sizes)
      : pool((tokens + page_tokens - 1) / page_tokens, page_tokens, sizes...), cache(pool, tokens) {
    scramble<Cache>(pool, first_width, second_width);
  }

  typename Cache::Pool pool;
  Cache cache;
};

// Times attend(cache, out), the answer of which `in` knows, over pages and over one piece.
template <class Inputs, class Contiguous, class Paged, class Attend>
void compare(benchmark::State& state, const Inputs& in, Index width, const Contiguous& contiguous,
             const Paged& paged, const Attend& attend) {
  matrix out(in.q.rows(), width), expected(in.q.rows(), width);
  const auto over_one_piece = [&] { return seconds_of([&] { attend(contiguous, expected); }); };
  const auto over_pages = [&] { return seconds_of([&] { attend(paged, out); }); };

  over_pages();
  over_one_piece();
  in.check(out);
  if (out != expected) throw std::runtime_error("the two answers differ");
  const times_in_turn times = time_in_turn(state, over_one_piece, over_pages, empty_caches);
  state.counters["contiguous_ms"] = 1e3 * times.one;
  state.counters["pages_ms"] = 1e3 * times.other;
  state.counters["pages/contiguous"] = 1 / times.one_over_other;
}

template <class KV>
void compare_grouped(benchmark::State& state, lengths n, Index page_tokens) {
  constexpr Index width = KV_groups * dim;
  const grouped_inputs<Q_heads, KV_groups, dim, KV> in(n);
  one_sequence<headroom::paged_cache<KV>> paged(n.kv_len, page_tokens, width, width, KV_groups,
                                                dim);
  numbers random;
  random(n.q_len, Q_heads * dim);  // the queries
  fill(paged.cache, random, width, width);
  compare(state, in, Q_heads * dim, in.cache, paged.cache, [&](const auto& cache, matrix& out) {
    headroom::gqa<Q_heads, KV_groups, dim>()(in.q, cache, out, headroom::causal{});
  });
}

template <class Scalar>
void compare_latents(benchmark::State& state, lengths n, Index page_tokens) {
  constexpr int heads = 16;
  const latent_inputs<Scalar> in(heads, n);
  one_sequence<headroom::paged_latents<Scalar, latent_rank, rope_dim>> paged(n.kv_len, page_tokens,
                                                                             latent_rank, rope_dim);
  paged.cache.append(in.latents.latent_view(), in.latents.rope_key_view());
  const headroom::mla<heads, latent_rank, nope_dim, rope_dim, v_dim> core;
  compare(state, in, heads * v_dim, in.latents, paged.cache, [&](const auto& latents, matrix& out) {
    core(in.q, latents, headroom::linear(in.weights), out, headroom::causal{});
  });
}

template <class Run>
void add(const std::string& kind, const std::string& stored, lengths n, int calls, Run run) {
  for (const Index page_tokens : {1, 16, 64})
    add_case(
        kind + '/' + stored + '/' + std::to_string(page_tokens) + '/' + std::to_string(n.q_len) +
            'x' + std::to_string(n.kv_len),
        [=](benchmark::State& state) { run(state, n, page_tokens); }, calls);
}

void add_grouped(const std::string& kind, lengths n, int calls = 25) {
  add(kind, "float", n, calls, compare_grouped<float>);
  add(kind, "bfloat16", n, calls, compare_grouped<Eigen::bfloat16>);
  add(kind, "int8_rows", n, calls, compare_grouped<headroom::int8_rows>);
  add(kind, "int4_blocks", n, calls, compare_grouped<headroom::int4_blocks>);
}

void add_latents(const std::string& kind, lengths n, int calls = 25) {
  add(kind, "float", n, calls, compare_latents<float>);
  add(kind, "bfloat16", n, calls, compare_latents<Eigen::bfloat16>);
}

}  // namespace
}  // namespace headroom_bench

int main(int argc, char** argv) {
  headroom_bench::add_grouped("pages/decode", {1, 4096});
  headroom_bench::add_grouped("pages/chunk", {8, 4096});
  headroom_bench::add_grouped("pages/prefill", {512, 512}, 9);
  headroom_bench::add_latents("pages/latents", {1, 16384});
  headroom_bench::add_grouped("smoke/pages/decode", {1, 1100}, 1);
  headroom_bench::add_grouped("smoke/pages/prefill", {70, 70}, 1);
  headroom_bench::add_latents("smoke/pages/latents", {1, 1100}, 1);
  return headroom_bench::run_cases(argc, argv);
}
