// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: scores[groups, keys, rows] = K Q^T, each group with its own queries, for any number of
// groups and keys and any width, rows a power of two; where a group has fewer keys than its place
// holds, the rest of the place is left as it is. The same in pairs of bfloat16, and of whole
// numbers in widths that fill packets of them, with or without a factor for each block.
#include <headroom/detail/kernels/dot.hpp>

#include "support/catch.hpp"
#include "support/pairs.hpp"
#include "support/product.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

template <int rows, class Operand, class Number>
void check(Index groups, Index keys, Index count, Index dim, random_source& random) {
  INFO(rows << " rows, " << groups << " groups, " << count << " of " << keys << " keys, width "
            << dim);
  tensor<hr::detail::number_of<Operand>> q(groups, rows, dim);
  random.fill(q.view(), hr::detail::is_integer<Operand> ? 3000 : 1);
  auto k = random_matrix<Number>(groups * keys + 1, dim, random);
  if (hr::detail::is_integer<Operand>) random.fill(k.view(), 25);
  std::vector<const Number*> pointers;
  for (Index j = 0; j < groups * keys; ++j)
    pointers.push_back(k.view().row((j * 7) % (groups * keys + 1), 0));
  tensor<float> scores(groups, keys, rows);
  random.fill(scores.view());
  const tensor<float> before = scores;
  hr::detail::dot_product<rows, Operand>(q.view().data(), pointers.data(), hr::detail::as_stored(),
                                         groups, keys, count, dim, scores.view().data());
  for (Index g = 0; g < groups; ++g) {
    tensor<float> of_group(count, 1, rows);
    for (Index j = 0; j < keys; ++j)
      for (Index r = 0; r < rows; ++r)
        if (j < count)
          of_group(j, 0, r) = scores(g, j, r);
        else
          REQUIRE(scores(g, j, r) == before(g, j, r));
    REQUIRE(is_product(
        of_group, zeros<float>(count, rows), dim,
        [&](Index j, Index d) {
          return static_cast<float>(pointers[static_cast<std::size_t>(g * keys + j)][d]);
        },
        [&](Index d, Index r) { return static_cast<float>(q(g, r, d)); }));
  }
}

template <class Operand, class Number>
void check_all(const std::vector<Index>& widths) {
  random_source random(31);
  const auto check_shape = [&](Index groups, Index keys, Index count, Index dim) {
    check<1, Operand, Number>(groups, keys, count, dim, random);
    check<2, Operand, Number>(groups, keys, count, dim, random);
    check<4, Operand, Number>(groups, keys, count, dim, random);
    check<8, Operand, Number>(groups, keys, count, dim, random);
  };
  for (const Index groups : {1, 3, 4})
    for (const Index dim : widths) {
      for (const Index count : {0, 1, 3, 4}) check_shape(groups, 4, count, dim);
      for (const Index count : {3, 5, 14, 16}) check_shape(groups, 16, count, dim);
    }
}

const std::vector<Index> any_widths = {1, 7, 8, 48, 64, 129};

}  // namespace

TEMPLATE_TEST_CASE("every score is a product", "", float, Eigen::half, Eigen::bfloat16) {
  check_all<float, TestType>(any_widths);
}

TEMPLATE_LIST_TEST_CASE("every score is a product of pairs", "", bfloat16_pairs) {
  check_all<TestType, Eigen::bfloat16>(any_widths);
}

TEMPLATE_LIST_TEST_CASE("every score is a product of whole numbers", "", int16_pairs) {
  constexpr Index whole = 2 * hr::detail::lanes;
  check_all<TestType, std::int8_t>({whole, 3 * whole, 4 * whole});
}

namespace {

// Whole numbers, and a factor for each block of them.
template <int size>
struct blocks_of {
  static constexpr int numbers_of_block = size;

  const std::int8_t* numbers;

  const std::int8_t* numbers_at(Index d) const { return numbers + d; }
  float factor_at(Index d) const { return 0.25f * float(d / size + 1); }
  float operator[](Index d) const { return factor_at(d) * float(numbers[d]); }
};

template <int rows, class Operand, int packets>
void check_blocks(Index groups, Index count, random_source& random) {
  using row_of = blocks_of<packets * 2 * hr::detail::lanes>;
  static_assert(hr::detail::block_integer_row<row_of>);
  constexpr Index keys = 16, dim = 3 * row_of::numbers_of_block;
  tensor<std::int16_t> q(groups, rows, dim);
  random.fill(q.view(), 3000);
  tensor<std::int8_t> k(groups * keys, 1, dim);
  random.fill(k.view(), 25);
  std::vector<const std::int8_t*> pointers;
  for (Index j = 0; j < groups * keys; ++j) pointers.push_back(k.view().row(j, 0));
  tensor<float> scores(groups, keys, rows);
  hr::detail::dot_product<rows, Operand>(
      q.view().data(), pointers.data(), [](const std::int8_t* row) { return row_of{row}; }, groups,
      keys, count, dim, scores.view().data());
  for (Index g = 0; g < groups; ++g) {
    tensor<float> of_group(count, 1, rows);
    for (Index j = 0; j < count; ++j)
      for (Index r = 0; r < rows; ++r) of_group(j, 0, r) = scores(g, j, r);
    REQUIRE(is_product(
        of_group, zeros<float>(count, rows), dim,
        [&](Index j, Index d) { return row_of{k.view().row(g * keys + j, 0)}[d]; },
        [&](Index d, Index r) { return static_cast<float>(q(g, r, d)); }));
  }
}

}  // namespace

TEMPLATE_LIST_TEST_CASE("every score is a product of blocks of whole numbers", "", int16_pairs) {
  random_source random(37);
  for (const Index groups : {1, 3})
    for (const Index count : {0, 1, 5, 16}) {
      check_blocks<1, TestType, 1>(groups, count, random);
      check_blocks<1, TestType, 2>(groups, count, random);
      check_blocks<2, TestType, 1>(groups, count, random);
      check_blocks<4, TestType, 1>(groups, count, random);
      check_blocks<4, TestType, 2>(groups, count, random);
      check_blocks<8, TestType, 1>(groups, count, random);
    }
}
