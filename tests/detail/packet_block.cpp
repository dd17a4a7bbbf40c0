// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: as row_block, and for any number of rows: panels of lanes, whole or not, and more than one.
#include <headroom/detail/packet_block.hpp>
#include <headroom/score_mod.hpp>

#include "support/block_call.hpp"
#include "support/catch.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;
using hr::detail::packet_block;

TEST_CASE("tiles of any sizes give the same state") {
  const problem p({9, 200, 4, 2, 17, 5});
  const auto mask = hr::causal() & (hr::sliding_window(150) | hr::prefix(2));
  const auto exact = p.exact(mask);
  for (const std::vector<Index>& sizes : {std::vector<Index>{96}, {1}, {1, 95, 3}, {64, 5}, {90}})
    REQUIRE(error_ratio(answer_by(in_tiles<packet_block>(sizes), p, mask), exact) <= 1);
}

TEST_CASE("softcap, bias, mask and sinks come in their order") {
  const problem p({5, 90, 4, 2, 16, 8});
  const std::vector<float> sinks = {0, 1, -2, 3}, slopes = hr::alibi_slopes(4);
  const auto mask = hr::causal() & hr::alibi(slopes);
  const hr::attention_options<float> options{.scale = 2.f, .softcap = 3, .sinks = sinks};
  REQUIRE(error_ratio(answer_by(in_tiles<packet_block>({40}), p, mask, options),
                      p.exact(mask, options)) <= 1);
}

TEST_CASE("the range of a block is the union of what its rows see, within the keys") {
  const problem p({3, 20, 1, 1, 8, 8});
  using range = std::pair<Index, Index>;
  CHECK(seen_keys<packet_block>(p, hr::none(), 0) == range(0, 20));
  CHECK(seen_keys<packet_block>(p, hr::causal(), 5) == range(0, 8));
  CHECK(seen_keys<packet_block>(p, hr::causal() & hr::sliding_window(4), 10) == range(7, 13));
  CHECK(seen_keys<packet_block>(p, hr::sliding_window(4), -2) == range(0, 20));
  CHECK(seen_keys<packet_block>(p, hr::causal(), 100) == range(0, 20));
  const auto nothing = seen_keys<packet_block>(p, hr::causal(), -3);
  CHECK(nothing.first >= nothing.second);
}

TEST_CASE("a tile may hold NaN where no row looks, and what one row sees stays with it") {
  const auto diagonal =
      hr::mask([](const hr::query_row& row, Index key) { return key == row.position; });
  problem p({4, 4, 1, 1, 8, 8});
  fill_row(p.v.view(), 2, 0, quiet_nan<float>());
  const auto got = answer_by(in_tiles<packet_block>({4}), p, diagonal);
  for (Index t = 0; t < 4; ++t)
    for (Index d = 0; d < 8; ++d) {
      if (t == 2)
        CHECK(std::isnan(got.out(t, 0, d)));
      else
        CHECK(got.out(t, 0, d) == p.v(t, 0, d));
    }
}

TEST_CASE("any number of rows is attention, under masks that cut panels") {
  for (const Index q_len : {1, 2, 7, 8, 9, 23, 24, 25, 47, 60}) {
    INFO("q_len " << q_len);
    const problem p({q_len, 130, 3, 1, 33, 21});
    REQUIRE(error_ratio(answer_by(in_tiles<packet_block>({96}), p, hr::none()), p.exact()) <= 1);
    for (const Index window : {1, 5, 90}) {
      const auto mask = hr::causal() & hr::sliding_window(window);
      REQUIRE(error_ratio(answer_by(in_tiles<packet_block>({96, 17}), p, mask), p.exact(mask)) <=
              1);
    }
  }
}

TEST_CASE("a cap applies to what is seen, and hides nothing") {
  const problem p({40, 40, 2, 1, 16, 8});
  const hr::attention_options<float> options{.softcap = 0.5f};
  REQUIRE(error_ratio(answer_by(in_tiles<packet_block>({13}), p, hr::causal(), options),
                      p.exact(hr::causal(), options)) <= 1);
}

TEST_CASE("keys and values that are hidden may be NaN, in a panel where others see them") {
  problem p({30, 30, 1, 1, 8, 16});
  fill_row(p.k.view(), 29, 0, quiet_nan<float>());
  fill_row(p.v.view(), 29, 0, quiet_nan<float>());
  const auto got = answer_by(in_tiles<packet_block>({30}), p, hr::causal());
  problem clean = p;
  fill_row(clean.k.view(), 29, 0, 0.f);
  fill_row(clean.v.view(), 29, 0, 0.f);
  const auto exact = clean.exact(hr::causal());
  for (Index t = 0; t < 29; ++t)
    for (Index d = 0; d < 16; ++d)
      REQUIRE(std::abs(got.out(t, 0, d) - exact.out(t, 0, d)) <= exact.bound.out(t, 0, d));
  for (Index d = 0; d < 16; ++d) CHECK(std::isnan(got.out(29, 0, d)));
}
