// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
//
// What a layer does around attention, against copying the same numbers in float, in turn: tokens
// are appended to caches, queries and keys rotated, rows normalised. Of 32 heads and 8 groups of
// width 128, on one thread, in caches that are warm.
//
//   append/CACHE/TOKENS          keys and values of 8 groups
//   rope/PAIRING/FROM/TOKENS     32 heads, in place, by a rope or by a rope_table
//   rms_norm/TOKENS              rows of 4096
//
// `time/copy` is the median ratio of neighbours.

#include "support/counters.hpp"
#include "support/in_turn.hpp"
#include "support/inputs.hpp"

#include <cstddef>
#include <headroom/fp8_codec.hpp>
#include <headroom/int4_codec.hpp>
#include <headroom/int8_codec.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/paged_cache.hpp>
#include <headroom/rms_norm.hpp>
#include <headroom/rope.hpp>
#include <headroom/rope_table.hpp>
#include <headroom/rotated_cache.hpp>
#include <headroom/scaled_cache.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace headroom_bench {
namespace {

using namespace headroom;

constexpr int Q_heads = 32, KV_groups = 8, dim = 128;

/// \param work     what is measured
/// \param numbers  that it reads
template <class Work>
void against_copy(benchmark::State& state, const Work& work, const matrix& numbers) {
  matrix copy = numbers;
  const auto worked = [&] { return seconds_of(work); };
  const auto copied = [&] {
    return seconds_of([&] {
      copy = numbers;
      benchmark::ClobberMemory();
    });
  };
  worked();
  const times_in_turn times = time_in_turn(state, worked, copied);
  const double count = static_cast<double>(numbers.size());
  state.counters["time_ms"] = 1e3 * times.one;
  state.counters["ns/number"] = 1e9 * times.one / count;
  state.counters["time/copy"] = times.one_over_other;
}

// Keys and values side by side, so that a copy is one.
template <class Cache>
void append_to(benchmark::State& state, Cache& cache, Index tokens) {
  numbers random;
  matrix both = random(tokens, 2 * KV_groups * dim);
  const Index stride = both.cols();
  const view<const float> k(both.data(), tokens, KV_groups, dim, stride, dim);
  const view<const float> v(both.data() + KV_groups * dim, tokens, KV_groups, dim, stride, dim);
  against_copy(
      state,
      [&] {
        cache.clear();
        cache.append(k, v);
      },
      both);
}

template <class Cache>
void append(benchmark::State& state, Index tokens) {
  Cache cache(tokens);
  append_to(state, cache, tokens);
}

void append_to_pages(benchmark::State& state, Index tokens) {
  page_pool<Eigen::bfloat16, KV_groups, dim> pool(tokens / 16 + 1, 16);
  paged_cache cache(pool);
  append_to(state, cache, tokens);
}

template <class Rotation>
void rotate(benchmark::State& state, const Rotation& rotation, Index tokens) {
  numbers random;
  matrix q = random(tokens, Q_heads * dim);
  const view<float> heads = tokens_major(q.data(), tokens, Q_heads, dim);
  against_copy(
      state, [&] { rotation(heads, 0); }, q);
}

void normalise(benchmark::State& state, Index tokens) {
  numbers random;
  matrix x = random(tokens, Q_heads * dim);
  const std::vector<float> gain(static_cast<std::size_t>(x.cols()), 1.f);
  const view<float> rows = tokens_major(x.data(), tokens, 1, x.cols());
  against_copy(
      state, [&] { rms_norm(rows, std::span(gain), 1e-5); }, x);
}

template <class Stored>
using cache_of = kv_cache<Stored, KV_groups, dim>;

void add_all(const std::string& prefix, Index tokens, int calls) {
  const auto add = [&](const std::string& name, auto run) {
    add_case(
        prefix + name + '/' + std::to_string(tokens),
        [=](benchmark::State& state) { run(state, tokens); }, calls);
  };
  add("append/float", append<cache_of<float>>);
  add("append/half", append<cache_of<Eigen::half>>);
  add("append/bfloat16", append<cache_of<Eigen::bfloat16>>);
  add("append/bfloat16_on_pages", append_to_pages);
  add("append/int8_rows", append<cache_of<int8_rows>>);
  add("append/int8_blocks", append<cache_of<int8_blocks>>);
  add("append/fp8", append<cache_of<fp8_codec>>);
  add("append/int4_blocks", append<cache_of<int4_blocks>>);
  add("append/scaled_int8_rows", append<scaled_cache<cache_of<int8_rows>>>);
  add("append/rotated_int4_blocks", append<rotated_cache<cache_of<int4_blocks>>>);
  for (const auto& [name, pairing] : {std::pair{"half", rope_pairing::half},
                                      std::pair{"interleaved", rope_pairing::interleaved}}) {
    const rope rotary(dim, {.pairing = pairing});
    add(std::string("rope/") + name + "/rope",
        [=](benchmark::State& state, Index n) { rotate(state, rotary, n); });
    add(std::string("rope/") + name + "/table",
        [=](benchmark::State& state, Index n) { rotate(state, rope_table<float>(rotary, n), n); });
  }
  add("rms_norm", normalise);
}

}  // namespace
}  // namespace headroom_bench

int main(int argc, char** argv) {
  headroom_bench::add_all("", 512, 25);
  headroom_bench::add_all("smoke/", 3, 1);
  return headroom_bench::run_cases(argc, argv);
}
