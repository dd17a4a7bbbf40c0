// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: value[rows, dim] += W^T V for any number of keys and any width, of rows anywhere.
#include <headroom/detail/kernels/weighted_sum.hpp>

#include "support/catch.hpp"
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

}  // namespace

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
