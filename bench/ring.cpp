// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
//
// What a ring costs: attention over a ring_cache, some turns on, against the same window and prefix
// as a mask over a kv_cache of the whole context, in turn. Grouped-query attention, 32 heads, 8
// groups, width 128, causal, on one thread.
//
//   ring/decode/KV/WINDOW+PREFIX/QxK
//   ring/chunk/KV/WINDOW+PREFIX/QxK
//
// KV is what keys and values are stored in. Both read the window and the prefix alone: what a ring
// saves is memory.

#include "support/counters.hpp"
#include "support/grouped_inputs.hpp"
#include "support/in_turn.hpp"
#include "support/inputs.hpp"

#include <algorithm>
#include <headroom/attention.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/ring_cache.hpp>
#include <string>

namespace headroom_bench {
namespace {

constexpr int Q_heads = 32, KV_groups = 8, dim = 128;
constexpr Index at_once = 128;

template <class KV>
using ring = headroom::ring_cache<headroom::kv_cache<KV>>;

/// The tokens of a grouped_inputs<..., KV> of the same lengths, in a ring.
template <class KV>
ring<KV> ring_of(lengths n, headroom::ring_shape shape) {
  ring<KV> result(shape, KV_groups, dim);
  numbers random;
  random(n.q_len, Q_heads * dim);  // the queries
  while (result.tokens() < n.kv_len) {
    const Index tokens = std::min(at_once, n.kv_len - result.tokens());
    const matrix k = random(tokens, KV_groups * dim);
    result.append(k, random(tokens, KV_groups * dim));
  }
  return result;
}

template <class KV>
void compare(benchmark::State& state, lengths n, headroom::ring_shape shape) {
  const grouped_inputs<Q_heads, KV_groups, dim, KV> in(n);
  const auto kept = ring_of<KV>(n, shape);
  const auto windowed = headroom::causal{} &
                        (headroom::sliding_window{shape.window} | headroom::prefix{shape.prefix});
  matrix out(n.q_len, in.q.cols());
  const headroom::gqa<Q_heads, KV_groups, dim> attend;
  const auto seconds = [&](const auto& cache, const auto& mask) {
    return seconds_of([&] { attend(in.q, cache, out, mask); });
  };
  const auto over_ring = [&] { return seconds(kept, headroom::causal{}); };
  const auto over_all = [&] { return seconds(in.cache, windowed); };

  over_ring();
  in.check(out, windowed);
  over_all();
  in.check(out, windowed);
  const times_in_turn times = time_in_turn(state, over_all, over_ring, empty_caches);
  const auto mebibytes = [](const auto& cache) {
    return static_cast<double>(cache.capacity() * cache.bytes_per_token()) / (1 << 20);
  };
  state.counters["full_ms"] = 1e3 * times.one;
  state.counters["ring_ms"] = 1e3 * times.other;
  state.counters["full/ring"] = times.one_over_other;
  state.counters["full_MiB"] = mebibytes(in.cache);
  state.counters["ring_MiB"] = mebibytes(kept);
}

template <class KV>
void add(const std::string& kind, const std::string& stored, lengths n, Index window, int calls) {
  for (const Index prefix : {0, 4})
    add_case(
        kind + '/' + stored + '/' + std::to_string(window) + '+' + std::to_string(prefix) + '/' +
            std::to_string(n.q_len) + 'x' + std::to_string(n.kv_len),
        [=](benchmark::State& state) {
          compare<KV>(state, n, {.window = window, .prefix = prefix, .chunk = at_once});
        },
        calls);
}

void add_all(const std::string& kind, lengths n, Index window, int calls = 25) {
  add<float>(kind, "float", n, window, calls);
  add<Eigen::bfloat16>(kind, "bfloat16", n, window, calls);
}

}  // namespace
}  // namespace headroom_bench

int main(int argc, char** argv) {
  headroom_bench::add_all("ring/decode", {1, 16384}, 1024);
  headroom_bench::add_all("ring/decode", {1, 16384}, 4096);
  headroom_bench::add_all("ring/chunk", {128, 16384}, 1024, 9);
  headroom_bench::add_all("smoke/ring/decode", {1, 2000}, 800, 1);
  headroom_bench::add_all("smoke/ring/chunk", {70, 400}, 100, 1);
  return headroom_bench::run_cases(argc, argv);
}
