// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: scores += Q K^T and value += P V by Eigen's products, for any sizes and strides, and not a
// number beside them.
#include <headroom/detail/kernels/eigen_product.hpp>

#include "support/catch.hpp"
#include "support/product.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

// Below, within and beyond a stripe in rows (32), depth (64) and width (256), and a single row.
const std::vector<Index> row_counts = {1, 2, 31, 32, 33, 65};
const std::vector<Index> token_counts = {1, 3, 63, 64, 65, 257};
const std::vector<Index> widths = {1, 7, 64, 65, 300};

}  // namespace

TEMPLATE_TEST_CASE("products of keys are added to what was there", "", float, double) {
  random_source random(14);
  for (const Index rows : row_counts)
    for (const Index tokens : token_counts)
      for (const Index dim : widths) {
        INFO(rows << " rows, " << tokens << " tokens, width " << dim);
        const auto q = random_matrix<TestType>(rows, dim, random);
        const auto k = random_matrix<TestType>(tokens, dim, random);
        const auto start = random_matrix<TestType>(rows, tokens, random);
        auto scores = start;
        hr::detail::eigen_add_key_products(as_tile(q), rows, as_tile(k), tokens, dim,
                                           scores.view().data(), scores.view().token_stride());
        REQUIRE(is_product(
            scores, start, dim, [&](Index r, Index d) { return q(r, 0, d); },
            [&](Index d, Index j) { return k(j, 0, d); }));
      }
}

TEMPLATE_TEST_CASE("weighted values are added to what was there", "", float, double) {
  random_source random(15);
  for (const Index rows : row_counts)
    for (const Index tokens : token_counts)
      for (const Index dim : widths) {
        INFO(rows << " rows, " << tokens << " tokens, width " << dim);
        const auto weights = random_matrix<TestType>(rows, tokens, random);
        const auto v = random_matrix<TestType>(tokens, dim, random);
        const auto start = random_matrix<TestType>(rows, dim, random);
        auto value = start;
        hr::detail::eigen_add_values(as_tile(weights), rows, as_tile(v), tokens, dim,
                                     value.view().data(), value.view().token_stride());
        REQUIRE(is_product(
            value, start, tokens, [&](Index r, Index j) { return weights(r, 0, j); },
            [&](Index j, Index d) { return v(j, 0, d); }));
      }
}
