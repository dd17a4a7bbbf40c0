// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: value[rows, dim] += W^T V for any number of keys and any width, of rows anywhere. The same
// in pairs of bfloat16, of values that are any number of rows apart, and of whole numbers, times
// the unit of each row. Of some columns the others stay as they are.
#include <headroom/detail/kernels/weighted_sum.hpp>

#include "support/catch.hpp"
#include "support/pairs.hpp"
#include "support/product.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

template <int rows, class Number>
void check(Index count, Index dim, random_source& random) {
  INFO(rows << " rows, " << count << " keys, width " << dim);
  const Index stride = hr::detail::weights_of_key(rows);
  tensor<float> weights(count + 1, 1, stride), value(rows, 1, dim);
  random.fill(weights.view());
  random.fill(value.view());
  const tensor<float> start = value;
  const auto v = random_matrix<Number>(count + 1, dim, random);
  std::vector<const Number*> values;
  for (Index j = 0; j < count; ++j) values.push_back(v.view().row((j * 7) % (count + 1), 0));
  hr::detail::add_weighted_sum<rows>(weights.view().data(), values.data(), hr::detail::as_stored(),
                                     count, dim, value.view().data());
  REQUIRE(is_product(
      value, start, count, [&](Index r, Index j) { return weights(j, 0, r); },
      [&](Index j, Index d) {
        return static_cast<float>(values[static_cast<std::size_t>(j)][d]);
      }));
}

template <int rows, class Pair, class Number = Eigen::bfloat16>
void check_pairs(Index count, Index partner, Index dim, random_source& random) {
  INFO(rows << " rows, " << count << " pairs, " << partner << " apart, width " << dim);
  const Index stride = hr::detail::weights_of_key(rows), keys = count + partner;
  using weight = hr::detail::number_of<Pair>;
  constexpr bool whole = hr::detail::is_integer<Pair>;
  auto first = random_matrix<weight>(count + 1, stride, random), second = first;
  random.fill(first.view(), whole ? 3000 : 1);
  random.fill(second.view(), whole ? 3000 : 1);
  std::vector<float> units = random.numbers(stride);
  if (!whole) units.assign(units.size(), 1.f);
  std::vector<Pair> weights;
  for (Index j = 0; j < count; ++j)
    for (Index r = 0; r < stride; ++r) weights.push_back({first(j, 0, r), second(j, 0, r)});
  tensor<float> value(rows, 1, dim);
  random.fill(value.view());
  const tensor<float> start = value;
  auto v = random_matrix<Number>(keys + 1, dim, random);
  if (whole) random.fill(v.view(), 25);
  std::vector<const Number*> values;
  for (Index j = 0; j < keys; ++j) values.push_back(v.view().row((j * 7) % (keys + 1), 0));
  hr::detail::add_weighted_sum<rows>(weights.data(), values.data(), hr::detail::as_stored(), count,
                                     dim, value.view().data(), partner, {}, units.data());
  REQUIRE(is_product(
      value, start, 2 * count,
      [&](Index r, Index i) {
        return double(units[static_cast<std::size_t>(r)]) *
               static_cast<double>(i < count ? first(i, 0, r) : second(i - count, 0, r));
      },
      [&](Index i, Index d) {
        const Index j = i < count ? i : i - count + partner;
        return static_cast<float>(values[static_cast<std::size_t>(j)][d]);
      }));
}

}  // namespace

TEMPLATE_LIST_TEST_CASE("every sum of pairs is weighted", "", bfloat16_pairs) {
  random_source random(34);
  for (const Index count : {0, 1, 2, 4, 7, 8})
    for (const Index dim : {1, 8, 48, 64, 129, 272}) {
      check_pairs<1, TestType>(count, 8, dim, random);
      check_pairs<2, TestType>(count, 4, dim, random);
      check_pairs<3, TestType>(count, 4, dim, random);
      check_pairs<4, TestType>(count, 9, dim, random);
      check_pairs<7, TestType>(count, 4, dim, random);
      check_pairs<8, TestType>(count, 4, dim, random);
    }
}

TEMPLATE_LIST_TEST_CASE("every sum of whole numbers is weighted, times its unit", "", int16_pairs) {
  random_source random(35);
  for (const Index count : {0, 1, 2, 15, 16})
    for (const Index dim : {1, 8, 48, 64, 129, 272}) {
      check_pairs<1, TestType, std::int8_t>(count, 16, dim, random);
      check_pairs<2, TestType, std::int8_t>(count, 4, dim, random);
      check_pairs<3, TestType, std::int8_t>(count, 16, dim, random);
      check_pairs<4, TestType, std::int8_t>(count, 17, dim, random);
      check_pairs<7, TestType, std::int8_t>(count, 16, dim, random);
      check_pairs<8, TestType, std::int8_t>(count, 16, dim, random);
    }
}

TEMPLATE_TEST_CASE("every sum is weighted", "", float, Eigen::half, Eigen::bfloat16) {
  random_source random(33);
  for (const Index count : {0, 1, 4, 7, 8, 15, 33})
    for (const Index dim : {1, 7, 8, 64, 129, 272}) {
      check<1, TestType>(count, dim, random);
      check<2, TestType>(count, dim, random);
      check<3, TestType>(count, dim, random);
      check<4, TestType>(count, dim, random);
      check<7, TestType>(count, dim, random);
      check<8, TestType>(count, dim, random);
    }
}

TEST_CASE("some columns are taken alone, in tiles of any width") {
  random_source random(36);
  constexpr Index dim = 150, count = 9;
  tensor<float> weights(count, 1, 4), value(4, 1, dim);
  random.fill(weights.view());
  random.fill(value.view());
  const tensor<float> start = value;
  const auto v = random_matrix<float>(count, dim, random);
  std::vector<const float*> values;
  for (Index j = 0; j < count; ++j) values.push_back(v.view().row(j, 0));
  const auto add = [&]<int packets>(std::integral_constant<int, packets>, Index begin, Index end) {
    hr::detail::add_weighted_sum<4, packets>(
        weights.view().data(), values.data(), hr::detail::as_stored(), count,
        hr::detail::value_columns{begin, end, dim}, value.view().data());
  };
  add(std::integral_constant<int, 2>(), 32, 64);
  add(std::integral_constant<int, 4>(), 64, 131);
  add(std::integral_constant<int, 1>(), 140, 150);
  const auto taken = [](Index d) { return (d >= 32 && d < 131) || d >= 140; };
  REQUIRE(is_product(
      value, start, count, [&](Index r, Index j) { return weights(j, 0, r); },
      [&](Index j, Index d) { return taken(d) ? values[std::size_t(j)][d] : 0.f; }));
}
