// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: asking for memory reads none of it, wherever the address points, and takes whole cache
// lines.
#include <headroom/detail/prefetch.hpp>

#include "support/catch.hpp"

#include <vector>

namespace kernels = headroom::detail;

TEST_CASE("any address will do") {
  const float* const nowhere = nullptr;
  kernels::prefetch(nowhere);
  kernels::prefetch_far(nowhere);
  const std::vector<short> row(100, 1);
  kernels::prefetch_row(row.data(), 100);
  kernels::prefetch_ahead(row.data(), 99, {});  // far behind the end
  CHECK(row == std::vector<short>(100, 1));
}

TEST_CASE("memory is asked for far ahead, and again when it is near") {
  CHECK(kernels::bytes_far_ahead > kernels::bytes_ahead);
  CHECK(kernels::bytes_far_ahead % 64 == 0);
  CHECK(kernels::bytes_ahead % 64 == 0);
}
