// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/score_mod.hpp>

#include "support/block_call.hpp"
#include "support/catch.hpp"

// What holds for every kind of block of rows: it takes in tiles of keys of any sizes, and its state
// is then that of all keys.

namespace headroom_tests {

template <template <class> class Block>
void check_tiles_of_any_sizes() {
  const problem p({9, 200, 4, 2, 17, 5});
  const auto mask = headroom::causal() & (headroom::sliding_window(150) | headroom::prefix(2));
  const auto exact = p.exact(mask);
  for (const std::vector<Eigen::Index>& sizes :
       {std::vector<Eigen::Index>{96}, {1}, {1, 95, 3}, {64, 5}, {90}})
    REQUIRE(error_ratio(answer_by(in_tiles<Block>(sizes), p, mask), exact) <= 1);
}

template <template <class> class Block>
void check_order_of_modifications() {
  const problem p({5, 90, 4, 2, 16, 8});
  const std::vector<float> sinks = {0, 1, -2, 3}, slopes = headroom::alibi_slopes(4);
  const auto mask = headroom::causal() & headroom::alibi(slopes);
  const headroom::attention_options<float> options{.scale = 2.f, .softcap = 3, .sinks = sinks};
  REQUIRE(error_ratio(answer_by(in_tiles<Block>({40}), p, mask, options), p.exact(mask, options)) <=
          1);
}

template <template <class> class Block>
void check_range_of_a_block() {
  const problem p({3, 20, 1, 1, 8, 8});
  using range = std::pair<Eigen::Index, Eigen::Index>;
  CHECK(seen_keys<Block>(p, headroom::none(), 0) == range(0, 20));
  CHECK(seen_keys<Block>(p, headroom::causal(), 5) == range(0, 8));
  CHECK(seen_keys<Block>(p, headroom::causal() & headroom::sliding_window(4), 10) == range(7, 13));
  CHECK(seen_keys<Block>(p, headroom::sliding_window(4), -2) == range(0, 20));
  CHECK(seen_keys<Block>(p, headroom::causal(), 100) == range(0, 20));
  const auto nothing = seen_keys<Block>(p, headroom::causal(), -3);
  CHECK(nothing.first >= nothing.second);
}

template <template <class> class Block>
void check_hidden_nan() {
  const auto diagonal = headroom::mask(
      [](const headroom::query_row& row, Eigen::Index key) { return key == row.position; });
  problem p({4, 4, 1, 1, 8, 8});
  fill_row(p.v.view(), 2, 0, quiet_nan<float>());
  const auto got = answer_by(in_tiles<Block>({4}), p, diagonal);
  for (Eigen::Index t = 0; t < 4; ++t)
    for (Eigen::Index d = 0; d < 8; ++d) {
      if (t == 2)
        CHECK(std::isnan(got.out(t, 0, d)));
      else
        CHECK(got.out(t, 0, d) == p.v(t, 0, d));
    }
}

}  // namespace headroom_tests
