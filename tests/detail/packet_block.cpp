// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: as row_block, and for any number of rows: panels of lanes, whole or not, and more than one.
#include <headroom/detail/packet_block.hpp>

#include "support/block_laws.hpp"
#include "support/catch.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;
using hr::detail::packet_block;

TEST_CASE("tiles of any sizes give the same state") {
  check_tiles_of_any_sizes<packet_block>();
}

TEST_CASE("softcap, bias, mask and sinks come in their order") {
  check_order_of_modifications<packet_block>();
}

TEST_CASE("the range of a block is the union of what its rows see, within the keys") {
  check_range_of_a_block<packet_block>();
}

TEST_CASE("a tile may hold NaN where no row looks, and what one row sees stays with it") {
  check_hidden_nan<packet_block>();
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
