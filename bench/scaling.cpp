// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
//
// What more threads bring: headroom::openmp with 2, 4... and all threads, against one, and what
// they reach of what so many cores compute and read together. Grouped-query attention, 32 heads, 8
// groups, width 128; absorbed latent attention, 128 heads over latents of 512 + 64; projections
// from 4096 features to 4096.
//
//   scaling/prefill/KV/QxK/THREADS
//   scaling/decode/KV/QxK/THREADS
//   scaling/absorbed/STORED/QxK/THREADS   with the products with the up-projection around it
//   scaling/projection/WEIGHT/ROWS/THREADS
//
// KV is the scalar that keys and values are stored in, STORED that of latents and up-projection.
// Wall times: on a busy machine they tell little. Built only where the compiler has OpenMP.

#include "support/counters.hpp"
#include "support/grouped_inputs.hpp"
#include "support/in_turn.hpp"
#include "support/inputs.hpp"
#include "support/latent_inputs.hpp"
#include "support/team_limits.hpp"
#include "support/wall_time.hpp"
#include "support/weights.hpp"

#include <omp.h>
#include <headroom/attention.hpp>
#include <headroom/linear.hpp>
#include <headroom/mla.hpp>
#include <headroom/parallel.hpp>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace headroom_bench {
namespace {

/// Times `call(members)` with one thread and with all of a team in turn, beside the team's limits.
template <class Call>
void scale(benchmark::State& state, const work& done, int threads, const Call& call) {
  const team_limits limits(threads);
  std::vector<double> peaks, bandwidths;
  const auto wall = [&](int members) { return wall_seconds_of([&] { call(members); }); };
  const times_in_turn times = time_in_turn(
      state, [&] { return wall(1); }, [&] { return wall(threads); },
      [&] {
        peaks.push_back(limits.flops_per_second());
        bandwidths.push_back(limits.bytes_per_second());
      });
  state.counters["1_ms"] = 1e3 * times.one;
  state.counters["n_ms"] = 1e3 * times.other;
  state.counters["speedup"] = times.one_over_other;
  state.counters["efficiency%"] = 100 * times.one_over_other / threads;
  state.counters["GFLOP/s"] = done.flops / times.other * 1e-9;
  state.counters["GB/s"] = done.bytes / times.other * 1e-9;
  state.counters["peak%"] = 100 * done.flops / times.other / median(peaks);
  state.counters["read%"] = 100 * done.bytes / times.other / median(bandwidths);
}

template <class KV>
void attend(benchmark::State& state, lengths n, int threads) {
  const grouped_inputs<32, 8, 128, KV> in(n);
  matrix out(n.q_len, in.q.cols());
  const auto call = [&](int members) {
    headroom::gqa<32, 8, 128>()(in.q, in.cache, out, headroom::causal{}, {},
                                headroom::openmp{members});
  };
  call(threads);
  in.check(out);
  scale(state, in.least_work(), threads, call);
}

template <class Stored>
void attend_latents(benchmark::State& state, Index heads, lengths n, int threads) {
  const latent_inputs<Stored> in(heads, n);
  const headroom::linear up(in.weights);
  matrix out(n.q_len, heads * v_dim);
  const auto call = [&](int members) {
    headroom::mla<Eigen::Dynamic, latent_rank, nope_dim, rope_dim, v_dim>(heads, latent_rank,
                                                                          nope_dim, rope_dim, v_dim)
        .absorbed(in.q, in.latents, up, out, headroom::causal{}, {}, headroom::openmp{members});
  };
  call(threads);
  in.check(out);
  scale(state, in.absorbed_work(), threads, call);
}

template <class Weight>
void project(benchmark::State& state, Index rows, Index features, int threads) {
  numbers random;
  const matrix x = random(rows, features);
  const drawn_weights<Weight> weights(random(features, features));
  const headroom::linear layer(weights());
  matrix alone(rows, features), together(rows, features);
  layer(x, alone);
  layer(x, together, headroom::openmp{threads});
  if (alone != together) throw std::runtime_error("threads change the answer");
  const auto numbers_of_weights = static_cast<double>(features * features);
  const double ends = static_cast<double>(x.size() + alone.size()) * sizeof(float);
  scale(state,
        {2. * static_cast<double>(rows) * numbers_of_weights,
         numbers_of_weights * sizeof(Weight) + ends},
        threads, [&](int members) { layer(x, together, headroom::openmp{members}); });
}

template <class KV>
void add_attention(const std::string& name, lengths n, int threads) {
  add_case(name + '/' + std::to_string(n.q_len) + 'x' + std::to_string(n.kv_len) + '/' +
               std::to_string(threads),
           [=](benchmark::State& state) { attend<KV>(state, n, threads); });
}

template <class Stored>
void add_latents(const std::string& name, Index heads, lengths n, int threads) {
  add_case(name + '/' + std::to_string(n.q_len) + 'x' + std::to_string(n.kv_len) + '/' +
               std::to_string(threads),
           [=](benchmark::State& state) { attend_latents<Stored>(state, heads, n, threads); });
}

template <class Weight>
void add_projection(const std::string& name, Index rows, Index features, int threads) {
  add_case(
      name + '/' + std::to_string(rows) + '/' + std::to_string(threads),
      [=](benchmark::State& state) { project<Weight>(state, rows, features, threads); }, 25);
}

void add_all(const std::string& prefix, lengths prefill, lengths decode, Index latent_heads,
             lengths absorbed, Index features, int threads) {
  const std::string scaling = prefix + "scaling/";
  add_attention<float>(scaling + "prefill/float", prefill, threads);
  add_attention<Eigen::bfloat16>(scaling + "prefill/bfloat16", prefill, threads);
  add_attention<float>(scaling + "decode/float", decode, threads);
  add_attention<Eigen::bfloat16>(scaling + "decode/bfloat16", decode, threads);
  add_latents<float>(scaling + "absorbed/float", latent_heads, absorbed, threads);
  add_latents<Eigen::bfloat16>(scaling + "absorbed/bfloat16", latent_heads, absorbed, threads);
  for (const Index rows : {1, 512}) {
    add_projection<float>(scaling + "projection/float", rows, features, threads);
    add_projection<Eigen::bfloat16>(scaling + "projection/bfloat16", rows, features, threads);
  }
}

}  // namespace
}  // namespace headroom_bench

int main(int argc, char** argv) {
  const int all = omp_get_max_threads();
  std::set<int> teams{all};
  for (int threads = 2; threads < all; threads *= 2) teams.insert(threads);
  for (int threads : teams)
    headroom_bench::add_all("", {2048, 2048}, {1, 32768}, 128, {1, 4096}, 4096, threads);
  headroom_bench::add_all("smoke/", {70, 70}, {1, 1100}, 3, {1, 1100}, 256, 2);
  return headroom_bench::run_cases(argc, argv);
}
