// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: an array starts on a page, a large one on a huge page, and may be of any size, none
// included, but for more than memory counts; what moves leaves nothing behind.
#include <headroom/detail/memory.hpp>

#include "support/catch.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

TEST_CASE("arrays start on a page, and all of them is there") {
  using headroom::detail::huge_page;
  constexpr auto huge = static_cast<Eigen::Index>(2 * huge_page / sizeof(float));
  for (const Eigen::Index size :
       {Eigen::Index(0), Eigen::Index(1), Eigen::Index(1000), huge - 1, huge, huge + 1001}) {
    const auto array = headroom::detail::uninitialised<float>(size);
    REQUIRE(array.get() != nullptr);
    const std::size_t page = size < huge ? headroom::detail::page : huge_page;
    CHECK(reinterpret_cast<std::uintptr_t>(array.get()) % page == 0);
    for (Eigen::Index i = 0; i < size; ++i) array[static_cast<std::size_t>(i)] = 1;
  }
}

TEST_CASE("an array that moves is in one place") {
  using array = headroom::detail::aligned_array<int>;
  static_assert(std::is_nothrow_move_assignable_v<array>);
  // What holds one asks this to know whether it can be copied itself.
  static_assert(!std::is_copy_constructible_v<array> && !std::is_copy_assignable_v<array>);
  array first = headroom::detail::uninitialised<int>(3);
  int* const memory = first.get();
  array second = std::move(first);
  CHECK(second.get() == memory);
  CHECK(first.get() == nullptr);
  first = headroom::detail::uninitialised<int>(5);
  CHECK(first.get() != memory);
  first = std::move(second);
  CHECK(first.get() == memory);
  CHECK(second.get() == nullptr);
  CHECK(array().get() == nullptr);
}

TEST_CASE("arrays on memory that was freed leave what lies beside them as it is") {
  using array = std::vector<unsigned char>;
  constexpr std::size_t huge = 2 * headroom::detail::huge_page;
  std::vector<array> beside;
  for (unsigned char i = 0; i < 8; ++i) {
    // Freed, it comes from the same memory the next time, and what is kept from behind it.
    { const array freed(huge + headroom::detail::huge_page + 5000, i); }
    const auto large =
        headroom::detail::uninitialised<char>(static_cast<Eigen::Index>(huge + 1000));
    beside.emplace_back(std::size_t(1) << (6 + i), i);
    large[0] = large[huge + 999] = 1;
    for (std::size_t j = 0; j < beside.size(); ++j)
      CHECK(beside[j] == array(beside[j].size(), static_cast<unsigned char>(j)));
  }
}

TEST_CASE("a cache line has as many elements as fit, and one at least") {
  struct piece {
    char bytes[65];
  };
  CHECK(headroom::detail::elements_of_line<float> == 16);
  CHECK(headroom::detail::elements_of_line<char[64]> == 1);
  CHECK(headroom::detail::elements_of_line<piece> == 1);
}

TEST_CASE("sizes are multiplied, unless no memory can hold so many bytes") {
  using headroom::Index;
  constexpr Index most = std::numeric_limits<Index>::max();
  CHECK(headroom::detail::array_size<float>("who", {3, 4, 5}) == 60);
  CHECK(headroom::detail::array_size<float>("who", {3, 0, most}) == 0);
  CHECK(headroom::detail::array_size<float>("who", {most / 4}) == most / 4);
  CHECK_THROWS_AS(headroom::detail::array_size<float>("who", {3, -1}), std::length_error);
  CHECK_THROWS_WITH(headroom::detail::array_size<float>("who", {Index(1) << 60, 1, 2}),
                    "who: an array [1152921504606846976, 1, 2] of 4 bytes each, expected at most "
                    "9223372036854775807 bytes in all");
}

TEST_CASE("a count goes with what it counts") {
  headroom::detail::held_count count(5);
  count += 2;
  count -= 1;
  const headroom::detail::held_count copy = count;
  headroom::detail::held_count moved = std::move(count);
  CHECK((copy == 6 && moved == 6 && count == 0));
  count = std::move(moved);
  CHECK((count == 6 && moved == 0));
}
