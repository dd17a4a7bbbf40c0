// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a pair's products are those of its numbers as floats, summed in float, whether by the CPU's
// instruction or by its twin on floats.
#include <headroom/detail/packet_bfloat16.hpp>

#include "support/catch.hpp"
#include "support/error_bound.hpp"
#include "support/pairs.hpp"
#include "support/random.hpp"

#include <array>
#include <cmath>
#include <type_traits>

namespace hr = headroom::detail;
using namespace headroom_tests;
using hr::lanes;

namespace {

using number = Eigen::bfloat16;

template <class Pair>
struct numbers {
  std::array<Pair, lanes> pairs;

  explicit numbers(random_source& random) {
    for (Pair& pair : pairs) pair = {number(random.normal()), number(random.normal())};
  }
  double first(int i) const { return static_cast<double>(pairs[std::size_t(i)].first); }
  double second(int i) const { return static_cast<double>(pairs[std::size_t(i)].second); }
};

}  // namespace

TEMPLATE_LIST_TEST_CASE("a lane adds both products of its pairs", "", bfloat16_pairs) {
  random_source random(71);
  for (int round = 0; round < 1000; ++round) {
    const numbers<TestType> a(random), b(random);
    std::array<float, lanes> start, got, got_broadcast;
    for (float& x : start) x = static_cast<float>(random.normal());
    const auto c = hr::load(start.data());
    hr::store(got.data(), hr::multiply_add(hr::load(a.pairs.data()), hr::load(b.pairs.data()), c));
    hr::store(got_broadcast.data(),
              hr::multiply_add(hr::broadcast(a.pairs[0]), hr::load(b.pairs.data()), c));
    for (int i = 0; i < lanes; ++i) {
      const auto check = [&](double first, double second, float result) {
        const double exact = start[std::size_t(i)] + first * b.first(i) + second * b.second(i);
        const double size = std::abs(start[std::size_t(i)]) + std::abs(first * b.first(i)) +
                            std::abs(second * b.second(i));
        REQUIRE(std::abs(result - exact) <= gamma_bound(3, unit_roundoff<float>) * size);
      };
      check(a.first(i), a.second(i), got[std::size_t(i)]);
      check(a.first(0), a.second(0), got_broadcast[std::size_t(i)]);
    }
  }
}

TEMPLATE_LIST_TEST_CASE("floats are rounded to the nearest pair", "", bfloat16_pairs) {
  random_source random(72);
  for (int round = 0; round < 1000; ++round) {
    std::array<float, lanes> first, second;
    for (float& x : first) x = static_cast<float>(random.normal());
    for (float& x : second) x = static_cast<float>(random.normal());
    std::array<TestType, lanes> pairs;
    hr::store_pairs(pairs.data(), hr::load(first.data()), hr::load(second.data()));
    for (std::size_t i = 0; i < std::size_t(lanes); ++i) {
      REQUIRE(pairs[i].first == number(first[i]));
      REQUIRE(pairs[i].second == number(second[i]));
    }
  }
}

TEST_CASE("the instruction and its twin agree") {
  if constexpr (std::is_same_v<hr::bfloat16_pair, hr::widened_pair>) {
    WARN("skipped: this CPU has no instruction for products of bfloat16");
    return;
  }
  random_source random(73);
  for (int round = 0; round < 1000; ++round) {
    const numbers<hr::bfloat16_pair> a(random), b(random);
    std::array<hr::widened_pair, lanes> a_twin, b_twin;
    std::array<float, lanes> start, got, by_twin;
    for (std::size_t i = 0; i < std::size_t(lanes); ++i) {
      a_twin[i] = {a.pairs[i].first, a.pairs[i].second};
      b_twin[i] = {b.pairs[i].first, b.pairs[i].second};
      start[i] = static_cast<float>(random.normal());
    }
    const auto c = hr::load(start.data());
    hr::store(got.data(), hr::multiply_add(hr::load(a.pairs.data()), hr::load(b.pairs.data()), c));
    hr::store(by_twin.data(),
              hr::multiply_add(hr::load(a_twin.data()), hr::load(b_twin.data()), c));
    for (int i = 0; i < lanes; ++i) {
      const auto at = std::size_t(i);
      const double size = std::abs(start[at]) + std::abs(a.first(i) * b.first(i)) +
                          std::abs(a.second(i) * b.second(i));
      REQUIRE(std::abs(got[at] - by_twin[at]) <= 2 * gamma_bound(3, unit_roundoff<float>) * size);
    }
  }
}
