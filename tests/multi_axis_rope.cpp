// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: each pair of channels turns as a rope turns it by the token's position on that pair's axis.
// NumPy computed the golden rotations (golden/rope.py), as transformers' Qwen2-VL and Qwen3-VL do.
#include <headroom/multi_axis_rope.hpp>

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "golden/rope.hpp"
#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "support/random.hpp"

namespace hr = headroom;
using Eigen::Index;
using headroom_tests::contains;

namespace {

using hr::axis_order;
using hr::rope_pairing;
template <class Integer>
using positions_of = Eigen::Matrix<Integer, Eigen::Dynamic, Eigen::Dynamic>;

template <class Scalar>
std::vector<Scalar> random_numbers(Index count) {
  return headroom_tests::random_source(41).numbers<Scalar>(count);
}

std::vector<Index> axes_of(const hr::multi_axis_rope& rope) {
  std::vector<Index> axes;
  for (Index k = 0; k < rope.rotary_dim() / 2; ++k) axes.push_back(rope.axis(k));
  return axes;
}

}  // namespace

TEST_CASE("rotations by positions on several axes are those of NumPy") {
  positions_of<std::int32_t> three(3, 3), two(3, 2);
  three << 5, 0, 0, 5, 1, 3, 40, 17, 9;
  two << 0, 0, 1, 3, 17, 9;
  // A rotated channel of x errs as in tests/rope.cpp: 4 u (|x1| + |x2|) a, no number being above 4;
  // the golden angles, below 64, are themselves rounded.
  const auto check = [](const hr::multi_axis_rope& rope, const auto& positions,
                        std::span<const double> expected) {
    const auto rotated = [&]<class Scalar>(Scalar) {
      std::vector<Scalar> x;
      for (const double number : golden::rope::x) x.push_back(static_cast<Scalar>(number));
      rope(hr::tokens_major(x.data(), 3, 2, 12), positions);
      double worst = 0;
      for (std::size_t i = 0; i < x.size(); ++i)
        worst = std::max(worst, std::abs(static_cast<double>(x[i]) - expected[i]));
      return worst;
    };
    CHECK(rotated(1.0) <= 4 * 0x1p-52 * 8 * 1.25 + 8 * 64 * 0x1p-53);
    CHECK(rotated(1.f) <= 4 * 0x1p-23 * 8 * 1.25);
  };
  check({hr::rope(12, {.amplitude = 1.25}), {2, 3, 1}}, three, golden::rope::three_axes);
  check({hr::rope(12, {.pairing = rope_pairing::interleaved}), {3, 2, 1}, axis_order::interleaved},
        three, golden::rope::three_axes_interleaved);
  check(hr::multi_axis_rope::of_each_axis(hr::rope(6), 2), two, golden::rope::two_axes);
}

TEST_CASE("at the same position on all axes a token is rotated as a rope does, bit for bit") {
  const auto pairing = GENERATE(rope_pairing::half, rope_pairing::interleaved);
  const auto order = GENERATE(axis_order::consecutive, axis_order::interleaved);
  const hr::rope rope(128, {.base = 1e6, .pairing = pairing});
  const hr::multi_axis_rope axes(rope, {24, 20, 20}, order);
  CHECK(axes.axes() == 3);
  CHECK(axes.rotary_dim() == 128);
  CHECK(axes.pairing() == pairing);
  const Index tokens = 5, heads = 3, dim = 136;
  const auto x = random_numbers<float>(tokens * heads * dim);
  auto got = x, expected = x;
  positions_of<Index> positions(tokens, 3);
  for (Index t = 0; t < tokens; ++t) positions.row(t).setConstant(997 + t);
  axes(hr::tokens_major(got.data(), tokens, heads, dim), positions);
  rope(hr::tokens_major(expected.data(), tokens, heads, dim), 997);
  CHECK(got == expected);
}

TEST_CASE("pairs belong to axes in the order that is asked for") {
  const hr::rope one(16);
  CHECK(axes_of({one, {2, 3, 3}}) == std::vector<Index>{0, 0, 1, 1, 1, 2, 2, 2});
  CHECK(axes_of({one, {0, 8, 0}}) == std::vector<Index>(8, 1));
  CHECK(axes_of({one, {4, 2, 2}, axis_order::interleaved}) ==
        std::vector<Index>{0, 1, 2, 0, 1, 2, 0, 0});
  CHECK(axes_of({one, {8}, axis_order::interleaved}) == std::vector<Index>(8, 0));
  CHECK(axes_of(hr::multi_axis_rope::of_each_axis(hr::rope(6), 2)) ==
        std::vector<Index>{0, 0, 0, 1, 1, 1});
}

TEST_CASE("each axis turns its own pairs, and no other") {
  const hr::rope one(12);
  const hr::multi_axis_rope rope(one, {1, 3, 2});
  const auto x = random_numbers<double>(12);
  for (Index axis = 0; axis < 3; ++axis) {
    auto got = x, turned = x;
    positions_of<Index> position = positions_of<Index>::Zero(1, 3);
    position(0, axis) = -31;
    rope(hr::tokens_major(got.data(), 1, 1, 12), position);
    one(hr::tokens_major(turned.data(), 1, 1, 12), -31);
    for (Index d = 0; d < 12; ++d) {
      const auto at = static_cast<std::size_t>(d);
      CHECK(got[at] == (rope.axis(d % 6) == axis ? turned[at] : x[at]));
    }
  }
}

TEST_CASE("keys are rotated into another scalar, by any matrix of positions, without allocating") {
  const hr::multi_axis_rope rope(hr::rope(16), {4, 2, 2}, axis_order::interleaved);
  const auto x = random_numbers<float>(2 * 3 * 16);
  auto in_place = x;
  std::vector<Eigen::half> keys(x.size());
  Eigen::Matrix<int, 2, 4, Eigen::RowMajor> wider;
  wider << 7, 1, 2, 9, 7, 1, 3, 9;
  CHECK(headroom_tests::allocations_of(
            [&] { rope(hr::tokens_major(in_place.data(), 2, 3, 16), wider.leftCols(3)); }) == 0);
  rope(hr::tokens_major(x.data(), 2, 3, 16), hr::tokens_major(keys.data(), 2, 3, 16),
       wider.leftCols(3));
  for (std::size_t i = 0; i < keys.size(); ++i) CHECK(keys[i] == Eigen::half(in_place[i]));
}

TEST_CASE("what is no such rope, or no such position, is refused, and nothing is written") {
  const hr::rope one(16);
  using hr::multi_axis_rope;
  CHECK_THROWS_WITH(multi_axis_rope(one, {}), contains("pairs_of_axis is empty"));
  CHECK_THROWS_WITH(multi_axis_rope(one, {9, -1}), contains("pairs_of_axis[1] = -1"));
  CHECK_THROWS_WITH(multi_axis_rope(one, {16, 24, 24}),
                    contains("64 together, expected") && contains("rotary_dim / 2 = 8"));
  CHECK_THROWS_WITH(multi_axis_rope(one, {1, 4, 3}, axis_order::interleaved),
                    contains("pairs_of_axis[1] = 4, expected at most 3, one in 3 of the 8 pairs"));
  CHECK_THROWS_WITH(multi_axis_rope::of_each_axis(one, 0), contains("axes = 0"));

  const multi_axis_rope rope(one, {4, 2, 2});
  const auto before = random_numbers<float>(2 * 16);
  auto x = before;
  const auto view = hr::tokens_major(x.data(), 2, 1, 16);
  CHECK_THROWS_WITH(rope(view, positions_of<Index>::Zero(3, 3)),
                    contains("positions are [3, 3], expected [tokens, axes] = [2, 3]"));
  CHECK_THROWS_WITH(rope(view, positions_of<Index>::Zero(2, 4)), contains("are [2, 4]"));
  CHECK_THROWS_WITH(rope(view.slice_dim(0, 15), positions_of<Index>::Zero(2, 3)),
                    contains("head width 15"));
  CHECK(x == before);
}
