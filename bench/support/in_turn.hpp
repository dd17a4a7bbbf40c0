// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/counters.hpp"

#include <benchmark/benchmark.h>
#include <vector>

namespace headroom_bench {

/// Medians of two ways to the same answer, in seconds, and of their ratio.
struct times_in_turn {
  double one;
  double other;
  double one_over_other;
};

/// Times `other` in turn with `one`: one, other, one, other, ..., one. Each call of the other is
/// compared with those right before and after it, since the speed of a shared machine drifts; it is
/// what the benchmark's own clock shows.
///
/// \param one, other  return their seconds
/// \param prepare     called before each, off the clock
template <class One, class Other, class Prepare>
times_in_turn time_in_turn(benchmark::State& state, const One& one, const Other& other,
                           const Prepare& prepare) {
  const auto prepared = [&] {
    prepare();
    return one();
  };
  std::vector<double> ones, others, ratios;
  double before = prepared();
  for (auto _ : state) {
    state.PauseTiming();
    prepare();
    state.ResumeTiming();
    others.push_back(other());
    state.PauseTiming();
    const double after = prepared();
    ones.push_back((before + after) / 2);
    ratios.push_back(ones.back() / others.back());
    before = after;
    state.ResumeTiming();
  }
  return {median(ones), median(others), median(ratios)};
}

/// The same with nothing to prepare.
template <class One, class Other>
times_in_turn time_in_turn(benchmark::State& state, const One& one, const Other& other) {
  return time_in_turn(state, one, other, [] {});
}

}  // namespace headroom_bench
