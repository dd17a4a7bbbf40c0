// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/counters.hpp"
#include "support/machine_limits.hpp"

#include <benchmark/benchmark.h>
#include <algorithm>
#include <vector>

namespace headroom_bench {

/// Times a call of microseconds whose memory is warm, in turn with the limits of the machine, as
/// measure() does. Such a call is to take no more than twice what its bytes or its arithmetic take
/// at those limits, and a microsecond: `us/allowed` is then at most 1.
template <class Call>
void measure_short(benchmark::State& state, const work& done, const Call& call) {
  constexpr int calls = 500;  // the clock counts in microseconds
  constexpr double fixed = 1e-6;
  const auto bound = [&] {
    return std::max(done.flops / fma_peak(), done.bytes / far_memory().bytes_per_second());
  };
  std::vector<double> seconds, bounds, of_allowed;
  double before = bound();
  for (auto _ : state) {
    call();  // warms up after the limits
    seconds.push_back(seconds_of([&] {
                        for (int i = 0; i < calls; ++i) call();
                      }) /
                      calls);
    state.PauseTiming();
    const double after = bound();
    bounds.push_back((before + after) / 2);
    of_allowed.push_back(seconds.back() / (2 * bounds.back() + fixed));
    before = after;
    state.ResumeTiming();
  }
  state.counters["us"] = 1e6 * median(seconds);
  state.counters["bound_us"] = 1e6 * median(bounds);
  state.counters["us/allowed"] = median(of_allowed);
}

}  // namespace headroom_bench
