// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: scores = Q K^T and value += P V, for any sizes and strides, and not a number beside them.
// A sum of n products computed in any order errs by at most gamma(n) sum |products|
// (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., equation 3.5).
#include <headroom/detail/matmul.hpp>

#include "support/catch.hpp"
#include "support/error_bound.hpp"
#include "support/poison.hpp"
#include "support/random.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;
using hr::detail::tile;

namespace {

// Below, within and beyond a stripe in rows (32), depth (64) and width (256), and a single row.
const std::vector<Index> row_counts = {1, 2, 31, 32, 33, 65};
const std::vector<Index> token_counts = {1, 3, 63, 64, 65, 257};
const std::vector<Index> widths = {1, 7, 64, 65, 300};

// A matrix with gaps of NaN between its rows.
template <class Scalar>
tensor<Scalar> random_matrix(Index rows, Index cols, random_source& random) {
  tensor<Scalar> matrix(rows, 1, cols, layout::padded);
  random.fill(matrix.view());
  return matrix;
}

template <class Scalar>
tile<Scalar> as_tile(const tensor<Scalar>& matrix) {
  return {matrix.view().data(), matrix.view().token_stride()};
}

// Whether got[r, c] = start[r, c] + sum_i a(r, i) b(i, c), within the bound; n products a sum.
template <class Scalar, class A, class B>
bool is_product(const tensor<Scalar>& got, const tensor<Scalar>& start, Index n, A a, B b) {
  const double gamma = gamma_bound(double(n + 1), unit_roundoff<Scalar>) +
                       gamma_bound(double(n + 1), unit_roundoff<double>);
  for (Index r = 0; r < got.tokens(); ++r)
    for (Index c = 0; c < got.dim(); ++c) {
      double sum = double(start(r, 0, c)), magnitude = std::abs(sum);
      for (Index i = 0; i < n; ++i) {
        sum += double(a(r, i)) * double(b(i, c));
        magnitude += std::abs(double(a(r, i)) * double(b(i, c)));
      }
      if (!(std::abs(double(got(r, 0, c)) - sum) <= gamma * magnitude)) return false;
    }
  return got.gaps_untouched();
}

template <class Scalar>
tensor<Scalar> zeros(Index rows, Index cols) {
  tensor<Scalar> matrix(rows, 1, cols, layout::padded);
  for (Index r = 0; r < rows; ++r) fill_row(matrix.view(), r, 0, Scalar(0));
  return matrix;
}

}  // namespace

TEMPLATE_TEST_CASE("scores are queries times keys, whatever was there before", "", float, double) {
  random_source random(11);
  for (const Index rows : row_counts)
    for (const Index tokens : token_counts)
      for (const Index dim : widths) {
        INFO(rows << " rows, " << tokens << " tokens, width " << dim);
        const auto q = random_matrix<TestType>(rows, dim, random);
        const auto k = random_matrix<TestType>(tokens, dim, random);
        tensor<TestType> scores(rows, 1, tokens, layout::padded);  // NaN, to be overwritten
        hr::detail::multiply_keys(as_tile(q), rows, as_tile(k), tokens, dim, scores.view().data(),
                                  scores.view().token_stride());
        REQUIRE(is_product(
            scores, zeros<TestType>(rows, tokens), dim,
            [&](Index r, Index d) { return q(r, 0, d); },
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
  for (const Index rows : row_counts)
    for (const Index tokens : token_counts)
      for (const Index dim : widths) {
        INFO(rows << " rows, " << tokens << " tokens, width " << dim);
        const auto weights = random_matrix<TestType>(rows, tokens, random);
        const auto v = random_matrix<TestType>(tokens, dim, random);
        const auto start = random_matrix<TestType>(rows, dim, random);
        auto value = start;
        hr::detail::add_values(as_tile(weights), rows, as_tile(v), tokens, dim, value.view().data(),
                               value.view().token_stride());
        REQUIRE(is_product(
            value, start, tokens, [&](Index r, Index j) { return weights(r, 0, j); },
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
