// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: an operand is a float, or two numbers of 16 bits, and whole numbers are told from others.
#include <headroom/detail/operand.hpp>
#include <headroom/detail/packet_bfloat16.hpp>
#include <headroom/detail/packet_int16.hpp>

#include "support/catch.hpp"
#include "support/pairs.hpp"
#include "support/random.hpp"

#include <type_traits>

namespace hr = headroom::detail;
using namespace headroom_tests;

static_assert(!hr::is_pair<float> && hr::depth_of<float> == 1 && !hr::is_integer<float>);
static_assert(std::is_same_v<hr::number_of<float>, float>);

TEMPLATE_LIST_TEST_CASE("a pair of bfloat16 has a depth of two", "", bfloat16_pairs) {
  STATIC_REQUIRE(sizeof(TestType) == sizeof(float));
  STATIC_REQUIRE((hr::is_pair<TestType> && hr::depth_of<TestType> == 2));
  STATIC_REQUIRE(!hr::is_integer<TestType>);
  STATIC_REQUIRE(std::is_same_v<hr::number_of<TestType>, Eigen::bfloat16>);
}

TEMPLATE_LIST_TEST_CASE("a pair of whole numbers has a depth of two", "", int16_pairs) {
  STATIC_REQUIRE(sizeof(TestType) == sizeof(float));
  STATIC_REQUIRE((hr::is_pair<TestType> && hr::depth_of<TestType> == 2));
  STATIC_REQUIRE(hr::is_integer<TestType>);
  STATIC_REQUIRE(std::is_same_v<hr::number_of<TestType>, std::int16_t>);
}

TEST_CASE("widened pairs add both of their products to each lane") {
  random_source random(75);
  float numbers[5][hr::lanes], got[hr::lanes];
  for (auto& row : numbers)
    for (float& x : row) x = static_cast<float>(random.integer(-99, 99));  // no sum rounds
  const hr::widened_pairs a{hr::load(numbers[0]), hr::load(numbers[1])};
  const hr::widened_pairs b{hr::load(numbers[2]), hr::load(numbers[3])};
  hr::store(got, hr::as_floats(hr::multiply_add(a, b, hr::load(numbers[4]))));
  for (int i = 0; i < hr::lanes; ++i)
    REQUIRE(got[i] ==
            numbers[0][i] * numbers[2][i] + numbers[1][i] * numbers[3][i] + numbers[4][i]);
}
