// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/dispatch.hpp>
#include <headroom/parallel.hpp>

#include "support/kernel_call.hpp"

#include <functional>
#include <vector>

namespace headroom_tests {

/// Runs work like serial, and notes how often it was asked to.
struct counting_executor {
  mutable std::vector<Eigen::Index> counts = {};

  template <class Work>
  void operator()(Eigen::Index count, const Work& work) const {
    counts.push_back(count);
    headroom::serial()(count, work);
  }
};

/// The numbers of work items that a call was cut into.
inline std::vector<Eigen::Index> items_of(const problem_size& size) {
  const problem p(size);
  counting_executor executor;
  answer_by(
      [&](const auto& call, const auto& source) {
        headroom::detail::dispatch(call, source, std::ref(executor));
      },
      p, headroom::none());
  return executor.counts;
}

}  // namespace headroom_tests
