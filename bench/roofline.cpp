// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
//
// The two limits of the machine, with 1, 2, 4... and all threads at the same time:
//
//   fma/float      multiply-adds in registers, GFLOP/s
//   dot/bfloat16   dot products in registers, GFLOP/s, where compiled for a CPU that has them
//   read           reading memory that no cache holds, GB/s
//
// Here by wall time, all threads together; measure() takes the same limits for one thread by
// processor time.

#include "support/counters.hpp"
#include "support/dot_peak.hpp"
#include "support/machine_limits.hpp"

#include <string>
#include <thread>

namespace headroom_bench {
namespace {

benchmark::Counter giga_per_second(double amount) {
  return {amount * 1e-9, benchmark::Counter::kIsRate};
}

template <double (*compute)()>
void flops(benchmark::State& state) {
  double done = 0;
  for (auto _ : state) done += compute();
  state.counters["GFLOP/s"] = giga_per_second(done);
}

void read(benchmark::State& state) {
  // Each thread writes its own first, so that it lies in the memory next to that thread's core.
  const read_stream memory(beyond_caches(state.threads()));
  memory.read();
  double done = 0;
  for (auto _ : state) done += memory.read();
  state.counters["GB/s"] = giga_per_second(done);
}

void add(const std::string& prefix, int threads, int calls) {
  const auto add_limit = [&](const std::string& name, void (*run)(benchmark::State&)) {
    benchmark::RegisterBenchmark((prefix + name).c_str(), run)
        ->Iterations(calls)
        ->ThreadRange(1, threads)
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
  };
  add_limit("fma/float", flops<multiply_adds>);
#ifdef __AVX512BF16__
  add_limit("dot/bfloat16", flops<bfloat16_dots>);
#endif
  add_limit("read", read);
}

}  // namespace
}  // namespace headroom_bench

int main(int argc, char** argv) {
  const int threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  headroom_bench::add("", threads, 50);
  headroom_bench::add("smoke/", 1, 2);
  return headroom_bench::run_cases(argc, argv);
}
