// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/machine_limits.hpp"

#include <benchmark/benchmark.h>
#include <Eigen/Core>
#include <algorithm>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace headroom_bench {

struct lengths {
  Eigen::Index q_len, kv_len;
};

/// What one call must do at the least, however it does it.
struct work {
  double flops;  ///< of the pairs that the mask shows, as cost.hpp counts them
  double bytes;  ///< every input read once, the output written once
};

// `values` is not empty.
inline double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// Times `call` in turn with the limits of the machine: limits, call, limits, call, ..., limits.
/// A call is compared with the limits right before and after it, since the speed of a shared or
/// throttled machine drifts; the counters are medians over the calls. Memory is cold for each call.
/// Returns the seconds of a call.
///
/// \param share_of_peak  the peak of the scalar that is computed in, over that of float
template <class Call>
double measure(benchmark::State& state, const work& done, const Call& call,
               double share_of_peak = 1) {
  const auto limits = [=] {
    return std::pair{share_of_peak * fma_peak(), far_memory().bytes_per_second()};
  };
  std::vector<double> seconds, peaks, bandwidths, of_peak, of_bandwidth, of_bound;
  auto [peak_before, bandwidth_before] = limits();
  for (auto _ : state) {
    seconds.push_back(seconds_of(call));
    state.PauseTiming();
    const auto [peak_after, bandwidth_after] = limits();
    peaks.push_back((peak_before + peak_after) / 2);
    bandwidths.push_back((bandwidth_before + bandwidth_after) / 2);
    of_peak.push_back(done.flops / seconds.back() / peaks.back());
    of_bandwidth.push_back(done.bytes / seconds.back() / bandwidths.back());
    of_bound.push_back(std::max(of_peak.back(), of_bandwidth.back()));
    peak_before = peak_after;
    bandwidth_before = bandwidth_after;
    state.ResumeTiming();
  }
  const double typical = median(seconds);
  state.counters["GFLOP/s"] = done.flops / typical * 1e-9;
  state.counters["GB/s"] = done.bytes / typical * 1e-9;
  state.counters["peak%"] = 100 * median(of_peak);
  state.counters["read%"] = 100 * median(of_bandwidth);
  state.counters["bound%"] = 100 * median(of_bound);
  state.counters["peak_GFLOP/s"] = median(peaks) * 1e-9;
  state.counters["read_GB/s"] = median(bandwidths) * 1e-9;
  return typical;
}

/// Registers the case `name`; `run(state)` prepares its inputs, checks the answer and calls
/// measure. A fixed number of calls, so that inputs are prepared once and a whole run has a known
/// length.
template <class Run>
void add_case(const std::string& name, Run run, int calls = 9) {
  const auto named_run = [name, run](benchmark::State& state) {
    try {
      run(state);
    } catch (const std::exception& error) {
      throw std::runtime_error(name + ": " + error.what());
    }
  };
  benchmark::RegisterBenchmark(name.c_str(), named_run)
      ->Iterations(calls)
      ->Unit(benchmark::kMillisecond);
}

/// Registers the case `name`/QxK, which calls `run(state, n)`.
template <class Run>
void add_case(const std::string& name, lengths n, Run run) {
  const int calls = n.q_len > 4096 ? 3 : 9;  // the longest take half a minute each
  add_case(
      name + '/' + std::to_string(n.q_len) + 'x' + std::to_string(n.kv_len),
      [run, n](benchmark::State& state) { run(state, n); }, calls);
}

/// The rest of main(): runs the cases that --benchmark_filter names, by default all but those
/// called smoke/... and long/..., on one thread. Fails if an answer is wrong.
inline int run_cases(int argc, char** argv) {
  Eigen::setNbThreads(1);
  std::string tabular = "--benchmark_counters_tabular=true";
  std::vector<char*> arguments(argv, argv + argc);
  arguments.insert(arguments.begin() + 1, tabular.data());  // first, so that the user's wins
  int count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 1;
  if (benchmark::GetBenchmarkFilter().empty()) benchmark::SetBenchmarkFilter("-^(smoke|long)/");
  try {
    const bool any = benchmark::RunSpecifiedBenchmarks() > 0;
    benchmark::Shutdown();
    return any ? 0 : 1;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}

}  // namespace headroom_bench
