// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a block of rows takes in tiles of keys, of any sizes, and its state is then that of all
// keys. [begin, end) holds every key that some row sees, and what a row does not see may be NaN.
#include <headroom/detail/row_block.hpp>

#include "support/block_laws.hpp"
#include "support/catch.hpp"

using namespace headroom_tests;
using headroom::detail::row_block;

TEST_CASE("tiles of any sizes give the same state") {
  check_tiles_of_any_sizes<row_block>();
}

TEST_CASE("softcap, bias, mask and sinks come in their order") {
  check_order_of_modifications<row_block>();
}

TEST_CASE("the range of a block is the union of what its rows see, within the keys") {
  check_range_of_a_block<row_block>();
}

TEST_CASE("a tile may hold NaN where no row looks, and what one row sees stays with it") {
  check_hidden_nan<row_block>();
}
