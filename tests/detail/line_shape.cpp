// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a line holds as many keys of each group as fill packets, from every stream alike, whatever
// the number of groups; what is no key is hidden; numbers are multiplied by the factors of their
// keys.
#include <headroom/detail/line_shape.hpp>

#include "support/catch.hpp"

#include <set>
#include <vector>

using namespace headroom::detail;
using headroom::Index;

TEST_CASE("a line fills packets, and each number has its place") {
  for (const Index groups : {1, 2, 3, 8, 33})
    for (Index rows = 1; rows <= std::min(lanes, 8); ++rows) {
      INFO(groups << " groups of " << rows << " rows");
      const line_shape shape = line_shape::of(groups, rows);
      REQUIRE((shape.groups == groups && shape.rows >= rows && shape.rows < 2 * rows));
      REQUIRE((shape.keys % streams == 0 && lanes % shape.rows == 0));
      REQUIRE((shape.size() % lanes == 0 && shape.keys == line_shape::of(1, rows).keys));
      std::set<Index> places;
      for (Index g = 0; g < groups; ++g)
        for (Index j = 0; j < shape.keys; ++j)
          for (Index r = 0; r < shape.rows; ++r) places.insert(shape.at(g, j, r));
      REQUIRE(static_cast<Index>(places.size()) == shape.pairs() * shape.rows);
      REQUIRE((*places.begin() == 0 && *places.rbegin() < shape.size()));
    }
}

TEST_CASE("what is no key is hidden, and nothing else") {
  const line_shape shape = line_shape::of(3, 1);
  for (Index count = 1; count <= shape.keys; ++count) {
    std::vector<float> scores(static_cast<std::size_t>(shape.size()), 1.f);
    shape.pad(scores.data(), count);
    float seen = 0;
    for (const float score : scores) seen += score == 1.f ? 1.f : 0.f;
    REQUIRE(seen == static_cast<float>(3 * count));
    for (Index g = 0; g < 3; ++g)
      REQUIRE(scores[static_cast<std::size_t>(shape.at(g, count - 1, 0))] == 1.f);
  }
}

TEST_CASE("numbers are multiplied by the factors of their keys, in place too") {
  for (Index rows = 1; rows <= std::min(lanes, 8); ++rows) {
    const line_shape shape = line_shape::of(2, rows);
    const auto count = static_cast<std::size_t>(shape.keys * shape.rows);
    std::vector<float> factors, numbers, products(count);
    for (Index j = 0; j < shape.keys + lanes; ++j) factors.push_back(static_cast<float>(j + 2));
    for (std::size_t i = 0; i < count; ++i) numbers.push_back(static_cast<float>(i) - 5);
    shape.multiply(factors.data(), numbers.data(), products.data());
    for (std::size_t i = 0; i < count; ++i)
      REQUIRE(products[i] ==
              numbers[i] * static_cast<float>(static_cast<Index>(i) / shape.rows + 2));
    shape.multiply(factors.data(), numbers.data(), numbers.data());
    REQUIRE(numbers == products);
  }
}
