// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: where a sequence is cut follows from the lengths of its prompts alone.
#include "piece.hpp"

#include "support/catch.hpp"

using serve::Index;
using serve::next_piece;
using serve::piece;

namespace {

std::vector<piece> pieces(const serve::prompt_parts& parts, Index chunk, Index from, Index known) {
  std::vector<piece> all;
  for (Index cached = from; cached < known; cached = all.back().end)
    all.push_back(next_piece(parts, chunk, cached, known));
  return all;
}

}  // namespace

TEST_CASE("No piece is in two parts, and what was written is apart") {
  REQUIRE(pieces({5, 3}, 4, 0, 14) ==
          std::vector<piece>{
              {0, 4, false}, {4, 5, false}, {5, 8, false}, {8, 12, true}, {12, 14, true}});
  REQUIRE(pieces({0, 8}, 4, 0, 8) == std::vector<piece>{{0, 4, false}, {4, 8, false}});
}

TEST_CASE("A prompt is cut alike, whether the system prompt was found or computed") {
  for (Index system = 0; system < 9; ++system)
    for (Index prompt = 1; prompt < 9; ++prompt)
      for (Index chunk = 1; chunk < 6; ++chunk) {
        const auto all = pieces({system, prompt}, chunk, 0, system + prompt);
        const auto found = pieces({system, prompt}, chunk, system, system + prompt);
        REQUIRE(std::equal(found.rbegin(), found.rend(), all.rbegin()));
      }
}
