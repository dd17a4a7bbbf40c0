// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: lane i of the result is the sum of packet i, exact where all partial sums are.
#include <headroom/detail/lane_sums.hpp>

#include "support/catch.hpp"

#include <array>

using namespace headroom::detail;

TEST_CASE("each packet is summed into its lane") {
  square packets;
  std::array<float, lanes> want;
  for (int i = 0; i < lanes; ++i) {
    std::array<float, lanes> numbers;
    float sum = 0;
    for (int j = 0; j < lanes; ++j) {
      numbers[std::size_t(j)] = float((i * 37 + j * j * 11) % 101 - 50);
      sum += numbers[std::size_t(j)];
    }
    packets.packet[i] = load(numbers.data());
    want[std::size_t(i)] = sum;
  }
  std::array<float, lanes> got;
  store(got.data(), lane_sums(packets));
  CHECK(got == want);
}

TEST_CASE("a packet alone has the same bits") {
  for (const float factor : {1.f, 1e-3f, 3e5f}) {
    square packets;
    std::array<float, lanes> want, got;
    for (int i = 0; i < lanes; ++i) {
      std::array<float, lanes> numbers;
      // Neither the sums nor their order is exact.
      for (int j = 0; j < lanes; ++j)
        numbers[std::size_t(j)] = 1.f / float(3 + (i * 37 + j * j * 11) % 101) - factor * float(j);
      packets.packet[i] = load(numbers.data());
      got[std::size_t(i)] = lane_sum(packets.packet[i]);
    }
    store(want.data(), lane_sums(packets));
    CHECK(got == want);
  }
}
