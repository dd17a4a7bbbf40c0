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
  // Far behind the end.
  kernels::prefetch_ahead(row.data(), row.data(), 99, kernels::read_ahead());
  const float page[100] = {};
  kernels::prefetch_ahead(row.data(), page, 99, kernels::paged_read_ahead<float>());
  CHECK(row == std::vector<short>(100, 1));
}

TEST_CASE("far ahead is counted from the row that is read, or from that of another page") {
  const float row[8] = {}, other[3][8] = {};
  const float* const others[3] = {other[0], other[1], other[2]};
  const kernels::read_ahead own;
  CHECK(own.from(2).far_row(row, 1, 5) == row);
  const kernels::paged_read_ahead<float> paged{others, 64, 64};
  CHECK(paged.far_row(row, 1, 5) == other[1] + 5);
  CHECK(paged.from(2).far_row(row, 0, 5) == other[2] + 5);
}

TEST_CASE("memory is asked for far ahead, and again when it is near") {
  CHECK(kernels::bytes_far_ahead > kernels::bytes_ahead);
  CHECK(kernels::bytes_far_ahead % 64 == 0);
  CHECK(kernels::bytes_ahead % 64 == 0);
}
