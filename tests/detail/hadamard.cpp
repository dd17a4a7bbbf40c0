// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: blocks of a row are multiplied by a Hadamard matrix of their size over the root of it:
// entry (i, j) has the sign of (-1)^(ones in the binary digits of i & j).
#include <headroom/detail/hadamard.hpp>

#include "support/catch.hpp"
#include "support/error_bound.hpp"
#include "support/random.hpp"

#include <bit>
#include <vector>

namespace hr = headroom::detail;
using namespace headroom_tests;
using Eigen::Index;

TEST_CASE("a block is the largest power of two that divides the width") {
  CHECK(hr::hadamard_block(1) == 1);
  CHECK(hr::hadamard_block(33) == 1);
  CHECK(hr::hadamard_block(80) == 16);
  CHECK(hr::hadamard_block(96) == 32);
  CHECK(hr::hadamard_block(128) == 128);
}

TEMPLATE_TEST_CASE("a row is multiplied by the matrix, and twice is not at all", "", float,
                   double) {
  random_source random(7);
  for (Index dim = 1; dim <= 160; ++dim) {
    const auto row = random.numbers<TestType>(dim);
    auto rotated = row;
    hr::rotate_by_hadamard(rotated.data(), dim);
    auto twice = rotated;
    hr::rotate_by_hadamard(twice.data(), dim);
    const Index block = hr::hadamard_block(dim);
    // A sum of block numbers by pairs, a root, a quotient, a product.
    const double roundings = std::log2(double(block)) + 3;
    const double error = gamma_bound(roundings, unit_roundoff<TestType> + unit_roundoff<double>);
    for (Index i = 0; i < dim; ++i) {
      const Index begin = i / block * block;
      double sum = 0, magnitude = 0, norm = 0;
      for (Index j = 0; j < block; ++j) {
        const double x = double(row[std::size_t(begin + j)]);
        const bool minus = std::popcount(std::size_t((i - begin) & j)) % 2 == 1;
        sum += minus ? -x : x;
        magnitude += std::abs(x);
        norm += x * x;
      }
      const double root = std::sqrt(double(block));
      REQUIRE(std::abs(double(rotated[std::size_t(i)]) - sum / root) <= error * magnitude / root);
      REQUIRE(std::abs(double(twice[std::size_t(i)] - row[std::size_t(i)])) <=
              3 * error * std::sqrt(norm));
    }
  }
}
