// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a channel's share is its largest number over that of its group, and never too small.
#include <headroom/detail/channel_shares.hpp>

#include <array>
#include <limits>

#include "support/catch.hpp"

namespace hr = headroom;

TEST_CASE("shares are of each group's largest number, whatever its sign and other groups") {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  const std::array<float, 16> keys = {1, -8, 0, 2,         // token 0, group 0
                                      0, 0,  0, infinity,  // group 1
                                      3, 4,  0, 2,         // token 1, group 0
                                      0, 0,  0, 0};
  std::array<float, 8> shares;
  hr::detail::channel_shares(hr::tokens_major<const float>(keys.data(), 2, 2, 4), shares.data());
  CHECK(shares == std::array<float, 8>{0.5f, 1, 0.5f, 0.5f, 1, 1, 1, 1});  // 3 / 8 is below 1 / 2
}
