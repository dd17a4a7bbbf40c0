// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a cache takes what it has room for, tokens that it has, and keys and values of its sizes.
// Everything else it refuses under its own name, with what was given and what was expected.
#include <headroom/detail/cache_checks.hpp>

#include <limits>
#include <stdexcept>

#include "support/catch.hpp"
#include "support/poison.hpp"
#include "support/refusal.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using namespace hr::detail;
using Eigen::Index;

TEST_CASE("what there is room for is taken, to the last token") {
  CHECK_NOTHROW(require_room("cache", 3, 5, 8));
  CHECK_THROWS_AS(require_room("cache", 4, 5, 8), std::length_error);
  CHECK_THROWS_WITH(require_room("cache", 4, 5, 8),
                    "cache: appending 4 tokens to 5 exceeds the capacity of 8");
  // However many they are.
  CHECK_THROWS_AS(require_room("cache", std::numeric_limits<Index>::max(), 5, 8),
                  std::length_error);
}

TEST_CASE("a range of tokens begins and ends within those that there are") {
  CHECK_NOTHROW(require_tokens("cache", "erasing", 0, 8, 8));
  CHECK_NOTHROW(require_tokens("cache", "erasing", 8, 8, 8));
  CHECK(refusal_of([] { require_tokens("cache", "erasing", 3, 9, 8); }) ==
        "cache: erasing tokens [3, 9), expected a range within size = 8");
  CHECK(refusal_of([] { require_tokens("cache", "erasing", 5, 4, 8); }) ==
        "cache: erasing tokens [5, 4), expected a range within size = 8");
  CHECK(refusal_of([] { require_tokens("cache", "erasing", -1, 4, 8); }) ==
        "cache: erasing tokens [-1, 4), expected a range within size = 8");
}

TEST_CASE("another cache is of this one's sizes") {
  CHECK_NOTHROW(require_same_size("cache", "qk_dim", 8, 8));
  CHECK(refusal_of([] { require_same_size("cache", "qk_dim", 7, 8); }) ==
        "cache: other has qk_dim = 7, expected 8");
}

TEST_CASE("a token is one of those that there are") {
  CHECK_NOTHROW(require_token("cache", 7, 8));
  CHECK(refusal_of([] { require_token("cache", 8, 8); }) ==
        "cache: token 8, expected one of size = 8");
  CHECK(refusal_of([] { require_token("cache", -1, 8); }) ==
        "cache: token -1, expected one of size = 8");
}

TEST_CASE("what is written lies within what there is, wherever it begins") {
  CHECK_NOTHROW(require_written("cache", "keys", 5, 3, 8));
  CHECK_NOTHROW(require_written("cache", "keys", 8, 0, 8));
  CHECK(refusal_of([] { require_written("cache", "keys", 5, 4, 8); }) ==
        "cache: writing keys of 4 tokens from 5 on, expected a range within size = 8");
  CHECK(refusal_of([] { require_written("cache", "keys", -1, 1, 8); }) ==
        "cache: writing keys of 1 tokens from -1 on, expected a range within size = 8");
  const Index last = std::numeric_limits<Index>::max();
  CHECK(refusal_of([=] { require_written("cache", "keys", last, 4, 8); }) ==
        "cache: writing keys of 4 tokens from 9223372036854775807 on, expected a range within "
        "size = 8");
}

TEST_CASE("truncating keeps no more than there is") {
  CHECK_NOTHROW(require_truncation("cache", 8, 8));
  CHECK(refusal_of([] { require_truncation("cache", 9, 8); }) ==
        "cache: truncate to 9 tokens, expected 0 to size = 8");
  CHECK(refusal_of([] { require_truncation("cache", -1, 8); }) ==
        "cache: truncate to -1 tokens, expected 0 to size = 8");
}

TEST_CASE("new keys and values are of the cache's sizes, and as many") {
  const tensor<float> k(3, 2, 8), v(3, 2, 5);
  const auto given = [](const auto& keys, const auto& values) {
    return refusal_of([&] {
      const new_keys_and_values added("cache", keys.view(), values.view(), 2, 8, 5);
      CHECK((added.keys.tokens() == 3 && added.values.tokens() == 3));
    });
  };
  CHECK(given(k, v) == "nothing was thrown");
  CHECK(given(tensor<float>(3, 1, 8), v) == "cache: k has 1 heads, expected KV_groups = 2");
  CHECK(given(tensor<float>(3, 2, 7), v) == "cache: k has width 7, expected 8");
  CHECK(given(k, tensor<float>(3, 3, 5)) == "cache: v has 3 heads, expected KV_groups = 2");
  CHECK(given(k, tensor<float>(3, 2, 8)) == "cache: v has width 8, expected 5");
  CHECK(given(k, tensor<float>(2, 2, 5)) == "cache: v has 2 tokens, expected 3 as k");
}
