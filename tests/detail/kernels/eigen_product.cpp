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

const auto add_key_products = [](const auto&... arguments) {
  hr::detail::eigen_add_key_products(arguments...);
};
const auto add_values = [](const auto&... arguments) {
  hr::detail::eigen_add_values(arguments...);
};

}  // namespace

TEMPLATE_TEST_CASE("products of keys are added to what was there", "", float, double) {
  random_source random(14);
  for (const Index rows : row_counts)
    for (const Index tokens : token_counts)
      for (const Index dim : widths) {
        INFO(rows << " rows, " << tokens << " tokens, width " << dim);
        REQUIRE(adds_key_products<TestType, TestType>(add_key_products, rows, tokens, dim, random));
      }
}

TEMPLATE_TEST_CASE("weighted values are added to what was there", "", float, double) {
  random_source random(15);
  for (const Index rows : row_counts)
    for (const Index tokens : token_counts)
      for (const Index dim : widths) {
        INFO(rows << " rows, " << tokens << " tokens, width " << dim);
        REQUIRE(adds_values<TestType, TestType>(add_values, rows, tokens, dim, random));
      }
}
