// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a bar grows with what is done and is full when all of it is, never before and never wider.
#include "progress.hpp"
#include "support/catch.hpp"

using generate::progress_bar;

TEST_CASE("A bar shows the part that is done") {
  REQUIRE(progress_bar("serving", 0, 2.1) == "serving [                    ] 0 %, 2 s");
  REQUIRE(progress_bar("serving", 0.459, 12) == "serving [#########           ] 45 %, 12 s");
  REQUIRE(progress_bar("serving", 0.9999, 60) == "serving [################### ] 99 %, 60 s");
  REQUIRE(progress_bar("serving", 1, 61) == "serving [####################] 100 %, 61 s");
}

TEST_CASE("A bar keeps its width whatever it is told") {
  REQUIRE(progress_bar("job", -0.5, 3) == progress_bar("job", 0, 3));
  REQUIRE(progress_bar("job", 1.5, 3) == progress_bar("job", 1, 3));
}
