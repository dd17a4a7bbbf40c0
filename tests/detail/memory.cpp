// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: an array starts on a page, a large one on a huge page, and may be of any size, none
// included.
#include <headroom/detail/memory.hpp>

#include "support/catch.hpp"

#include <cstdint>

TEST_CASE("arrays start on a page, and all of them is there") {
  using headroom::detail::huge_page;
  constexpr auto huge = static_cast<Eigen::Index>(2 * huge_page / sizeof(float));
  for (const Eigen::Index size :
       {Eigen::Index(0), Eigen::Index(1), Eigen::Index(1000), huge - 1, huge, huge + 1001}) {
    const auto array = headroom::detail::uninitialised<float>(size);
    REQUIRE(array != nullptr);
    const std::size_t page = size < huge ? headroom::detail::page : huge_page;
    CHECK(reinterpret_cast<std::uintptr_t>(array.get()) % page == 0);
    for (Eigen::Index i = 0; i < size; ++i) array[static_cast<std::size_t>(i)] = 1;
  }
}
