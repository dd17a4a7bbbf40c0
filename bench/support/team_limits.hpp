// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/machine_limits.hpp"
#include "support/wall_time.hpp"

#include <memory>
#include <vector>

namespace headroom_bench {

/// What some OpenMP threads compute and read at the same time, by wall time.
class team_limits {
 public:
  explicit team_limits(int threads) : memories_(static_cast<std::size_t>(threads)) {
    // Each thread writes its own, so that it lies in the memory next to that thread's core.
    in_team([&](std::size_t member) { memories_[member] = std::make_unique<read_stream>(); });
  }

  double flops_per_second() const {
    return rate([](std::size_t) { return multiply_adds(); });
  }
  double bytes_per_second() const {
    return rate([&](std::size_t member) { return memories_[member]->read(); });
  }

 private:
  template <class Run>
  void in_team(const Run& run) const {
    const int threads = static_cast<int>(memories_.size());
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int member = 0; member < threads; ++member) run(static_cast<std::size_t>(member));
  }

  template <class Run>
  double rate(const Run& run) const {
    std::vector<double> done(memories_.size());
    const double seconds =
        wall_seconds_of([&] { in_team([&](std::size_t member) { done[member] = run(member); }); });
    double all = 0;
    for (const double each : done) all += each;
    return all / seconds;
  }

  std::vector<std::unique_ptr<read_stream>> memories_;
};

}  // namespace headroom_bench
