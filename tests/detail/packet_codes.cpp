// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: codes become the numbers that they stand for, whatever the instruction set.
#include <headroom/detail/packet_codes.hpp>

#include "support/catch.hpp"
#include "support/packets.hpp"

#include <array>
#include <cmath>
#include <cstdint>

namespace hr = headroom::detail;
using headroom_tests::numbers_of;
using hr::lanes;

TEST_CASE("all bytes are taken apart: nibbles, and codes of fp8") {
  std::array<std::uint8_t, 256 + lanes> bytes;
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i);
  for (std::size_t first = 0; first < 256; ++first) {
    const std::uint8_t* const from = bytes.data() + first;
    const auto low = numbers_of(hr::load_nibbles<0>(from));
    const auto high = numbers_of(hr::load_nibbles<4>(from));
    const auto fp8 = numbers_of(hr::load_e4m3(from));
    for (std::size_t i = 0; i < std::size_t(lanes); ++i) {
      const int code = from[i], exponent = code >> 3 & 15, fraction = code & 7;
      REQUIRE(low[i] == float(code % 16));
      REQUIRE(high[i] == float(code / 16));
      const float size = exponent == 0 ? std::ldexp(float(fraction), -9)
                                       : std::ldexp(float(8 + fraction), exponent - 10);
      REQUIRE(fp8[i] * 256 == (code < 128 ? size : -size));
      REQUIRE(std::signbit(fp8[i]) == (code >= 128));
    }
    for (Eigen::Index count = 0; count <= lanes; ++count) {
      const auto some = numbers_of(hr::load_first_e4m3(from, count));
      for (std::size_t i = 0; i < std::size_t(lanes); ++i)
        REQUIRE(some[i] == (i < std::size_t(count) ? fp8[i] : 0.f));
    }
  }
}
