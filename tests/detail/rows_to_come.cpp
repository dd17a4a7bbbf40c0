// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: in as many steps as it is spread over, or a few more where there are several runs, every
// cache line of every row is asked for once, in order.
#include <headroom/detail/rows_to_come.hpp>

#include "support/catch.hpp"

#include <algorithm>
#include <utility>
#include <vector>

using headroom::Index;
using headroom::detail::rows_to_come;

namespace {

// Rows of 48 numbers in runs that end at multiples of 3, each run as far from the next.
struct stored_rows {
  std::vector<float> memory = std::vector<float>(2 * 48 * 48);

  static Index place(Index row) { return (row / 3 * 6 + row % 3) * 48; }

  static rows_to_come::run find(const void* rows, Index begin, Index end) {
    const float* const memory = static_cast<const stored_rows*>(rows)->memory.data();
    return {reinterpret_cast<const char*>(memory + place(begin)), 48 * 4,
            std::min(end, (begin / 3 + 1) * 3) - begin};
  }
};

// The lines asked for, as bytes from the first number; `longest` is the most of one step.
struct lines {
  std::vector<Index> asked;
  Index longest = 0;
};

lines lines_of(rows_to_come rows, const stored_rows& stored, Index steps, Index steps_taken) {
  lines all;
  rows.spread(steps);
  for (Index s = 0; s < steps_taken; ++s) {
    const auto before = static_cast<Index>(all.asked.size());
    rows.find_next_run();
    rows.step([&](const char* address) {
      all.asked.push_back(address - reinterpret_cast<const char*>(stored.memory.data()));
    });
    all.longest = std::max(all.longest, static_cast<Index>(all.asked.size()) - before);
  }
  return all;
}

}  // namespace

TEST_CASE("each line of each row is asked for once, wherever runs end") {
  const stored_rows stored;
  for (const auto& [begin, end] : {std::pair<Index, Index>{0, 1}, {0, 3}, {2, 9}, {1, 41}})
    for (const Index size : {1, 16, 17, 48})
      for (const Index steps : {1, 2, 5, 64, 1000}) {
        INFO("rows " << begin << " to " << end << " of " << size << " in " << steps << " steps");
        std::vector<Index> expected;
        for (Index row = begin; row < end; ++row)
          for (Index byte = 0; byte < size * 4; byte += 64)
            expected.push_back(stored_rows::place(row) * 4 + byte);
        const Index runs = (end - 1) / 3 - begin / 3 + 1;
        const lines all = lines_of({&stored, &stored_rows::find, begin, end, size * 4}, stored,
                                   steps, runs == 1 ? steps : steps + runs);
        REQUIRE(all.asked == expected);
        const Index even = (static_cast<Index>(expected.size()) + steps - 1) / steps;
        REQUIRE(all.longest <= (runs == 1 ? even : 2 * even));
      }
}

TEST_CASE("no rows, nothing asked for") {
  const stored_rows stored;
  CHECK(lines_of({}, stored, 3, 3).asked.empty());
  CHECK(lines_of({&stored, &stored_rows::find, 4, 4, 64}, stored, 3, 3).asked.empty());
}
