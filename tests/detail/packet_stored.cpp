// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a packet of stored numbers is those that C++ converts one by one, whatever the instruction
// set.
#include <headroom/detail/packet_stored.hpp>

#include "support/catch.hpp"
#include "support/packets.hpp"

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>

namespace hr = headroom::detail;
using headroom_tests::numbers_of;
using hr::lanes;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

bool same(float a, float b) {
  return (a == b && std::signbit(a) == std::signbit(b)) || (std::isnan(a) && std::isnan(b));
}

template <class Number>
Number from_bits(std::uint32_t bits) {
  return Eigen::numext::bit_cast<Number>(static_cast<std::uint16_t>(bits));
}

// The instruction that narrows to bfloat16 takes subnormal floats to be 0.
template <class Number>
bool narrowed(Number got, float from) {
  if (std::fpclassify(from) == FP_SUBNORMAL && static_cast<float>(got) == 0) return true;
  return same(static_cast<float>(got), static_cast<float>(static_cast<Number>(from)));
}

}  // namespace

TEMPLATE_TEST_CASE("all numbers of 16 bits are widened exactly, and narrowed to the same bits", "",
                   Eigen::half, Eigen::bfloat16) {
  for (std::uint32_t first = 0; first < 65536; first += lanes) {
    std::array<TestType, lanes> stored, back;
    for (int i = 0; i < lanes; ++i)
      stored[std::size_t(i)] = from_bits<TestType>(first + std::uint32_t(i));
    const hr::packet wide = hr::load(stored.data());
    const auto numbers = numbers_of(wide);
    hr::store(back.data(), wide);
    for (std::size_t i = 0; i < std::size_t(lanes); ++i) {
      REQUIRE(same(numbers[i], static_cast<float>(stored[i])));
      REQUIRE(narrowed(back[i], numbers[i]));
    }
  }
}

// What is half between two numbers and the floats beside it, of all sizes, infinity included.
TEMPLATE_TEST_CASE("narrowing rounds to nearest, ties to even, as a single number does", "",
                   Eigen::half, Eigen::bfloat16) {
  std::array<float, lanes> numbers{};
  std::size_t filled = 0;
  const auto narrow = [&](float x) {
    numbers[filled++] = x;
    if (filled < numbers.size()) return;
    filled = 0;
    std::array<TestType, lanes> stored;
    hr::store(stored.data(), hr::load(numbers.data()));
    for (std::size_t i = 0; i < stored.size(); ++i) {
      INFO(numbers[i]);
      if (!narrowed(stored[i], numbers[i])) FAIL("narrowed to " << static_cast<float>(stored[i]));
    }
  };
  float x = 0, step = 0;
  for (std::uint32_t bits = 0; std::isfinite(x = static_cast<float>(from_bits<TestType>(bits)));
       ++bits) {
    const float next = static_cast<float>(from_bits<TestType>(bits + 1));
    if (std::isfinite(next)) step = next - x;
    const float middle = x + step / 2;
    for (const float number :
         {std::nextafter(middle, 0.f), middle, std::nextafter(middle, infinity)})
      for (const float either : {number, -number}) narrow(either);
  }
  for (const float number : {1e9f, 3e38f, infinity})
    for (const float either : {number, -number}) narrow(either);
  for (int i = 0; i < lanes; ++i) narrow(std::numeric_limits<float>::quiet_NaN());
}

TEST_CASE("all bytes are widened") {
  std::array<std::int8_t, 256 + lanes> bytes;
  for (std::size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<std::int8_t>(static_cast<std::uint8_t>(i));
  for (std::size_t first = 0; first <= 256; ++first) {
    const auto numbers = numbers_of(hr::load(bytes.data() + first));
    for (std::size_t i = 0; i < std::size_t(lanes); ++i)
      REQUIRE(numbers[i] == static_cast<float>(bytes[first + i]));
  }
}
