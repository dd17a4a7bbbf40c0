// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a call that is one of many has the work items, and writes the bits, that it has and writes
// alone.
#include <headroom/detail/call_plan.hpp>

#include "support/catch.hpp"
#include "support/kernel_call.hpp"
#include "support/work_items.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

TEST_CASE("a call that is one of many takes the path that it takes alone") {
  for (const problem_size& size : {problem_size{0, 2000, 4, 2, 8, 8},
                                   {1, hr::detail::most_unsplit_keys, 2, 1, 8, 8},
                                   {1, 2500, 2, 1, 8, 8},
                                   {hr::detail::block_rows, 10, 4, 2, 8, 8}}) {
    const problem p(size);
    Index items = 0;
    const auto planned = [&](const auto& call, const auto& source) {
      hr::detail::scratch memory;
      const hr::detail::call_plan plan(call, source, 1, memory);
      items = plan.items();
      for (Index i = items; i-- > 0;) {
        CHECK(plan.cost(i) > 0);
        plan.run(i);
      }
    };
    CHECK(same_bits(answer_by(planned, p, hr::none()), attend(p)));
    const std::vector<Index> alone = items_of(size);
    CHECK(items == (alone.empty() ? 0 : alone.front()));
  }
}
