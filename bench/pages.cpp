// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
//
// What pages cost: attention over a paged_cache whose pages lie in random order, against the same
// over a kv_cache, in turn. Grouped-query attention, 32 heads, 8 groups, width 128, causal, on one
// thread.
//
//   pages/decode/KV/PAGE/QxK
//   pages/prefill/KV/PAGE/QxK
//
// KV is what keys and values are stored in, PAGE the tokens of a page; 1 is a page for each token.

#include "support/counters.hpp"
#include "support/grouped_inputs.hpp"
#include "support/in_turn.hpp"
#include "support/inputs.hpp"

#include <headroom/attention.hpp>
#include <headroom/int4_codec.hpp>
#include <headroom/int8_codec.hpp>
#include <headroom/paged_cache.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace headroom_bench {
namespace {

constexpr int Q_heads = 32, KV_groups = 8, dim = 128;

/// The tokens of a grouped_inputs<..., KV> of the same lengths, on pages in random order.
template <class KV>
struct paged_inputs {
  using Pool = headroom::page_pool<KV>;
  using Cache = headroom::paged_cache<KV>;

  paged_inputs(lengths n, Index page_tokens)
      : pool((n.kv_len + page_tokens - 1) / page_tokens, page_tokens, KV_groups, dim),
        cache(pool, n.kv_len) {
    scramble();
    numbers random;
    random(n.q_len, Q_heads * dim);  // the queries
    fill(cache, random, KV_groups * dim, KV_groups * dim);
  }

  // Leaves free pages in random order: each is held alone, then given back.
  void scramble() {
    const matrix token = matrix::Zero(1, KV_groups * dim);
    std::vector<Cache> holders;
    while (pool.pages_free() > 0) holders.emplace_back(pool, 1).append(token, token);
    numbers random;
    while (!holders.empty()) {
      const auto any = static_cast<std::size_t>((random() + 1) / 2 * float(holders.size()));
      std::swap(holders[any], holders.back());
      holders.pop_back();
    }
  }

  Pool pool;
  Cache cache;
};

template <class KV>
void compare(benchmark::State& state, lengths n, Index page_tokens) {
  static const read_stream memory;
  const grouped_inputs<Q_heads, KV_groups, dim, KV> in(n);
  const paged_inputs<KV> paged(n, page_tokens);
  matrix out(n.q_len, in.q.cols()), expected(n.q_len, in.q.cols());
  const headroom::gqa<Q_heads, KV_groups, dim> attend;
  const auto seconds = [&](const auto& cache, matrix& result) {
    return seconds_of([&] { attend(in.q, cache, result, headroom::causal{}); });
  };

  seconds(paged.cache, out);
  seconds(in.cache, expected);
  in.check(out);
  if (out != expected) throw std::runtime_error("the two answers differ");
  const times_in_turn times = time_in_turn(
      state, [&] { return seconds(in.cache, expected); }, [&] { return seconds(paged.cache, out); },
      [] { memory.read(); });
  state.counters["contiguous_ms"] = 1e3 * times.one;
  state.counters["pages_ms"] = 1e3 * times.other;
  state.counters["pages/contiguous"] = 1 / times.one_over_other;
}

template <class KV>
void add(const std::string& kind, const std::string& stored, lengths n, int calls = 25) {
  for (const Index page_tokens : {1, 16, 64})
    add_case(
        kind + '/' + stored + '/' + std::to_string(page_tokens) + '/' + std::to_string(n.q_len) +
            'x' + std::to_string(n.kv_len),
        [=](benchmark::State& state) { compare<KV>(state, n, page_tokens); }, calls);
}

void add_all(const std::string& kind, lengths n, int calls = 25) {
  add<float>(kind, "float", n, calls);
  add<Eigen::bfloat16>(kind, "bfloat16", n, calls);
  add<headroom::int8_rows>(kind, "int8_rows", n, calls);
  add<headroom::int4_blocks>(kind, "int4_blocks", n, calls);
}

}  // namespace
}  // namespace headroom_bench

int main(int argc, char** argv) {
  headroom_bench::add_all("pages/decode", {1, 4096});
  headroom_bench::add_all("pages/chunk", {8, 4096});
  headroom_bench::add_all("pages/prefill", {512, 512}, 9);
  headroom_bench::add_all("smoke/pages/decode", {1, 1100}, 1);
  headroom_bench::add_all("smoke/pages/prefill", {70, 70}, 1);
  return headroom_bench::run_cases(argc, argv);
}
