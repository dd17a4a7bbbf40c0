// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: the weights of a group lie side by side for as many keys as are taken at a time: as they
// are, or in pairs, rounded, each beside that of the key half of these further on; times the
// factors of the keys' values where there are some.
#include <headroom/detail/value_weights.hpp>

#include "support/catch.hpp"
#include "support/error_bound.hpp"
#include "support/pairs.hpp"
#include "support/random.hpp"

#include <algorithm>

namespace hr = headroom::detail;
using namespace headroom_tests;
using Eigen::Index;

namespace {

// What is to be taken of `groups` groups with so many rows, all in whole lines.
struct step {
  hr::line_shape line, values;
  Index lines;
  std::vector<float> weights;

  step(Index groups, Index rows, Index values_keys, random_source& random)
      : line(hr::line_shape::of(groups, rows)),
        values{groups, std::max(line.keys, values_keys), line.rows},
        lines(3 * values.keys / line.keys),
        weights(random.numbers<float>(lines * line.size() + hr::lanes)) {}

  float weight(Index g, Index key, Index r) const {
    return weights[static_cast<std::size_t>(key / line.keys * line.size() +
                                            line.at(g, key % line.keys, r))];
  }
};

}  // namespace

TEST_CASE("floats are brought together, or stay where they are") {
  random_source random(51);
  for (const Index groups : {1, 3})
    for (const Index rows : {1, 2, std::min(hr::lanes, 8)})
      for (const Index keys : {0, 8}) {
        step s(groups, rows, keys, random);
        hr::scratch memory;
        const hr::value_weights<float> weights(s.line, s.values, s.weights.data(), s.lines, false,
                                               memory);
        weights.make(s.lines);
        for (Index g = 0; g < groups; ++g)
          for (Index first = 0; first < s.lines * s.line.keys; first += s.values.keys)
            for (Index j = 0; j < s.values.keys; ++j)
              for (Index r = 0; r < s.line.rows; ++r)
                REQUIRE(weights.operands(g, first)[j * s.line.rows + r] ==
                        s.weight(g, first + j, r));
        const auto before = s.weights;
        const auto factors = random.numbers(s.values.keys + hr::lanes);
        const float* const products = weights.operands(groups - 1, s.values.keys, factors.data());
        for (Index i = 0; i < s.values.keys * s.line.rows; ++i) {
          const Index j = i / s.line.rows, key = s.values.keys + j;
          const float weight = before[static_cast<std::size_t>(
              key / s.line.keys * s.line.size() +
              s.line.at(groups - 1, key % s.line.keys, i % s.line.rows))];
          REQUIRE(products[i] == weight * factors[static_cast<std::size_t>(j)]);
        }
      }
}

TEMPLATE_LIST_TEST_CASE("whole numbers are rounded when they are taken", "", int16_pairs) {
  random_source random(53);
  const int most = std::min(hr::lanes, 8);
  for (const Index groups : {1, 3})
    for (const Index rows : {1, std::min(2, most), most}) {
      step s(groups, rows, 32, random);
      for (float& weight : s.weights) weight = std::abs(weight);
      hr::scratch memory;
      const hr::value_weights<TestType> weights(s.line, s.values, s.weights.data(), s.lines, true,
                                                memory);
      weights.make(s.lines);
      const Index half = s.values.keys / 2, first = s.values.keys;
      auto factors = random.numbers(s.values.keys + hr::lanes);
      for (float& factor : factors) factor = std::abs(factor);
      for (Index g = 0; g < groups; ++g)
        for (const bool multiplied : {true, false, true}) {
          const TestType* const pairs =
              weights.operands(g, first, multiplied ? factors.data() : nullptr);
          REQUIRE(weights.residuals(g, first) == nullptr);
          for (Index r = 0; r < s.line.rows; ++r)
            for (Index j = 0; j < half; ++j) {
              const double unit = double(weights.units()[r]);
              const auto near = [&](int whole, Index key) {
                const double half_unit = operand_rounding::whole_numbers().query * 32767 * unit;
                const double factor =
                    multiplied ? double(factors[static_cast<std::size_t>(key)]) : 1;
                return std::abs(unit * whole - factor * double(s.weight(g, first + key, r))) <=
                       half_unit;
              };
              REQUIRE(near(pairs[j * s.line.rows + r].first, j));
              REQUIRE(near(pairs[j * s.line.rows + r].second, j + half));
            }
        }
    }
}

TEMPLATE_LIST_TEST_CASE("pairs are brought together", "", bfloat16_pairs) {
  using number = Eigen::bfloat16;
  random_source random(52);
  for (const Index groups : {1, 2, 5})
    for (const Index keys : {8, 16})  // half of them are a line, or several
      for (Index rows = 1; rows <= std::min(hr::lanes, 8); ++rows) {
        step s(groups, rows, keys, random);
        hr::scratch memory;
        const bool keeps_residuals = keys == 8;
        const hr::value_weights<TestType> pairs(s.line, s.values, s.weights.data(), s.lines,
                                                keeps_residuals, memory);
        pairs.make(s.lines);
        const Index half = s.values.keys / 2;
        for (Index g = 0; g < groups; ++g)
          for (Index first = 0; first < s.lines * s.line.keys; first += s.values.keys)
            for (Index j = 0; j < half; ++j)
              for (Index r = 0; r < rows; ++r) {
                const TestType pair = pairs.operands(g, first)[j * s.line.rows + r];
                const float near = s.weight(g, first + j, r);
                const float far = s.weight(g, first + half + j, r);
                REQUIRE(pair.first == number(near));
                REQUIRE(pair.second == number(far));
                REQUIRE((pairs.residuals(g, first) != nullptr) == keeps_residuals);
                if (!keeps_residuals) continue;
                const TestType residual = pairs.residuals(g, first)[j * s.line.rows + r];
                REQUIRE(residual.first == number(near - float(pair.first)));
                REQUIRE(residual.second == number(far - float(pair.second)));
              }
      }
}
