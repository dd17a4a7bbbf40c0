// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: what is done to the bits of a packet is done to those of each lane, and of a float as of a
// lane.
#include <headroom/detail/packet_bits.hpp>

#include "support/catch.hpp"
#include "support/packets.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace hr = headroom::detail;
using headroom_tests::numbers_of;
using hr::lanes;

namespace {

std::uint32_t bits_of(float x) {
  return std::bit_cast<std::uint32_t>(x);
}

const std::vector<float> numbers = {0.f,     -0.f,  1.f,      -1.5f,   0x1p-126f, 0x1p-149f, 3e38f,
                                    -2.25f,  1e-3f, 0x1.8p9f, 127.f,   -1e-30f,   0.3f,      7e7f,
                                    -0x1p9f, 2.f,   -3.f,     0x1p-6f, 448.f};

std::array<float, lanes> from(std::size_t first) {
  std::array<float, lanes> row;
  for (std::size_t i = 0; i < row.size(); ++i) row[i] = numbers[(first + i) % numbers.size()];
  return row;
}

}  // namespace

TEST_CASE("bits are shifted, masked, joined and taken away, lane by lane") {
  for (std::size_t first = 0; first < numbers.size(); ++first) {
    const auto a = from(first), b = from(first + 5);
    const hr::packet x = hr::load(a.data()), y = hr::load(b.data());
    const auto left = numbers_of(hr::shift_bits_left<16>(x));
    const auto right = numbers_of(hr::shift_bits_right<20>(x));
    const auto masked = numbers_of(hr::masked(x, 0x7f800000u));
    const auto either = numbers_of(hr::either(x, y));
    const auto without = numbers_of(hr::without(x, y));
    const auto less = numbers_of(hr::where_less(x, y, 0x00800000u));
    for (std::size_t i = 0; i < a.size(); ++i) {
      const std::uint32_t p = bits_of(a[i]), q = bits_of(b[i]);
      REQUIRE(bits_of(left[i]) == p << 16);
      REQUIRE(bits_of(right[i]) == p >> 20);
      REQUIRE(bits_of(masked[i]) == (p & 0x7f800000u));
      REQUIRE(bits_of(either[i]) == (p | q));
      REQUIRE(bits_of(without[i]) == (p & ~q));
      REQUIRE(bits_of(less[i]) == (a[i] < b[i] ? 0x00800000u : 0u));
      REQUIRE(bits_of(hr::shift_bits_left<16>(a[i])) == p << 16);
      REQUIRE(bits_of(hr::shift_bits_right<20>(a[i])) == p >> 20);
      REQUIRE(bits_of(hr::masked(a[i], 0x7f800000u)) == (p & 0x7f800000u));
      REQUIRE(bits_of(hr::either(a[i], b[i])) == (p | q));
      REQUIRE(bits_of(hr::without(a[i], b[i])) == (p & ~q));
      REQUIRE(bits_of(hr::where_less(a[i], b[i], 0x00800000u)) == bits_of(less[i]));
    }
  }
}

TEST_CASE("a NaN becomes 0, and nothing else does") {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  for (const float x : {nan, -nan, infinity, -infinity, 0.f, -2.5f, 0x1p-149f}) {
    const float expected = std::isnan(x) ? 0.f : x;
    for (const float got : numbers_of(hr::zero_where_nan(hr::broadcast(x))))
      CHECK(bits_of(got) == bits_of(expected));
    CHECK(bits_of(hr::zero_where_nan(x)) == bits_of(expected));
  }
}
