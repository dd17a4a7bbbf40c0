// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: steps are whole lines of any number of rows; who multiplies little asks less far ahead.
#include <headroom/detail/dot_block.hpp>
#include <headroom/detail/read_pace.hpp>

#include <headroom/kv_cache.hpp>

#include "support/catch.hpp"

using namespace headroom::detail;
using headroom::Index;

TEST_CASE("steps are whole lines, and as many keys as are taken at a time") {
  for (Index rows = 1; rows <= most_dot_rows; ++rows)
    for (const Index bytes : {1, 2, 4}) {
      const Index step = read_pace::of(rows, 100, bytes * 100, row_layout::side_by_side).step_keys;
      CHECK(step % line_shape::of(1, rows).keys == 0);
      CHECK(step % most_line_keys == 0);
      CHECK(step >= least_streamed_keys);
    }
}

TEST_CASE("who multiplies little asks less far ahead") {
  const auto ahead = [](Index rows, Index bytes) {
    return read_pace::of(rows, 256, 256 * bytes, row_layout::side_by_side).ahead;
  };
  const read_ahead light = ahead(1, 4), heavy = ahead(8, 4);
  CHECK(light.far < heavy.far);
  CHECK(light.near < heavy.near);
  for (const auto& [rows, bytes] : {std::pair<Index, Index>{2, 4}, {1, 2}})
    CHECK(ahead(rows, bytes).far == light.far);
  for (const auto& [rows, bytes] : {std::pair<Index, Index>{3, 4}, {2, 2}, {1, 1}})
    CHECK(ahead(rows, bytes).far == heavy.far);
}

TEST_CASE("what memory bounds seldom alternates between keys and values") {
  const auto step = [](Index rows, Index bytes) {
    return read_pace::of(rows, 256, 256 * bytes, row_layout::side_by_side).step_keys;
  };
  for (const Index bytes : {2, 4})
    for (const Index rows : {1, 2, 4}) CHECK(step(rows, bytes) > step(8, bytes));
  CHECK(step(1, 1) == step(8, 4));
}

TEST_CASE("rows apart of fewer than 16 bits, and a row's of floats in pages, are asked for once") {
  for (const Index rows : {1, 4, 8})
    for (const Index bytes : {260, 512, 1024})
      for (const auto layout :
           {row_layout::side_by_side, row_layout::apart, row_layout::in_pages}) {
        const bool near = read_pace::of(rows, 256, bytes, layout).ahead.near > 0;
        const bool row_of_floats = rows == 1 && bytes == 1024 && layout == row_layout::in_pages;
        CHECK(near == (!row_of_floats && (layout == row_layout::side_by_side || bytes >= 512)));
      }
}

TEST_CASE("steps, and with them results, do not depend on where rows lie") {
  for (const Index rows : {1, 2, 4})
    for (const Index bytes : {1, 2, 4}) {
      const auto pace = [&](row_layout layout) {
        return read_pace::of(rows, 256, 256 * bytes, layout);
      };
      for (const auto layout : {row_layout::apart, row_layout::in_pages})
        CHECK(pace(row_layout::side_by_side).step_keys == pace(layout).step_keys);
      CHECK(pace(row_layout::apart).ahead.far == read_ahead().far);
    }
}

TEST_CASE("one row over weights of 16 bits has a pace of its own") {
  constexpr Index row = 8192, stream = 1 << 20;
  const read_ahead half = read_pace::of_keys(1, 2, row, stream),
                   floats = read_pace::of_keys(1, 4, 2 * row, stream),
                   brief = read_pace::of_keys(1, 2, 1024, stream);
  const bool across = read_pace::loads_across_lines(1, 2, row);
  CHECK(across == (lanes == 16));
  CHECK(half.far == (across ? 1 : 2) * read_ahead().far);
  CHECK(half.near == (across ? 3 * read_ahead().near : read_ahead().near));
  CHECK((brief.far < read_ahead().far && floats.far < brief.far));
  CHECK(read_pace::of_keys(1, 2, 1024, 32 << 10).far == brief.far);
  CHECK(read_pace::of_keys(1, 2, 1024, 16 << 10).far < brief.far);
  CHECK(read_pace::of_keys(1, 2, 100, 100).far > read_ahead().near);
  CHECK_FALSE(read_pace::loads_across_lines(1, 2, 2048));
  CHECK_FALSE(read_pace::loads_across_lines(1, 4, row));
  CHECK_FALSE(read_pace::loads_across_lines(2, 2, row));
  CHECK(read_pace::of_keys(2, 2, row, stream).far == read_ahead().far);
  CHECK(read_pace::of_keys(8, 4, row, stream).far == read_ahead().far);
  CHECK(read_pace::of_values(1).far < read_pace::of_values(2).far);
}

TEST_CASE("a source's pace is that of its rows, and of how they lie") {
  const headroom::kv_cache<float> cache(8, 2, 64, 32);
  const read_pace pace = pace_of(cache, 1, 8, 1),
                  own = read_pace::of(1, 96, 4 * 96, row_layout::side_by_side);
  CHECK(pace.step_keys == own.step_keys);
  CHECK(pace.ahead.far == own.ahead.far);
  CHECK(pace_of(cache, 1, 8, 8).step_keys < pace.step_keys);
  CHECK(pace_of(cache, 0, 0, 1).ahead.far == read_ahead().far);
  // Rows of two groups by turns.
  const std::vector<float> numbers(8 * 2 * 64);
  const headroom::view<const float> tokens = headroom::tokens_major(numbers.data(), 8, 2, 64);
  CHECK(pace_of(headroom::view_source(tokens, tokens), 0, 8, 1).ahead.far == read_ahead().far);
}
