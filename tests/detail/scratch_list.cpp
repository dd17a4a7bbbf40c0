// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: what was added stays where it is, in order, and is destroyed once, with the list; nothing
// is allocated for it once a list like it has been.
#include <headroom/detail/scratch_list.hpp>

#include <memory>
#include <utility>
#include <vector>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"

namespace hr = headroom;
using hr::detail::scratch;
using hr::detail::scratch_list;

TEST_CASE("things stay where they were made, and go with the list") {
  const auto shared = std::make_shared<int>(7);
  {
    scratch memory;
    scratch_list<std::pair<int, std::shared_ptr<int>>> list(3, memory);
    CHECK(list.all().empty());
    const auto& first = list.emplace_back(1, shared);
    list.emplace_back(2, shared);
    REQUIRE(list.all().size() == 2);
    CHECK(&list.all()[0] == &first);
    CHECK(list.all()[1].first == 2);
    CHECK(shared.use_count() == 3);
  }
  CHECK(shared.use_count() == 1);
}

TEST_CASE("a list is made in memory that was there before") {
  const auto make = [] {
    scratch memory;
    scratch_list<std::vector<int>> list(100, memory);
    for (int i = 0; i < 100; ++i) list.emplace_back();
  };
  make();
  const long count = headroom_tests::allocations_of(make);
  if (headroom_tests::counts_allocations) CHECK(count == 0);
}
