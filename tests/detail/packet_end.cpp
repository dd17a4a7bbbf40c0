// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: of a packet at the end of a row, the numbers that are there are taken, and 0 in place of
// the others, whatever lies behind; what lies there stays.
#include <headroom/detail/packet_end.hpp>

#include "support/catch.hpp"
#include "support/packets.hpp"
#include "support/random.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace hr = headroom::detail;
using Eigen::Index;
using headroom_tests::numbers_of;
using hr::lanes;

TEMPLATE_TEST_CASE("the first numbers are widened, and the others are 0", "", float, Eigen::half,
                   Eigen::bfloat16, std::int8_t) {
  headroom_tests::random_source random(91);
  for (Index count = 0; count <= lanes; ++count) {
    // No memory behind the last number: address sanitizers see what reads there.
    std::vector<TestType> stored;
    for (Index i = 0; i < count; ++i)
      stored.push_back(static_cast<TestType>(random.integer(-127, 127)));
    const auto numbers = numbers_of(hr::load_first(stored.data(), count));
    for (Index i = 0; i < lanes; ++i)
      REQUIRE(numbers[static_cast<std::size_t>(i)] ==
              (i < count ? static_cast<float>(stored[static_cast<std::size_t>(i)]) : 0.f));
  }
}

TEST_CASE("what lies behind is neither taken nor overwritten") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (Index count = 0; count <= lanes; ++count) {
    std::vector<float> from(lanes, nan), to(lanes, 7.f), kept(lanes);
    for (Index i = 0; i < count; ++i) from[static_cast<std::size_t>(i)] = static_cast<float>(i);
    const hr::packet first = hr::load_first(from.data(), count);
    hr::store_first(to.data(), first, count);
    hr::store(kept.data(), hr::first_of(hr::load(from.data()), count));
    for (Index i = 0; i < lanes; ++i) {
      const auto at = static_cast<std::size_t>(i);
      REQUIRE(to[at] == (i < count ? static_cast<float>(i) : 7.f));
      REQUIRE(kept[at] == (i < count ? static_cast<float>(i) : 0.f));
    }
  }
}
