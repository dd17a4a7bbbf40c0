// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/packet.hpp>

#include <array>

namespace headroom_tests {

/// The numbers in a packet's lanes.
inline std::array<float, headroom::detail::lanes> numbers_of(const headroom::detail::packet& p) {
  std::array<float, headroom::detail::lanes> numbers;
  headroom::detail::store(numbers.data(), p);
  return numbers;
}

}  // namespace headroom_tests
