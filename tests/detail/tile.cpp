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
  CHECK(hr::rows_through{rows, hr::as_stored()}.row(2) == numbers + 3);
  const auto second = [](const float* row) { return row + 1; };
  CHECK(hr::rows_through{rows, second}.row(1) == numbers + 1);
}

TEST_CASE("joined tiles are one, wherever it begins and ends") {
  const float numbers[12] = {};
  using joined = hr::joined_tiles<float>;
  const joined::part parts[] = {
      {{numbers + 6, 2}, 0, 3}, {{numbers, 1}, 3, 4}, {{numbers + 5, -1}, 4, 9}};
  const float* const rows[] = {numbers + 6, numbers + 8, numbers + 10, numbers,    numbers + 5,
                               numbers + 4, numbers + 3, numbers + 2,  numbers + 1};
  for (Eigen::Index first = 0; first < 9; ++first) {
    const joined from = joined{parts}.from(first);
    for (Eigen::Index begin = 0; first + begin < 9; ++begin) {
      CHECK(from.row(begin) == rows[first + begin]);
      for (Eigen::Index end = begin; first + end <= 9; ++end) {
        Eigen::Index next = begin;
        from.for_each_part(begin, end, [&](const auto& part, Eigen::Index b, Eigen::Index e) {
          REQUIRE((b == next && b < e && e <= end));
          for (Eigen::Index i = b; i < e; ++i) REQUIRE(part.row(i - b) == rows[first + i]);
          next = e;
        });
        REQUIRE(next == end);
      }
    }
  }
}

TEST_CASE("a packet is loaded from numbers, or by a row that widens itself") {
  float numbers[hr::lanes + 1], got[hr::lanes];
  for (int i = 0; i <= hr::lanes; ++i) numbers[i] = static_cast<float>(i);
  struct doubled {
    const float* numbers;
    hr::packet load(Eigen::Index d) const {
      return hr::add(hr::load(numbers + d), hr::load(numbers + d));
    }
  };
  hr::store(got, hr::load_at(static_cast<const float*>(numbers), 1));
  for (int i = 0; i < hr::lanes; ++i) CHECK(got[i] == static_cast<float>(i + 1));
  hr::store(got, hr::load_at(doubled{numbers}, 1));
  for (int i = 0; i < hr::lanes; ++i) CHECK(got[i] == static_cast<float>(2 * (i + 1)));
}

TEST_CASE("the numbers of a row lie where they are stored, or where it says") {
  const float numbers[] = {0, 1, 2, 3};
  struct later {
    const float* numbers;
    const float* numbers_at(Eigen::Index d) const { return numbers + 1 + d; }
  };
  CHECK(hr::numbers_at(static_cast<const float*>(numbers), 2) == numbers + 2);
  CHECK(hr::numbers_at(later{numbers}, 2) == numbers + 3);
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
