// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: scores = Q K^T and value += P V, in float and in double, by whatever kernel the seam
// chooses.
#include <headroom/detail/matmul.hpp>

#include "support/catch.hpp"
#include "support/product.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

TEMPLATE_TEST_CASE("scores are queries times keys, whatever was there before", "", float, double) {
  random_source random(11);
  for (const Index rows : {1, 3, 70})
    for (const Index tokens : {1, 70}) {
      const Index dim = 33;
      const auto q = random_matrix<TestType>(rows, dim, random);
      const auto k = random_matrix<TestType>(tokens, dim, random);
      tensor<TestType> scores(rows, 1, tokens, layout::padded);  // NaN, to be overwritten
      hr::detail::multiply_keys(as_tile(q), rows, as_tile(k), tokens, dim, scores.view().data(),
                                scores.view().token_stride());
      REQUIRE(is_product(
          scores, zeros<TestType>(rows, tokens), dim, [&](Index r, Index d) { return q(r, 0, d); },
          [&](Index d, Index j) { return k(j, 0, d); }));
    }
}

TEMPLATE_TEST_CASE("products of keys are added where asked to", "", float, double) {
  random_source random(12);
  const auto add_key_products = [](const auto&... arguments) {
    hr::detail::add_key_products(arguments...);
  };
  for (const Index rows : {1, 33})
    REQUIRE(adds_key_products<TestType, TestType>(add_key_products, rows, 20, 65, random));
}

TEMPLATE_TEST_CASE("weighted values are added to what was there", "", float, double) {
  random_source random(13);
  const auto add_values = [](const auto&... arguments) { hr::detail::add_values(arguments...); };
  for (const Index rows : {1, 2, 33})
    REQUIRE(adds_values<TestType, TestType>(add_values, rows, 65, 43, random));
}

TEST_CASE("rows of at most a stack are summed up as they are alone") {
  random_source random(14);
  const Index most = hr::detail::most_stacked_rows<float>;
  for (const Index depth : {1, 31, 64, 130})
    for (const Index columns : {1, 7, 16, 33, 200}) {
      const auto a = random_matrix<float>(most, depth, random);
      const auto keys = random_matrix<float>(columns, depth, random);
      const auto values = random_matrix<float>(depth, columns, random);
      // The first `rows` rows together, and each alone.
      for (Index rows = 1; rows <= most; ++rows) {
        auto together = zeros<float>(2 * most, columns), alone = together;
        const auto multiply = [&](tensor<float>& to, Index first, Index count) {
          const hr::detail::tile<float> part{a.view().row(first, 0), a.view().token_stride()};
          const Index stride = to.view().token_stride();
          hr::detail::multiply_keys<float>(part, count, as_tile(keys), columns, depth,
                                           to.view().row(first, 0), stride);
          hr::detail::add_values<float>(part, count, as_tile(values), depth, columns,
                                        to.view().row(most + first, 0), stride);
        };
        multiply(together, 0, rows);
        for (Index r = 0; r < rows; ++r) multiply(alone, r, 1);
        for (Index r = 0; r < 2 * most; ++r)
          for (Index c = 0; c < columns; ++c) REQUIRE(together(r, 0, c) == alone(r, 0, c));
      }
    }
}

TEST_CASE("no tokens and no rows are no work") {
  float value[2] = {3, 4};
  const float number = 1;
  hr::detail::add_values<float>({&number, 1}, 1, {&number, 2}, 0, 2, value, 2);
  hr::detail::add_values<float>({&number, 1}, 0, {&number, 2}, 1, 2, value, 2);
  hr::detail::multiply_keys<float>({&number, 1}, 1, {&number, 1}, 0, 1, value, 1);
  CHECK((value[0] == 3 && value[1] == 4));
}
