// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
//
// What more threads bring: headroom::openmp with 2, 4... and all threads, against one.
// Grouped-query attention, 32 heads, 8 groups, width 128.
//
//   scaling/prefill/KV/QxK/THREADS
//   scaling/decode/KV/QxK/THREADS
//
// KV is the scalar that keys and values are stored in. Wall times: on a busy machine they tell
// little. Built only where the compiler has OpenMP.

#include "support/counters.hpp"
#include "support/grouped_inputs.hpp"
#include "support/in_turn.hpp"
#include "support/inputs.hpp"
#include "support/wall_time.hpp"

#include <omp.h>
#include <headroom/attention.hpp>
#include <headroom/parallel.hpp>
#include <set>
#include <string>

namespace headroom_bench {
namespace {

template <class KV>
void scale(benchmark::State& state, lengths n, int threads) {
  const grouped_inputs<32, 8, 128, KV> in(n);
  matrix out(n.q_len, in.q.cols());
  const auto wall = [&](int members) {
    return wall_seconds_of([&] {
      headroom::gqa<32, 8, 128>()(in.q, in.cache, out, headroom::causal{}, {},
                                  headroom::openmp{members});
    });
  };

  wall(threads);
  in.check(out);
  const times_in_turn times = time_in_turn(
      state, [&] { return wall(1); }, [&] { return wall(threads); });
  state.counters["1_ms"] = 1e3 * times.one;
  state.counters["n_ms"] = 1e3 * times.other;
  state.counters["speedup"] = times.one_over_other;
  state.counters["efficiency%"] = 100 * times.one_over_other / threads;
}

template <class KV>
void add(const std::string& name, lengths n, int threads) {
  add_case(name + '/' + std::to_string(n.q_len) + 'x' + std::to_string(n.kv_len) + '/' +
               std::to_string(threads),
           [=](benchmark::State& state) { scale<KV>(state, n, threads); });
}

void add_all(const std::string& prefix, lengths prefill, lengths decode, int threads) {
  add<float>(prefix + "scaling/prefill/float", prefill, threads);
  add<Eigen::bfloat16>(prefix + "scaling/prefill/bfloat16", prefill, threads);
  add<float>(prefix + "scaling/decode/float", decode, threads);
  add<Eigen::bfloat16>(prefix + "scaling/decode/bfloat16", decode, threads);
}

}  // namespace
}  // namespace headroom_bench

int main(int argc, char** argv) {
  const int all = omp_get_max_threads();
  std::set<int> teams{all};
  for (int threads = 2; threads < all; threads *= 2) teams.insert(threads);
  for (int threads : teams) headroom_bench::add_all("", {2048, 2048}, {1, 32768}, threads);
  headroom_bench::add_all("smoke/", {70, 70}, {1, 1100}, 2);
  return headroom_bench::run_cases(argc, argv);
}
