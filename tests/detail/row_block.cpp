// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a block of rows takes in tiles of keys, of any sizes, and its state is then that of all
// keys. [begin, end) holds every key that some row sees, and what a row does not see may be NaN.
#include <headroom/detail/row_block.hpp>
#include <headroom/score_mod.hpp>

#include "support/block_call.hpp"
#include "support/catch.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;
using hr::detail::row_block;

TEST_CASE("tiles of any sizes give the same state") {
  const problem p({9, 200, 4, 2, 17, 5});
  const auto mask = hr::causal() & (hr::sliding_window(150) | hr::prefix(2));
  const auto exact = p.exact(mask);
  for (const std::vector<Index>& sizes : {std::vector<Index>{96}, {1}, {1, 95, 3}, {64, 5}, {90}})
    REQUIRE(error_ratio(answer_by(in_tiles<row_block>(sizes), p, mask), exact) <= 1);
}

TEST_CASE("softcap, bias, mask and sinks come in their order") {
  const problem p({5, 90, 4, 2, 16, 8});
  const std::vector<float> sinks = {0, 1, -2, 3}, slopes = hr::alibi_slopes(4);
  const auto mask = hr::causal() & hr::alibi(slopes);
  const hr::attention_options<float> options{.scale = 2.f, .softcap = 3, .sinks = sinks};
  REQUIRE(error_ratio(answer_by(in_tiles<row_block>({40}), p, mask, options),
                      p.exact(mask, options)) <= 1);
}

TEST_CASE("the range of a block is the union of what its rows see, within the keys") {
  const problem p({3, 20, 1, 1, 8, 8});
  using range = std::pair<Index, Index>;
  CHECK(seen_keys<row_block>(p, hr::none(), 0) == range(0, 20));
  CHECK(seen_keys<row_block>(p, hr::causal(), 5) == range(0, 8));
  CHECK(seen_keys<row_block>(p, hr::causal() & hr::sliding_window(4), 10) == range(7, 13));
  CHECK(seen_keys<row_block>(p, hr::sliding_window(4), -2) == range(0, 20));
  CHECK(seen_keys<row_block>(p, hr::causal(), 100) == range(0, 20));
  const auto nothing = seen_keys<row_block>(p, hr::causal(), -3);
  CHECK(nothing.first >= nothing.second);
}

TEST_CASE("a tile may hold NaN where no row looks, and what one row sees stays with it") {
  const auto diagonal =
      hr::mask([](const hr::query_row& row, Index key) { return key == row.position; });
  problem p({4, 4, 1, 1, 8, 8});
  fill_row(p.v.view(), 2, 0, quiet_nan<float>());
  const auto got = answer_by(in_tiles<row_block>({4}), p, diagonal);
  for (Index t = 0; t < 4; ++t)
    for (Index d = 0; d < 8; ++d) {
      if (t == 2)
        CHECK(std::isnan(got.out(t, 0, d)));
      else
        CHECK(got.out(t, 0, d) == p.v(t, 0, d));
    }
}
