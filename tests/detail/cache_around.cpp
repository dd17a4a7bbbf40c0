// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a cache around another is made of whatever that is made of, on a pool and as a ring, too,
// and has its sizes. What each does with keys and values its own test holds it to.
#include <headroom/detail/cache_around.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/page_pool.hpp>
#include <headroom/paged_cache.hpp>
#include <headroom/ring_cache.hpp>
#include <headroom/rotated_cache.hpp>
#include <headroom/scaled_cache.hpp>

#include <concepts>

#include "support/catch.hpp"

namespace hr = headroom;
using Eigen::Index;

namespace {

using Cache = hr::kv_cache<float, 2, 8, 4>;
using AnyCache = hr::kv_cache<float>;
using Pages = hr::paged_cache<float, 2, 8, 4>;

template <class Around>
void check_sizes(const Around& cache, Index capacity) {
  CHECK(cache.tokens() == 0);
  CHECK(cache.capacity() == capacity);
  CHECK((cache.groups() == 2 && cache.qk_dim() == 8 && cache.v_dim() == 4));
  CHECK(cache.bytes_per_token() == 2 * (8 + 4) * 4);
  CHECK(cache.stored().capacity() == capacity);
}

template <template <class> class Around>
void check_made() {
  check_sizes(Around<Cache>(10), 10);
  check_sizes(Around<AnyCache>(10, 2, 8, 4), 10);
  const hr::ring_shape shape{.window = 10, .prefix = 3};
  check_sizes(Around<hr::ring_cache<Cache>>(shape), 13);
  check_sizes(Around<hr::ring_cache<AnyCache>>(shape, 2, 8, 4), 13);
  Pages::Pool pool(8, 4);
  check_sizes(Around<Pages>(pool), 32);
  check_sizes(Around<Pages>(pool, 7), 7);
  CHECK(Around<hr::ring_cache<Pages>>(shape, pool).groups() == 2);

  // Of nothing else.
  STATIC_REQUIRE_FALSE(std::constructible_from<Around<Cache>, Index, Index>);
  STATIC_REQUIRE_FALSE(std::constructible_from<Around<Cache>, const hr::ring_shape&>);
  STATIC_REQUIRE_FALSE(std::constructible_from<Around<Cache>, Pages::Pool&>);
  STATIC_REQUIRE_FALSE(std::constructible_from<Around<Cache>, Cache&&>);
  STATIC_REQUIRE_FALSE(std::convertible_to<Index, Around<Cache>>);
}

}  // namespace

TEST_CASE("caches around others are made as these are, and have their sizes") {
  check_made<hr::rotated_cache>();
  check_made<hr::scaled_cache>();
}
