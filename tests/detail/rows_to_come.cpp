// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: in as many steps as it is spread over, every cache line of every row is asked for once, in
// the order of memory.
#include <headroom/detail/rows_to_come.hpp>

#include "support/catch.hpp"

#include <algorithm>
#include <vector>

using headroom::Index;
using headroom::detail::rows_to_come;

namespace {

// The lines asked for, as bytes from the first row; `longest` is the most of one step.
struct lines {
  std::vector<Index> asked;
  Index longest = 0;
};

lines lines_of(rows_to_come rows, const float* first, Index steps) {
  lines all;
  rows.spread(steps);
  for (Index s = 0; s < steps; ++s) {
    const auto before = static_cast<Index>(all.asked.size());
    rows.step([&](const char* address) {
      all.asked.push_back(address - reinterpret_cast<const char*>(first));
    });
    all.longest = std::max(all.longest, static_cast<Index>(all.asked.size()) - before);
  }
  return all;
}

}  // namespace

TEST_CASE("each line of each row is asked for once, evenly") {
  const std::vector<float> memory(40 * 48);
  for (const Index count : {1, 2, 7, 40})
    for (const Index size : {1, 16, 17, 48})
      for (const Index steps : {1, 2, 5, 64, 1000}) {
        INFO(count << " rows of " << size << " in " << steps << " steps");
        const lines all = lines_of({memory.data(), 48, count, size}, memory.data(), steps);
        std::vector<Index> expected;
        for (Index row = 0; row < count; ++row)
          for (Index byte = 0; byte < size * 4; byte += 64) expected.push_back(row * 48 * 4 + byte);
        REQUIRE(all.asked == expected);
        const auto number = static_cast<Index>(expected.size());
        REQUIRE(all.longest <= number / steps + 1);
      }
}

TEST_CASE("no rows, nothing asked for") {
  const float number = 1;
  CHECK(lines_of({}, &number, 3).asked.empty());
  CHECK(lines_of({&number, 1, 0, 1}, &number, 3).asked.empty());
}
