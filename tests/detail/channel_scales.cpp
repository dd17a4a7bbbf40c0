// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: scales are where they were moved to last, and know whether they were given.
#include <headroom/detail/channel_scales.hpp>

#include "support/catch.hpp"

#include <array>

using headroom::detail::channel_scales;

TEST_CASE("scales move with what is known of them, and none are left") {
  channel_scales from({1, 2, 3}, true);
  channel_scales to(std::move(from));
  CHECK((to.given() && to.data()[2] == 3));
  CHECK((from.empty() && !from.given()));
  from = {{4}, false};
  CHECK((from.data()[0] == 4 && !from.given()));
  from = std::move(to);
  CHECK((from.given() && from.data()[0] == 1 && to.empty()));
}

TEST_CASE("scales that are moved to themselves, or copied, stay") {
  channel_scales scales({1, 2}, true);
  channel_scales& itself = scales;
  scales = std::move(itself);
  CHECK((scales.given() && scales.data()[1] == 2));
  const channel_scales copy = scales;
  CHECK((copy.given() && copy.data()[1] == 2 && !scales.empty()));
}

TEST_CASE("scales that are taken lie where others did") {
  channel_scales scales({1, 2}, true);
  const float* const memory = scales.data();
  const std::array<float, 2> taken = {3, 4};
  scales.take(taken.data(), 2);
  CHECK((scales.data() == memory && scales.data()[1] == 4 && !scales.given()));
}
