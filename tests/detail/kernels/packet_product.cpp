// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: scores += Q K^T and value += P V by micro-kernels, for any sizes, strides and stored
// numbers, and not a number beside them.
#include <headroom/detail/kernels/packet_product.hpp>

#include "support/catch.hpp"
#include "support/product.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

// Rows that dot products take and more, up to panels and a rest; tokens around a step of dot
// products and around what shares a pass; widths around a packet and around the depth of a panel.
const std::vector<Index> row_counts = {1, 2, 3, 4, 5, 8, 23, 65};
const std::vector<Index> token_counts = {1, 3, 31, 33, 257};
const std::vector<Index> widths = {1, 7, 64, 193, 400};

const auto add_key_products = [](const auto&... arguments) {
  hr::detail::packet_add_key_products(arguments...);
};
const auto add_values = [](const auto&... arguments) {
  hr::detail::packet_add_values(arguments...);
};

}  // namespace

TEMPLATE_TEST_CASE("products of keys are added to what was there", "", float, Eigen::half,
                   Eigen::bfloat16) {
  random_source random(14);
  for (const Index rows : row_counts)
    for (const Index tokens : token_counts)
      for (const Index dim : widths) {
        INFO(rows << " rows, " << tokens << " tokens, width " << dim);
        REQUIRE(adds_key_products<float, TestType>(add_key_products, rows, tokens, dim, random));
      }
}

TEMPLATE_TEST_CASE("weighted values are added to what was there", "", float, Eigen::half,
                   Eigen::bfloat16) {
  random_source random(15);
  for (const Index rows : row_counts)
    for (const Index tokens : token_counts)
      for (const Index dim : widths) {
        INFO(rows << " rows, " << tokens << " tokens, width " << dim);
        REQUIRE(adds_values<float, TestType>(add_values, rows, tokens, dim, random));
      }
}
