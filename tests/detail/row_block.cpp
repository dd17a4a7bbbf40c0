// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a block of rows takes in tiles of keys, of any sizes, and its state is then that of all
// keys. [begin, end) holds every key that some row sees, and what a row does not see may be NaN.
#include <headroom/detail/row_block.hpp>
#include <headroom/score_mod.hpp>

#include "support/catch.hpp"
#include "support/kernel_call.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;
using hr::detail::row_block;
using hr::detail::stacked_rows;

namespace {

// A kernel of one block that holds all rows, which takes in `sizes` keys at a time, over and over.
auto in_tiles(std::vector<Index> sizes) {
  return [sizes](const auto& call, const auto& source) {
    using Call = std::remove_cvref_t<decltype(call)>;
    for (Index g = 0; g < call.groups(); ++g) {
      hr::detail::scratch memory;
      const stacked_rows rows{g, call.heads_per_group, 0, call.rows_per_group()};
      const auto state = hr::detail::new_state<float>(memory, rows.count, source.v_dim());
      const row_block<Call> block(call, rows, state, memory);
      std::size_t next = 0;
      for (Index j = block.begin(); j < block.end();) {
        const Index tokens = std::min(sizes[next++ % sizes.size()], block.end() - j);
        const auto keys = source.keys(g, j, j + tokens);
        const auto values = source.values(g, j, j + tokens);
        block.add_tile(j, tokens, {keys.rows, keys.stride}, {values.rows, values.stride});
        j += tokens;
      }
      for (Index r = 0; r < rows.count; ++r) call.write(rows, r, state);
    }
  };
}

template <class Mask>
std::pair<Index, Index> seen_keys(const problem<float>& p, const Mask& mask, Index first_position) {
  std::pair<Index, Index> range;
  answer_by(
      [&](const auto& call, const auto&) {
        using Call = std::remove_cvref_t<decltype(call)>;
        hr::detail::scratch memory;
        const stacked_rows rows{0, call.heads_per_group, 0, call.rows_per_group()};
        const auto state = hr::detail::new_state<float>(memory, rows.count, 1);
        const row_block<Call> block(call, rows, state, memory);
        range = {block.begin(), block.end()};
      },
      p, mask, {.first_position = first_position});
  return range;
}

}  // namespace

TEST_CASE("tiles of any sizes give the same state") {
  const problem p({9, 200, 4, 2, 17, 5});
  const auto mask = hr::causal() & (hr::sliding_window(150) | hr::prefix(2));
  const auto exact = p.exact(mask);
  for (const std::vector<Index>& sizes :
       {std::vector<Index>{128}, {1}, {1, 127, 3}, {64, 5}, {100}})
    REQUIRE(error_ratio(answer_by(in_tiles(sizes), p, mask), exact) <= 1);
}

TEST_CASE("softcap, bias, mask and sinks come in their order") {
  const problem p({5, 90, 4, 2, 16, 8});
  const std::vector<float> sinks = {0, 1, -2, 3}, slopes = hr::alibi_slopes(4);
  const auto mask = hr::causal() & hr::alibi(slopes);
  const hr::attention_options<float> options{.scale = 2.f, .softcap = 3, .sinks = sinks};
  REQUIRE(error_ratio(answer_by(in_tiles({40}), p, mask, options), p.exact(mask, options)) <= 1);
}

TEST_CASE("the range of a block is the union of what its rows see, within the keys") {
  const problem p({3, 20, 1, 1, 8, 8});
  using range = std::pair<Index, Index>;
  CHECK(seen_keys(p, hr::none(), 0) == range(0, 20));
  CHECK(seen_keys(p, hr::causal(), 5) == range(0, 8));
  CHECK(seen_keys(p, hr::causal() & hr::sliding_window(4), 10) == range(7, 13));
  CHECK(seen_keys(p, hr::sliding_window(4), -2) == range(0, 20));
  CHECK(seen_keys(p, hr::causal(), 100) == range(0, 20));
  const auto nothing = seen_keys(p, hr::causal(), -3);
  CHECK(nothing.first >= nothing.second);
}

TEST_CASE("a tile may hold NaN where no row looks, and what one row sees stays with it") {
  const auto diagonal =
      hr::mask([](const hr::query_row& row, Index key) { return key == row.position; });
  problem p({4, 4, 1, 1, 8, 8});
  fill_row(p.v.view(), 2, 0, quiet_nan<float>());
  const auto got = answer_by(in_tiles({4}), p, diagonal);
  for (Index t = 0; t < 4; ++t)
    for (Index d = 0; d < 8; ++d) {
      if (t == 2)
        CHECK(std::isnan(got.out(t, 0, d)));
      else
        CHECK(got.out(t, 0, d) == p.v(t, 0, d));
    }
}
