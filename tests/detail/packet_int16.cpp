// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a pair's products are those of its whole numbers, exact as long as the sum is, whether by
// the CPU's instruction or by its twin on floats.
#include <headroom/detail/packet_int16.hpp>

#include "support/catch.hpp"
#include "support/pairs.hpp"
#include "support/random.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace hr = headroom::detail;
using namespace headroom_tests;
using hr::lanes;

namespace {

template <class Pair>
struct numbers {
  std::array<Pair, lanes> pairs;

  numbers(random_source& random, int most) {
    const auto any = [&] { return static_cast<std::int16_t>(random.integer(-most, most)); };
    for (Pair& pair : pairs) pair = {any(), any()};
  }
  int first(int i) const { return pairs[std::size_t(i)].first; }
  int second(int i) const { return pairs[std::size_t(i)].second; }
};

std::vector<std::int8_t> bytes(random_source& random, int count) {
  std::vector<std::int8_t> row;
  for (int i = 0; i < count; ++i) row.push_back(std::int8_t(random.integer(-127, 127)));
  return row;
}

// The pairs in a packet, read by products with (1, 0) and (0, 1).
template <class Pair>
std::array<Pair, lanes> pairs_in(const hr::packet_of<Pair>& packet) {
  std::array<Pair, lanes> result;
  float first[lanes], second[lanes];
  const auto ones = [](Pair pair) { return hr::broadcast(pair); };
  using sums = hr::sum_packet<Pair>;
  hr::store(first, hr::as_floats(hr::multiply_add(ones({1, 0}), packet, sums())));
  hr::store(second, hr::as_floats(hr::multiply_add(ones({0, 1}), packet, sums())));
  for (std::size_t i = 0; i < std::size_t(lanes); ++i)
    result[i] = {static_cast<std::int16_t>(first[i]), static_cast<std::int16_t>(second[i])};
  return result;
}

template <class Pair, int packets>
void check_two_rows(random_source& random) {
  const auto first = bytes(random, packets * lanes), second = bytes(random, packets * lanes);
  hr::packet_of<Pair> got[packets];
  hr::interleave(first.data(), second.data(), got);
  for (int p = 0; p < packets; ++p) {
    const auto pairs = pairs_in<Pair>(got[p]);
    for (int i = 0; i < lanes; ++i) {
      const auto at = std::size_t(p * lanes + i);
      REQUIRE(pairs[std::size_t(i)].first == first[at]);
      REQUIRE(pairs[std::size_t(i)].second == second[at]);
    }
  }
}

}  // namespace

TEMPLATE_LIST_TEST_CASE("a lane adds both products of its pairs", "", int16_pairs) {
  random_source random(81);
  for (int round = 0; round < 300; ++round) {
    const numbers<TestType> a(random, 999), b(random, 127);
    hr::sum_packet<TestType> sums{}, by_broadcast{};
    for (int times = 0; times < 3; ++times) {
      sums = hr::multiply_add(hr::load(a.pairs.data()), hr::load(b.pairs.data()), sums);
      by_broadcast =
          hr::multiply_add(hr::broadcast(a.pairs[0]), hr::load(b.pairs.data()), by_broadcast);
    }
    float got[lanes], got_broadcast[lanes];
    hr::store(got, hr::as_floats(sums));
    hr::store(got_broadcast, hr::as_floats(by_broadcast));
    for (int i = 0; i < lanes; ++i) {
      REQUIRE(got[i] == float(3 * (a.first(i) * b.first(i) + a.second(i) * b.second(i))));
      REQUIRE(got_broadcast[i] == float(3 * (a.first(0) * b.first(i) + a.second(0) * b.second(i))));
    }
  }
}

TEST_CASE("a lane has room for the depth that is said") {
  using pair = hr::int16_pair;
  const std::array<std::int16_t, 2> signs = {1, -1};
  for (const std::int16_t sign : signs) {
    hr::sum_packet<pair> sums{};
    const auto query = static_cast<std::int16_t>(sign * std::int16_t(hr::most_int16));
    for (headroom::Index d = 0; d < hr::most_int16_depth; d += 2 * lanes)
      sums =
          hr::multiply_add(hr::broadcast(pair{query, query}), hr::broadcast(pair{127, 127}), sums);
    float got[lanes];
    hr::store(got, hr::as_floats(sums));
    const double exact = double(query) * 127 * double(hr::most_int16_depth) / lanes;
    for (const float x : got) REQUIRE(std::abs(x - exact) <= std::abs(exact) * 1e-5);
  }
}

TEMPLATE_LIST_TEST_CASE("bytes of a row become neighbours in pairs", "", int16_pairs) {
  random_source random(82);
  for (int round = 0; round < 50; ++round) {
    const auto row = bytes(random, 2 * lanes);
    hr::packet_of<TestType> got;
    hr::load_pairs(row.data(), got);
    const auto pairs = pairs_in<TestType>(got);
    for (std::size_t i = 0; i < std::size_t(lanes); ++i) {
      REQUIRE(pairs[i].first == row[2 * i]);
      REQUIRE(pairs[i].second == row[2 * i + 1]);
    }
  }
}

TEMPLATE_LIST_TEST_CASE("bytes of two rows become pairs", "", int16_pairs) {
  random_source random(83);
  for (int round = 0; round < 50; ++round) {
    check_two_rows<TestType, 1>(random);
    check_two_rows<TestType, 2>(random);
    check_two_rows<TestType, 4>(random);
    check_two_rows<TestType, 8>(random);
  }
}

TEMPLATE_LIST_TEST_CASE("floats are rounded to the nearest pair", "", int16_pairs) {
  random_source random(84);
  for (int round = 0; round < 300; ++round) {
    std::array<float, lanes> first, second;
    for (float& x : first) x = static_cast<float>(2 * random.normal());
    for (float& x : second) x = static_cast<float>(9000 * random.normal());
    for (float& x : second) x = std::clamp(x, -hr::most_int16, hr::most_int16);
    first[0] = 0.5f;  // to even
    second[0] = -1.5f;
    std::array<TestType, lanes> pairs;
    hr::store_pairs(pairs.data(), hr::load(first.data()), hr::load(second.data()));
    std::array<std::int16_t, lanes> rounded;
    hr::store_rounded(rounded.data(), hr::load(second.data()));
    for (std::size_t i = 0; i < std::size_t(lanes); ++i) {
      REQUIRE(pairs[i].first == std::int16_t(std::nearbyint(first[i])));
      REQUIRE(pairs[i].second == std::int16_t(std::nearbyint(second[i])));
      REQUIRE(rounded[i] == pairs[i].second);
    }
  }
}
