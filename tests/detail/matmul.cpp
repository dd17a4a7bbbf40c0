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
  for (const Index rows : {1, 33}) {
    const auto q = random_matrix<TestType>(rows, 65, random);
    const auto k = random_matrix<TestType>(20, 65, random);
    const auto start = random_matrix<TestType>(rows, 20, random);
    auto scores = start;
    hr::detail::add_key_products(as_tile(q), rows, as_tile(k), 20, 65, scores.view().data(),
                                 scores.view().token_stride());
    REQUIRE(is_product(
        scores, start, 65, [&](Index r, Index d) { return q(r, 0, d); },
        [&](Index d, Index j) { return k(j, 0, d); }));
  }
}

TEMPLATE_TEST_CASE("weighted values are added to what was there", "", float, double) {
  random_source random(13);
  for (const Index rows : {1, 2, 33}) {
    const auto weights = random_matrix<TestType>(rows, 65, random);
    const auto v = random_matrix<TestType>(65, 43, random);
    const auto start = random_matrix<TestType>(rows, 43, random);
    auto value = start;
    hr::detail::add_values(as_tile(weights), rows, as_tile(v), 65, 43, value.view().data(),
                           value.view().token_stride());
    REQUIRE(is_product(
        value, start, 65, [&](Index r, Index j) { return weights(r, 0, j); },
        [&](Index j, Index d) { return v(j, 0, d); }));
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
