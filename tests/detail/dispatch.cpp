// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: no query is no work; few rows of a group over more keys than one split are decoded;
// everything else is prefill. The sizes of the call decide, and nothing else.
#include <headroom/detail/dispatch.hpp>

#include "support/catch.hpp"
#include "support/work_items.hpp"

#include <algorithm>
#include <vector>

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;
using hr::detail::path;
using hr::detail::path_for;

namespace {

constexpr Index most_rows = hr::detail::most_decode_rows;
constexpr Index one_split = hr::detail::most_unsplit_keys;

}  // namespace

TEST_CASE("each side of each switch-over") {
  CHECK(path_for(0, 8, 5000) == path::nothing);
  CHECK(path_for(1, 8, one_split + 1) == path::decode);
  CHECK(path_for(1, 8, one_split) == path::prefill);
  CHECK(path_for(most_rows / 8, 8, 5000) == path::decode);
  CHECK(path_for(most_rows / 8 + 1, 8, 5000) == path::prefill);
  CHECK(path_for(most_rows, 1, 5000) == path::decode);
  CHECK(path_for(most_rows + 1, 1, 5000) == path::prefill);
  CHECK(path_for(1, most_rows + 1, 5000) == path::prefill);
  CHECK(path_for(1, 1, 0) == path::prefill);
}

TEST_CASE("the path taken is the path chosen") {
  // Prefill has an item per group and block of rows, decode one per split as well.
  CHECK(items_of({0, 2000, 4, 2, 8, 8}).empty());
  CHECK(items_of({1, one_split, 2, 1, 8, 8}) == std::vector<Index>{1});
  CHECK(items_of({1, one_split + 1, 2, 1, 8, 8}) == std::vector<Index>{2});
  CHECK(items_of({hr::detail::block_rows, 10, 4, 2, 8, 8}) == std::vector<Index>{2 * 2});
  // The same few rows of two groups, whose keys lie side by side, are one item of packet kernels.
  const Index few = std::max(1, hr::detail::most_dot_rows / 2);
  const Index groups = hr::detail::has_kernels<float> ? 1 : 2;
  CHECK(items_of({few, one_split, 2, 2, 8, 8}) == std::vector<Index>{groups});
  CHECK(items_of({few, one_split + 1, 2, 2, 8, 8}) == std::vector<Index>{2 * groups});
}
