// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/parallel.hpp>

#include <thread>
#include <vector>

// Executors that a result must not depend on.

namespace headroom_tests {

/// The last work item first; counts how often it is called.
inline auto backwards(int& calls) {
  return [&calls](Eigen::Index count, const auto& work) {
    ++calls;
    for (Eigen::Index i = count; i-- > 0;) work(i);
  };
}

/// Three threads that take every third work item.
inline constexpr auto team_of_three = [](Eigen::Index count, const auto& work) {
  std::vector<std::thread> threads;
  for (Eigen::Index first = 0; first < 3; ++first)
    threads.emplace_back([&work, first, count] {
      for (Eigen::Index i = first; i < count; i += 3) work(i);
    });
  for (std::thread& thread : threads) thread.join();
};

}  // namespace headroom_tests
