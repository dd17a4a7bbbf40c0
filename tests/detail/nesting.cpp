// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: what a cache holds, and what it is made on, is known through all that is around it.
// tests/compile_fail has the sentences where one cache does not go into another.
#include <headroom/detail/nesting.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/latent_cache.hpp>
#include <headroom/paged_cache.hpp>
#include <headroom/paged_latents.hpp>
#include <headroom/ring_cache.hpp>
#include <headroom/rotated_cache.hpp>
#include <headroom/scaled_cache.hpp>

#include "support/catch.hpp"

namespace hr = headroom;
using hr::detail::drops_tokens;
using hr::detail::holds_latents;
using hr::detail::is_on_pages;

namespace {

using tokens = hr::kv_cache<float, 2, 8>;
using latents = hr::latent_cache<float, 16, 4>;
using ring_of_latents = hr::ring_cache<latents>;

}  // namespace

TEST_CASE("latents are found in a cache, on pages and in a ring") {
  STATIC_REQUIRE(holds_latents<latents>());
  STATIC_REQUIRE(holds_latents<hr::paged_latents<float, 16, 4>>());
  STATIC_REQUIRE(holds_latents<ring_of_latents>());
  STATIC_REQUIRE_FALSE(holds_latents<tokens>());
  STATIC_REQUIRE_FALSE(holds_latents<hr::paged_cache<float, 2, 8>>());
  STATIC_REQUIRE_FALSE(holds_latents<hr::rotated_cache<hr::ring_cache<tokens>>>());
}

TEST_CASE("only a sequence of a pool is on pages") {
  STATIC_REQUIRE(is_on_pages<hr::paged_cache<float, 2, 8>>());
  STATIC_REQUIRE(is_on_pages<hr::paged_latents<float, 16, 4>>());
  STATIC_REQUIRE_FALSE(is_on_pages<tokens>());
  STATIC_REQUIRE_FALSE(is_on_pages<latents>());
  STATIC_REQUIRE_FALSE(is_on_pages<hr::scaled_cache<tokens>>());
}

TEST_CASE("a ring drops tokens, whatever is around it") {
  STATIC_REQUIRE(drops_tokens<ring_of_latents>());
  STATIC_REQUIRE(drops_tokens<hr::rotated_cache<hr::scaled_cache<hr::ring_cache<tokens>>>>());
  STATIC_REQUIRE_FALSE(drops_tokens<tokens>());
  STATIC_REQUIRE_FALSE(drops_tokens<hr::rotated_cache<tokens>>());
}
