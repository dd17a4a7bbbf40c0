// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a size is at least 1 or Eigen::Dynamic; one that the template fixes must be given the same
// at run time. A broken rule throws std::invalid_argument with its sentence, a rule that holds
// costs nothing. tests/compile_fail has the rules that the compiler checks.
#include <headroom/detail/checks.hpp>

#include "support/catch.hpp"

namespace hr = headroom;
using headroom_tests::contains;
using hr::detail::extent;
using hr::detail::require;

TEST_CASE("a broken rule throws its sentence, numbers included") {
  CHECK_NOTHROW(require(true, "never", 1));
  CHECK_THROWS_AS(require(false, "k"), std::invalid_argument);
  CHECK_THROWS_WITH(require(false, "who", ": k has ", 7, " heads, expected ", 8UL),
                    "who: k has 7 heads, expected 8");
  CHECK_THROWS_WITH(require(false, "softcap = ", -0.5f), contains("softcap = -0.5"));
}

TEST_CASE("a fixed size accepts itself and nothing else") {
  CHECK(extent<8>(8, "who", "heads").value() == 8);
  CHECK_THROWS_AS(extent<8>(7, "who", "heads"), std::invalid_argument);
  CHECK_THROWS_WITH(extent<8>(7, "who", "heads"),
                    "who: heads = 7 was given, expected 8 as in the template");
}

TEST_CASE(
    "a size known at run time is at least 1, or another least size, and no more than an int") {
  CHECK(extent<Eigen::Dynamic>(7, "who", "heads").value() == 7);
  CHECK_THROWS_AS(extent<Eigen::Dynamic>(0, "who", "heads"), std::invalid_argument);
  CHECK_THROWS_WITH(extent<Eigen::Dynamic>(-3, "who", "heads"),
                    "who: heads = -3 was given, expected at least 1");
  CHECK(extent<Eigen::Dynamic>(0, "who", "rope", 0).value() == 0);
  CHECK_THROWS_WITH(extent<Eigen::Dynamic>(-1, "who", "rope", 0),
                    "who: rope = -1 was given, expected at least 0");
  CHECK_THROWS_WITH(extent<Eigen::Dynamic>(hr::Index(1) << 31, "who", "heads"),
                    "who: heads = 2147483648 was given, expected at most 2147483647");
}

TEST_CASE("sizes of a template are at least 1 or dynamic") {
  STATIC_REQUIRE(hr::detail::is_size(1));
  STATIC_REQUIRE(hr::detail::is_size(Eigen::Dynamic));
  STATIC_REQUIRE_FALSE(hr::detail::is_size(0));
  STATIC_REQUIRE_FALSE(hr::detail::is_size(-2));
  STATIC_REQUIRE(hr::detail::is_size(0, 0));
  STATIC_REQUIRE(hr::detail::all_fixed<1, 8, 128>);
  STATIC_REQUIRE_FALSE(hr::detail::all_fixed<1, Eigen::Dynamic, 128>);
}
