// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: row(i) is where row i lies; a reader gets the stored numbers it reads, and its own scalar
// of all others.
#include <headroom/detail/tile.hpp>

#include "support/catch.hpp"

#include <concepts>

namespace hr = headroom::detail;

TEST_CASE("rows lie at a distance, forwards or backwards, or anywhere") {
  const float numbers[] = {0, 1, 2, 3, 4, 5};
  CHECK(hr::tile{numbers, 2}.row(2) == numbers + 4);
  CHECK(hr::tile{numbers + 5, -2}.row(2) == numbers + 1);
  const float* const rows[] = {numbers + 3, numbers, numbers + 3};
  CHECK(hr::scattered{rows}.row(0) == numbers + 3);
  CHECK(hr::scattered{rows}.row(1) == numbers);
}

TEST_CASE("what a reader does not read is decoded to its scalar") {
  struct own_codec {};
  using eigen = hr::reads_scalar<double>;
  using headroom::scalar_codec;
  CHECK(std::same_as<hr::number_read<eigen, scalar_codec<double>>::type, double>);
  CHECK(std::same_as<hr::number_read<eigen, scalar_codec<float>>::type, double>);
  CHECK(std::same_as<hr::number_read<hr::reads_packets, scalar_codec<Eigen::half>>::type,
                     Eigen::half>);
  CHECK(std::same_as<hr::number_read<hr::reads_packets, scalar_codec<double>>::type, float>);
  CHECK(std::same_as<hr::number_read<hr::reads_packets, own_codec>::type, float>);
}
