// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: rows of pages do not overlap, groups of pages start on cache lines, and a copied page is
// the same in its first slots and untouched in the others.
#include <headroom/detail/page_array.hpp>

#include "support/catch.hpp"

#include <cstdint>
#include <vector>

using headroom::Index;
using headroom::page_id;
using headroom::detail::page_array;

namespace {

// Calls visit(page, group, slot, row) for every row.
template <class Storage, class Visit>
void for_each_row(page_array<Storage>& rows, Index pages, Index groups, Index page_tokens,
                  const Visit& visit) {
  for (Index p = 0; p < pages; ++p)
    for (Index g = 0; g < groups; ++g)
      for (Index s = 0; s < page_tokens; ++s)
        visit(p, g, s, rows.row(static_cast<page_id>(p), g, s));
}

}  // namespace

TEMPLATE_TEST_CASE("each row has memory of its own", "", std::int8_t, Eigen::half, double) {
  for (const Index groups : {1, 3})
    for (const Index page_tokens : {1, 4, 7, 16})
      for (const Index row_size : {1, 5, 64}) {
        page_array<TestType> rows(3, groups, page_tokens, row_size);
        Index next = 0;
        for_each_row(rows, 3, groups, page_tokens, [&](Index p, Index g, Index s, TestType* row) {
          REQUIRE(row == rows.memory().row(static_cast<page_id>(p), g, s));
          if (s == 0 && (g == 0 || page_tokens > 1))
            REQUIRE(reinterpret_cast<std::uintptr_t>(row) % 64 == 0);
          for (Index d = 0; d < row_size; ++d) row[d] = static_cast<TestType>(float(next % 100));
          ++next;
        });
        next = 0;
        for_each_row(rows, 3, groups, page_tokens, [&](Index, Index, Index, const TestType* row) {
          for (Index d = 0; d < row_size; ++d)
            REQUIRE(row[d] == static_cast<TestType>(float(next % 100)));
          ++next;
        });
        const auto lines = [](Index bytes) { return (bytes + 63) / 64 * 64; };
        const Index row = row_size * Index(sizeof(TestType));
        REQUIRE(rows.bytes() ==
                3 * (page_tokens == 1 ? lines(groups * row) : groups * lines(page_tokens * row)));
      }
}

TEST_CASE("a short page has its groups one behind another, a longer one far apart") {
  for (const Index page_tokens : {16, 17}) {
    page_array<float> rows(5, 3, page_tokens, 4);
    const bool in_turn = rows.row(2, 1, 0) == rows.row(2, 0, page_tokens - 1) + 4;
    CHECK(in_turn == (page_tokens == headroom::detail::page_keys));
  }
}

TEST_CASE("a token is copied to its slot in every group, no other") {
  page_array<float> rows(2, 2, 4, 3);
  for_each_row(rows, 2, 2, 4, [](Index p, Index g, Index s, float* row) {
    for (Index d = 0; d < 3; ++d) row[d] = static_cast<float>(1000 * p + 100 * g + 10 * s + d);
  });
  rows.copy_token(1, 3, 0, 2);
  for_each_row(rows, 2, 2, 4, [](Index p, Index g, Index s, const float* row) {
    if (p == 0 && s == 2) p = 1, s = 3;
    for (Index d = 0; d < 3; ++d)
      REQUIRE(row[d] == static_cast<float>(1000 * p + 100 * g + 10 * s + d));
  });
}
