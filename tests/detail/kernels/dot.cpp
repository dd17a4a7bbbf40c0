// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: scores[keys, rows] = K Q^T for any number of keys and any width, rows a power of two.
#include <headroom/detail/kernels/dot.hpp>

#include "support/catch.hpp"
#include "support/product.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

template <int rows, class Number>
void check(Index count, Index dim, random_source& random) {
  INFO(rows << " rows, " << count << " keys, width " << dim);
  tensor<float> q(rows, 1, dim);
  random.fill(q.view());
  const auto k = random_matrix<Number>(count + 1, dim, random);
  std::vector<const Number*> keys;
  for (Index j = 0; j < count; ++j) keys.push_back(k.view().row((j * 7) % (count + 1), 0));
  tensor<float> scores(count, 1, rows);
  hr::detail::dot_product<rows>(q.view().data(), hr::detail::scattered<Number>{keys.data()}, count,
                                dim, scores.view().data(), keys.data());
  REQUIRE(is_product(
      scores, zeros<float>(count, rows), dim,
      [&](Index j, Index d) { return static_cast<float>(keys[static_cast<std::size_t>(j)][d]); },
      [&](Index d, Index r) { return q(r, 0, d); }));
}

template <class Number>
void check_all(Index count, Index dim) {
  random_source random(31);
  check<1, Number>(count, dim, random);
  check<2, Number>(count, dim, random);
  check<4, Number>(count, dim, random);
  check<8, Number>(count, dim, random);
}

}  // namespace

TEMPLATE_TEST_CASE("every score is a product", "", float, Eigen::half, Eigen::bfloat16) {
  for (const Index count : {0, 1, 7, 8, 9, 33})
    for (const Index dim : {1, 7, 8, 64, 129}) check_all<TestType>(count, dim);
}
