// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: codes become the numbers that they stand for, and numbers the nearest codes, whatever the
// instruction set.
#include <headroom/detail/packet_codes.hpp>
#include <headroom/fp8_codec.hpp>

#include "support/catch.hpp"
#include "support/packets.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

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

TEST_CASE("whole numbers are rounded to, ties to even") {
  for (int first = -508; first <= 508; ++first) {
    std::array<float, lanes> numbers;
    for (int i = 0; i < lanes; ++i) {
      const float x = float((first + 3 * i) % 509) / 4;
      numbers[std::size_t(i)] = i % 2 ? x : std::nextafter(x, 0.f);
    }
    std::array<std::int8_t, lanes> rounded;
    hr::store_rounded(rounded.data(), hr::load(numbers.data()));
    for (std::size_t i = 0; i < std::size_t(lanes); ++i)
      REQUIRE(float(rounded[i]) == std::nearbyint(numbers[i]));
  }
}

TEST_CASE("two packets become the halves of bytes") {
  for (int first = 0; first <= 60; ++first) {
    std::array<float, lanes> low, high;
    for (int i = 0; i < lanes; ++i) {
      low[std::size_t(i)] = float((first + i) % 61) / 4;
      high[std::size_t(i)] = float((2 * first + 7 * i) % 61) / 4;
    }
    std::array<std::uint8_t, lanes> bytes;
    hr::store_nibbles(bytes.data(), hr::load(low.data()), hr::load(high.data()));
    for (std::size_t i = 0; i < std::size_t(lanes); ++i) {
      REQUIRE(float(bytes[i] % 16) == std::nearbyint(low[i]));
      REQUIRE(float(bytes[i] / 16) == std::nearbyint(high[i]));
    }
  }
}

TEST_CASE("packets are rounded to codes of fp8 as single numbers are") {
  std::uint32_t bits = 0;
  const auto check_next = [&] {
    std::array<float, lanes> numbers;
    for (float& x : numbers) {
      x = std::bit_cast<float>(bits);
      if (std::isnan(x)) x = std::numeric_limits<float>::infinity();
      bits += 9973;  // all signs and exponents, fractions of all kinds
    }
    std::array<std::uint8_t, lanes> codes;
    hr::store_e4m3(codes.data(), hr::load(numbers.data()));
    for (std::size_t i = 0; i < std::size_t(lanes); ++i) {
      INFO(numbers[i]);
      if (codes[i] != hr::e4m3_of(numbers[i])) FAIL("codes differ");
    }
  };
  for (std::uint32_t before = 0; before <= bits; check_next()) before = bits;
  // Every number of e4m3, what is half between it and the next, and the floats beside both.
  for (int code = 0; code < 0x7e; ++code)
    for (const float middle :
         {hr::e4m3_number(std::uint8_t(code)),
          (hr::e4m3_number(std::uint8_t(code)) + hr::e4m3_number(std::uint8_t(code + 1))) / 2})
      for (const float x : {std::nextafter(middle, 0.f), middle, std::nextafter(middle, 1e9f)})
        for (const float number : {x, -x}) {
          std::array<std::uint8_t, lanes> codes;
          hr::store_e4m3(codes.data(), hr::broadcast(number));
          for (const std::uint8_t got : codes) REQUIRE(got == hr::e4m3_of(number));
        }
}
