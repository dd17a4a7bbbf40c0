// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: offsets are one for each part and the end, from 0, never falling, to the number of things,
// in integers of any type; others are refused by name.
#include <headroom/detail/packed_offsets.hpp>

#include "support/catch.hpp"

#include <array>
#include <cstdint>
#include <list>
#include <span>
#include <stdexcept>
#include <vector>

using headroom::Index;
using headroom::detail::check_offsets;
using headroom::detail::offset_range;
using headroom_tests::contains;

static_assert(offset_range<std::vector<int>> && offset_range<std::span<const Index>>);
static_assert(offset_range<std::array<std::uint8_t, 3>>);
static_assert(!offset_range<std::vector<float>> && !offset_range<std::list<int>>);

TEST_CASE("parts are packed one after another, and may be empty") {
  const std::array<std::uint16_t, 4> offsets = {0, 40000, 40000, 60000};
  CHECK_NOTHROW(check_offsets("who", "ends", offsets, 3, 60000, "tokens"));
  CHECK(headroom::detail::length(offsets) == 4);
  CHECK(headroom::detail::offset(offsets, 2) == 40000);
  CHECK_NOTHROW(check_offsets("who", "ends", std::vector<int>{0}, 0, 0, "tokens"));
}

TEST_CASE("offsets that are none are refused by name") {
  const auto check = [](const std::vector<int>& offsets) {
    check_offsets("who", "ends", offsets, 2, 9, "tokens");
  };
  CHECK_NOTHROW(check({0, 4, 9}));
  CHECK_THROWS_AS(check({0, 9}), std::invalid_argument);
  CHECK_THROWS_WITH(check({0, 9}),
                    "who: 2 ends were given, expected 3, where each of 2 begins and the last ends");
  CHECK_THROWS_WITH(check({1, 4, 9}), contains("who: ends[0] = 1, expected 0"));
  CHECK_THROWS_WITH(
      check({0, 10, 9}),
      contains("who: ends not monotone: ends[2] = 9, expected at least ends[1] = 10"));
  CHECK_THROWS_WITH(check({0, 4, 8}), contains("who: ends[2] = 8, expected tokens = 9"));
}
