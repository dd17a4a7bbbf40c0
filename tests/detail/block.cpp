// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: the keys that a block sees are the union of what its rows see, clamped to those there are;
// and a state fits the memory that state_size names.
#include <headroom/detail/block.hpp>
#include <headroom/score_mod.hpp>

#include <limits>

#include "support/block_call.hpp"
#include "support/catch.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

// As large as numbers are: everything, a hole of everything, nothing.
struct all_numbers : hr::mask_defaults {
  hr::key_range keys(const hr::query_row& row) const {
    constexpr Index least = std::numeric_limits<Index>::min(),
                    most = std::numeric_limits<Index>::max();
    if (row.query == 0) return {least, most, true};
    if (row.query == 1) return {least, most, false, least, most, least, most};
    return {most, least, false, most, least, most, least};
  }
};

// Asks `f` about the ranges of three queries over 20 keys.
template <class Mask, class F>
void with_ranges(const Mask& mask, Index first_position, const F& f) {
  answer_by(
      [&](const auto& call, const auto&) {
        hr::detail::scratch memory;
        f(hr::detail::row_ranges(call, {0, 1, 0, 3}, memory));
      },
      problem({3, 20, 1, 1, 8, 8}), mask, {.first_position = first_position});
}

}  // namespace

TEST_CASE("ranges of rows are clamped, and their union covers them") {
  with_ranges(hr::sliding_window(4), -2,
              [](const auto& ranges) { CHECK((ranges.begin() == 0 && ranges.end() == 20)); });
  with_ranges(hr::causal(), -2, [](const auto& ranges) {
    CHECK((ranges.begin() == 0 && ranges.end() == 1));
    CHECK(ranges.in_tile(0, 0, 20).empty());
    CHECK(ranges.in_tile(2, 0, 20).end == 1);
  });
  with_ranges(hr::causal() & hr::sliding_window(2), 10, [](const auto& ranges) {
    CHECK((ranges.begin() == 9 && ranges.end() == 13));
    CHECK(ranges.in_tile(1, 0, 20).full);
  });
}

TEST_CASE("what a row sees of a tile is given from the tile's first key") {
  with_ranges(hr::causal() & hr::sliding_window(5), 10, [](const auto& ranges) {
    const auto middle = ranges.in_tile(0, 8, 10);  // row 0 sees keys [6, 11)
    CHECK((middle.begin == 0 && middle.end == 3));
    CHECK(ranges.in_tile(0, 0, 6).empty());
    CHECK(ranges.in_tile(0, 11, 9).empty());
  });
}

TEST_CASE("a tile within the part that a mask shows unasked is full") {
  const auto holes = hr::mask([](const hr::query_row&, Index key) { return key % 2 == 0; });
  with_ranges(hr::causal() & (hr::prefix(12) | holes), 15, [](const auto& ranges) {
    CHECK(ranges.in_tile(0, 0, 12).full);
    CHECK(ranges.in_tile(0, 4, 8).full);
    const auto across = ranges.in_tile(0, 8, 6);  // shows keys [0, 12)
    CHECK((across.begin == 0 && across.end == 6 && !across.full));
    CHECK((across.full_begin == 0 && across.full_end == 4));
    const auto after = ranges.in_tile(0, 12, 8);  // row 0 stands at 15
    CHECK((after.end == 4 && !after.full && after.full_begin == after.full_end));
    CHECK(ranges.in_tile(0, 16, 4).full);  // none of them, and none to ask for
  });
}

TEST_CASE("ranges may be as large as numbers are") {
  with_ranges(all_numbers(), 0, [](const auto& ranges) {
    CHECK((ranges.begin() == 0 && ranges.end() == 20));
    CHECK(ranges.in_tile(0, 13, 7).full);
    CHECK(ranges.in_tile(1, 13, 7).empty());
    CHECK(ranges.in_tile(2, 13, 7).empty());
  });
}

TEST_CASE("what is hidden between a prefix and a window is told of all rows, and cut off tiles") {
  const auto mask = hr::causal() & (hr::sliding_window(4) | hr::prefix(2));
  with_ranges(mask, 12, [](const auto& ranges) {  // of the rows, at 12 to 14: [2, 9) to [2, 11)
    CHECK((ranges.begin() == 0 && ranges.end() == 15));
    CHECK((ranges.hidden().begin == 2 && ranges.hidden().end == 9));
    CHECK(ranges.in_tile(1, 3, 7).empty());
    CHECK(ranges.in_tile(1, 10, 5).full);
    const auto first = ranges.in_tile(1, 0, 8);
    CHECK((first.begin == 0 && first.end == 2 && !first.full));
    const auto last = ranges.in_tile(1, 5, 10);
    CHECK((last.begin == 5 && last.end == 9 && last.full));
    const auto across = ranges.in_tile(1, 0, 20);
    CHECK((across.begin == 0 && across.end == 14 && !across.full && across.full_begin == 10));
  });
  // The first row sees all keys up to its own, the others not.
  with_ranges(mask, 5,
              [](const auto& ranges) { CHECK(ranges.hidden().begin >= ranges.hidden().end); });
  // Cut by what comes after it.
  with_ranges(mask & hr::key_length(6), 12, [](const auto& ranges) {
    CHECK(ranges.hidden().end <= ranges.end());
    CHECK(ranges.in_tile(0, 0, 20).end == 2);
  });
}

TEST_CASE("a state lies within its memory, with room for whole packets") {
  for (const Index rows : {Index(1), Index(7), hr::detail::block_rows}) {
    std::vector<float> memory(static_cast<std::size_t>(hr::detail::state_size(rows, 9)));
    const auto state = hr::detail::state_in(memory.data(), rows, 9);
    CHECK(state.max >= memory.data());
    CHECK(state.sum - state.max >= hr::detail::block_rows);
    CHECK(state.value - state.sum >= hr::detail::block_rows);
    CHECK(state.value + rows * 9 <= memory.data() + memory.size());
  }
}

TEST_CASE("values are added for the keys that a row sees, one by one") {
  answer_by(
      [](const auto& call, const auto& source) {
        const auto run = source.values(0, 0, 20);
        const hr::detail::tile<float> values{run.rows, run.stride};
        std::vector<float> sum(8, 0);
        hr::detail::add_visible_values(
            call, call.row({0, 1, 0, 3}, 0), {2, 9, false}, 0,
            [](Index j) { return j < 6 ? 1.f : 2.f; }, values, 8, sum.data());
        for (Index d = 0; d < 8; ++d)
          CHECK(sum[static_cast<std::size_t>(d)] == values.row(3)[d] + 2 * values.row(6)[d]);
      },
      problem({3, 20, 1, 1, 8, 8}),
      hr::mask([](const hr::query_row&, Index key) { return key % 3 == 0; }));
}
