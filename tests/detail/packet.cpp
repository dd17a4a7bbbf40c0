// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: packets do to each lane what C++ does to one number, whatever the instruction set.
#include <headroom/detail/packet.hpp>

#include "support/catch.hpp"
#include "support/packets.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

namespace hr = headroom::detail;
using headroom_tests::numbers_of;
using hr::lanes;

TEST_CASE("a square is transposed, and its packets are summed") {
  hr::square square;
  std::array<float, lanes> row;
  for (int i = 0; i < lanes; ++i) {
    for (int j = 0; j < lanes; ++j) row[std::size_t(j)] = float(100 * i + j);
    square.packet[i] = hr::load(row.data());
  }
  hr::transpose(square);
  for (int i = 0; i < lanes; ++i)
    for (int j = 0; j < lanes; ++j)
      REQUIRE(numbers_of(square.packet[i])[std::size_t(j)] == float(100 * j + i));
  hr::transpose(square);
  const auto sums = numbers_of(hr::sums_of(square));
  for (int i = 0; i < lanes; ++i)
    CHECK(sums[std::size_t(i)] == float(100 * i * lanes + lanes * (lanes - 1) / 2));
}

TEST_CASE("sizes, extremes of two packets, and those of a packet's lanes") {
  std::array<float, lanes> a, b;
  for (int i = 0; i < lanes; ++i) {
    a[std::size_t(i)] = float(i) - 2.5f;
    b[std::size_t(i)] = 1.25f - float(i);
  }
  const hr::packet x = hr::load(a.data()), y = hr::load(b.data());
  const auto size = numbers_of(hr::absolute(x));
  const auto less = numbers_of(hr::minimum(x, y)), more = numbers_of(hr::maximum(x, y));
  for (std::size_t i = 0; i < a.size(); ++i) {
    CHECK(size[i] == std::abs(a[i]));
    CHECK(less[i] == std::min(a[i], b[i]));
    CHECK(more[i] == std::max(a[i], b[i]));
  }
  CHECK(hr::least_of(x) == -2.5f);
  CHECK(hr::largest_of(x) == float(lanes) - 3.5f);
  CHECK(hr::least_of(y) == 2.25f - float(lanes));
  CHECK(hr::largest_of(y) == 1.25f);
}

TEST_CASE("lanes are rotated around the end") {
  std::vector<float> lane(static_cast<std::size_t>(lanes));
  for (std::size_t i = 0; i < lane.size(); ++i) lane[i] = float(i);
  for (int by = 0; by < lanes; ++by) {
    const auto got = numbers_of(hr::rotate(hr::load(lane.data()), by));
    for (int i = 0; i < lanes; ++i) CHECK(got[std::size_t(i)] == float((i + by) % lanes));
  }
}

TEST_CASE("the exponential errs by at most 2e-7") {
  double worst = 0;
  std::array<float, lanes> numbers;
  for (double x = 126.999; x > -126; x -= 1.3e-3) {
    for (int i = 0; i < lanes; ++i)
      numbers[std::size_t(i)] = static_cast<float>(x - 1.3e-3 * i / lanes);
    const auto got = numbers_of(hr::power_of_2(hr::load(numbers.data())));
    for (std::size_t i = 0; i < std::size_t(lanes); ++i) {
      if (numbers[i] < -126) continue;
      const double want = std::exp2(double(numbers[i]));
      worst = std::max(worst, std::abs(got[i] - want) / want);
    }
  }
  INFO("worst relative error " << worst);
  CHECK(worst <= 2e-7);
}

TEST_CASE("the exponential is exact at 0 and 0 far below it") {
  const auto power = [](float x) { return numbers_of(hr::power_of_2(hr::broadcast(x)))[0]; };
  CHECK(power(0) == 1);
  CHECK(power(-1) == 0.5f);
  CHECK(power(-127) == 0);
  CHECK(power(-1000) == 0);
  CHECK(power(-std::numeric_limits<float>::infinity()) == 0);
  CHECK(std::isnan(power(std::numeric_limits<float>::quiet_NaN())));
}

TEST_CASE("some lane is less, or none; a NaN is not") {
  std::vector<float> a(static_cast<std::size_t>(hr::lanes), 1), b = a;
  const auto less = [&] { return hr::any_less(hr::load(a.data()), hr::load(b.data())); };
  CHECK(!less());
  for (std::size_t i = 0; i < a.size(); ++i) {
    b[i] = 2;
    CHECK(less());
    b[i] = std::numeric_limits<float>::quiet_NaN();
    CHECK(!less());
    b[i] = 1;
  }
}
