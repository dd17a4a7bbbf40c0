// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: an array starts on a cache line and may be of any size, none included.
#include <headroom/detail/memory.hpp>

#include "support/catch.hpp"

#include <cstdint>

TEST_CASE("arrays start on a cache line") {
  for (const Eigen::Index size : {0, 1, 3, 1000}) {
    const auto array = headroom::detail::uninitialised<float>(size);
    REQUIRE(array != nullptr);
    CHECK(reinterpret_cast<std::uintptr_t>(array.get()) % headroom::detail::page == 0);
    for (Eigen::Index i = 0; i < size; ++i) array[static_cast<std::size_t>(i)] = 1;
  }
}
