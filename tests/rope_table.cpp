// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a table rotates as the rope that it was made of does, to the bit, and as given caches say.
#include <headroom/rope_table.hpp>

#include <cmath>
#include <type_traits>
#include <vector>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "support/random.hpp"

namespace hr = headroom;
using Eigen::Index;
using headroom_tests::contains;
using hr::rope_pairing;

namespace {

template <class Scalar>
std::vector<Scalar> random_numbers(Index count, unsigned seed) {
  return headroom_tests::random_source(seed).numbers<Scalar>(count);
}

}  // namespace

TEMPLATE_TEST_CASE("a table and angles computed on the fly give the same bits", "", float, double,
                   Eigen::half, Eigen::bfloat16) {
  const auto pairing = GENERATE(rope_pairing::half, rope_pairing::interleaved);
  const Index r = GENERATE(2, 26, 64, 300);  // 150 pairs are more than fit on the stack at once
  const Index tokens = 3, heads = 2, dim = r + 5;
  const hr::rope rope(r, {.pairing = pairing, .amplitude = 1.2});
  const hr::rope_table<double> table(rope, 50);
  auto x = random_numbers<TestType>(tokens * heads * dim, 7), y = x, z = x;
  const std::vector<Index> positions = {49, 0, 17};
  rope(hr::tokens_major(x.data(), tokens, heads, dim), positions);
  table(hr::tokens_major(y.data(), tokens, heads, dim), positions);
  CHECK(x == y);
  if constexpr (!std::is_same_v<TestType, double>) {
    const hr::rope_table narrow(rope, 50);
    narrow(hr::tokens_major(z.data(), tokens, heads, dim), positions);
    CHECK(x == z);
  }
}

TEST_CASE("a table may be made of given caches, which need not be circular functions") {
  using Cache = Eigen::Array<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Cache both = Cache::Random(20, 8);  // as vLLM keeps it: r/2 cos, then r/2 sin
  const auto pairing = GENERATE(rope_pairing::half, rope_pairing::interleaved);
  const hr::rope_table table(both.leftCols(4), both.rightCols(4), pairing);
  CHECK(table.max_positions() == 20);
  CHECK(table.rotary_dim() == 8);
  const auto x = random_numbers<float>(2 * 10, 12);
  auto y = x;
  const std::vector<Index> positions = {19, 4};
  table(hr::tokens_major(y.data(), 2, 1, 10), positions);
  std::vector<double> expected(x.begin(), x.end());
  for (std::size_t t = 0; t < 2; ++t)
    for (std::size_t k = 0; k < 4; ++k) {
      const bool half = pairing == rope_pairing::half;
      const std::size_t a = 10 * t + (half ? k : 2 * k), b = half ? a + 4 : a + 1;
      const double c = both(positions[t], Index(k)), s = both(positions[t], Index(k) + 4);
      expected[a] = double(x[a]) * c - double(x[b]) * s;
      expected[b] = double(x[b]) * c + double(x[a]) * s;
    }
  // 4 u (|x1| + |x2|), as in tests/rope.cpp, of numbers below 4.
  for (std::size_t i = 0; i < y.size(); ++i)
    CHECK(std::abs(double(y[i]) - expected[i]) <= 4 * 0x1p-23 * 4);
}

TEST_CASE("rotating by a table allocates nothing") {
  if (!headroom_tests::counts_allocations) return;
  const hr::rope_table table(hr::rope(64, {.scaling = hr::yarn_scaling{40, 4096}}), 32);
  auto x = random_numbers<float>(4 * 80, 14);
  const auto view = hr::tokens_major(x.data(), 1, 4, 80);
  const std::vector<Index> positions = {7};
  CHECK(headroom_tests::allocations_of([&] {
          table(view, 5);
          table(view, positions);
        }) == 0);
}

TEST_CASE("a position that is not in the table is named, and nothing is written") {
  const hr::rope_table<> table(hr::rope(8), 16);
  const auto before = random_numbers<float>(4 * 2 * 8, 13);
  auto x = before;
  const auto xv = hr::tokens_major(x.data(), 4, 2, 8);
  REQUIRE_THROWS_WITH(table(xv, std::vector<Index>{0, 1, 16, 2}),
                      contains("rope_table: token 2 has position 16, expected [0, 16)"));
  REQUIRE_THROWS_WITH(table(xv, 13), contains("rope_table: token 3 has position 16"));
  REQUIRE_THROWS_WITH(table(xv, -1), contains("rope_table: token 0 has position -1"));
  REQUIRE_THROWS_WITH(table(xv.slice_dim(0, 6), 0), contains("rope_table: x has head width 6"));
  CHECK(x == before);
}

TEST_CASE("what is no table is refused") {
  REQUIRE_THROWS_WITH(hr::rope_table<>(hr::rope(8), 0),
                      contains("rope_table: max_positions is 0, expected at least 1"));
  const Eigen::ArrayXXf cosine(20, 4), sine(20, 3), none(0, 4);
  REQUIRE_THROWS_WITH(
      hr::rope_table<>(cosine, sine, rope_pairing::half),
      contains(
          "rope_table: the sin cache is [20, 3], expected the shape of the cos cache, [20, 4]"));
  REQUIRE_THROWS_WITH(hr::rope_table<>(none, none, rope_pairing::half),
                      contains("the cos cache is [0, 4], expected"));
}
