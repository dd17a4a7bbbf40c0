// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: numbers round to the nearest of fp8 e4m3, as its specification has them, once a power of
// two has brought a row into their range; and attention over such a cache is attention over the
// numbers that come back.
#include <headroom/cost.hpp>
#include <headroom/fp8_codec.hpp>
#include <headroom/int8_codec.hpp>

#include "golden/fp8.hpp"
#include "support/codec_laws.hpp"

namespace hr = headroom;
using namespace headroom_tests;

namespace {

double half_step(const std::vector<float>& row, std::size_t d) {
  const double largest = block_range(row, 0, row.size()).size;
  return std::max({std::abs(double(row[d])) / 17, largest * 4.4e-6, 1e-40});
}

}  // namespace

TEST_CASE("the numbers are those of the specification") {
  for (int code = 0; code < 0x7f; ++code) {
    const float number = golden::fp8::numbers[code];
    CHECK(hr::detail::e4m3_number(static_cast<std::uint8_t>(code)) == number);
    CHECK(hr::detail::e4m3_number(static_cast<std::uint8_t>(code | 0x80)) == -number);
  }
  CHECK(std::signbit(hr::detail::e4m3_number(0x80)));
  CHECK(std::isnan(hr::detail::e4m3_number(0x7f)));
  CHECK(std::isnan(hr::detail::e4m3_number(0xff)));
}

TEST_CASE("rounding is to nearest, ties to even, and never to infinity") {
  for (const auto& [number, code] : golden::fp8::roundings) {
    INFO(number);
    CHECK(hr::detail::e4m3_of(number) == code);
    CHECK(hr::detail::e4m3_of(-number) == (code | 0x80));
  }
  constexpr float infinity = std::numeric_limits<float>::infinity();
  CHECK(hr::detail::e4m3_of(infinity) == 0x7e);
  CHECK(hr::detail::e4m3_of(-infinity) == 0xfe);
  CHECK(hr::detail::e4m3_of(3e38f) == 0x7e);
  CHECK((hr::detail::e4m3_of(quiet_nan<float>()) & 0x7f) == 0x7f);
  CHECK(hr::detail::e4m3_of(1e-45f) == 0);
}

TEST_CASE("a number comes back within half a step, however it is read") {
  check_error<hr::fp8_codec>(half_step);
  check_readings<hr::fp8_codec>();
  check_kernels<hr::fp8_codec>();
  check_appending<hr::fp8_codec>();
}

TEST_CASE("numbers of e4m3 come back as they are, in any power of two") {
  for (const float scale : {0x1p-134f, 0x1p-60f, 1.f, 8.f, 0x1p118f}) {
    std::vector<float> row;
    for (const float number : golden::fp8::numbers)
      for (const float sign : {1.f, -1.f}) row.push_back(sign * number * scale);
    CHECK(round_trip<hr::fp8_codec, float>(row) == row);
  }
  const std::vector<float> zeros(40);
  CHECK(round_trip<hr::fp8_codec, float>(zeros) == zeros);
  CHECK(round_trip<hr::fp8_codec, float>(std::vector<float>()).empty());
}

TEST_CASE("what is not finite makes its row so; what is too large becomes the largest") {
  check_poison<hr::fp8_codec>(70);
  const std::vector<float> row = {std::numeric_limits<float>::max(), -3e38f, 1e38f};
  const auto back = round_trip<hr::fp8_codec, double>(row);
  CHECK(back[0] == 0x1.cp127);
  CHECK(back[1] == -0x1.cp127);
  CHECK(std::abs(back[2] - 1e38) <= 1e38 / 17);
}

TEST_CASE("attention over a cache is attention over what it holds") {
  check_attention<hr::fp8_codec>();
}

TEST_CASE("a token takes a byte a number, and a scale for each head") {
  const hr::kv_cache<hr::fp8_codec, 8, 128> cache(1);
  CHECK(cache.bytes_per_token() == 8 * 2 * (128 + 4));
  constexpr hr::attention_shape shape{.hidden = 4096, .Q_heads = 32, .KV_groups = 8, .qk_dim = 128};
  static_assert(shape.cache_bytes<hr::fp8_codec>(100) == 100 * 8 * 2 * (128 + 4));
}
