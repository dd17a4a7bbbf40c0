// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a sequence refers to its source, which cannot be a temporary, and keeps its mask and its
// position.
#include <headroom/batch_sequence.hpp>
#include <headroom/kv_cache.hpp>

#include "support/catch.hpp"

#include <array>
#include <type_traits>
#include <vector>

namespace hr = headroom;

namespace {

using Cache = hr::kv_cache<float, 2, 4>;
using plain = hr::batch_sequence<Cache>;
using windowed = hr::batch_sequence<Cache, hr::sliding_window>;

static_assert(!std::is_constructible_v<plain, Cache>);
static_assert(!std::is_constructible_v<windowed, const Cache, hr::sliding_window>);
static_assert(hr::detail::sequence_range<std::vector<plain>>);
static_assert(hr::detail::sequence_range<std::array<windowed, 3>>);
static_assert(!hr::detail::sequence_range<std::vector<Cache>>);

}  // namespace

TEST_CASE("a sequence is its source, its mask and its position, where one is given") {
  const Cache cache(3);
  const plain all(cache);
  CHECK(&all.source() == &cache);
  CHECK(!all.first_position());
  const windowed some(cache, hr::sliding_window(7), -2);
  CHECK(&some.source() == &cache);
  CHECK(some.mask().window == 7);
  CHECK(some.first_position() == -2);
}
