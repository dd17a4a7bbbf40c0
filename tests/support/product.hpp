// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/kernels/outer.hpp>

#include "support/error_bound.hpp"
#include "support/poison.hpp"
#include "support/random.hpp"

#include <vector>

// Products for tests, checked number by number: a sum of n products computed in any order errs by
// at most gamma(n) sum |products| (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed.,
// equation 3.5).

namespace headroom_tests {

/// A matrix with gaps of NaN between its rows.
template <class Scalar>
tensor<Scalar> random_matrix(Eigen::Index rows, Eigen::Index cols, random_source& random) {
  tensor<Scalar> matrix(rows, 1, cols, layout::padded);
  random.fill(matrix.view());
  return matrix;
}

template <class Scalar>
headroom::detail::tile<Scalar> as_tile(const tensor<Scalar>& matrix) {
  return {matrix.view().data(), matrix.view().token_stride()};
}

/// Whether got[r, c] = start[r, c] + sum_i a(r, i) b(i, c), within the bound; n products a sum.
template <class Scalar, class A, class B>
bool is_product(const tensor<Scalar>& got, const tensor<Scalar>& start, Eigen::Index n, A a, B b) {
  const double gamma = gamma_bound(double(n + 1), unit_roundoff<Scalar>) +
                       gamma_bound(double(n + 1), unit_roundoff<double>);
  for (Eigen::Index r = 0; r < got.tokens(); ++r)
    for (Eigen::Index c = 0; c < got.dim(); ++c) {
      double sum = double(start(r, 0, c)), magnitude = std::abs(sum);
      for (Eigen::Index i = 0; i < n; ++i) {
        sum += double(a(r, i)) * double(b(i, c));
        magnitude += std::abs(double(a(r, i)) * double(b(i, c)));
      }
      if (!(std::abs(double(got(r, 0, c)) - sum) <= gamma * magnitude)) return false;
    }
  return got.gaps_untouched();
}

template <class Scalar>
tensor<Scalar> zeros(Eigen::Index rows, Eigen::Index cols) {
  tensor<Scalar> matrix(rows, 1, cols, layout::padded);
  for (Eigen::Index r = 0; r < rows; ++r) fill_row(matrix.view(), r, 0, Scalar(0));
  return matrix;
}

/// Whether product(q, rows, keys, tokens, dim, scores, stride), over random numbers with gaps
/// between the rows, adds q keys^T to what the scores were.
template <class Scalar, class Number, class Product>
bool adds_key_products(const Product& product, Eigen::Index rows, Eigen::Index tokens,
                       Eigen::Index dim, random_source& random) {
  const auto q = random_matrix<Scalar>(rows, dim, random);
  const auto k = random_matrix<Number>(tokens, dim, random);
  const auto start = random_matrix<Scalar>(rows, tokens, random);
  auto scores = start;
  product(as_tile(q), rows, as_tile(k), tokens, dim, scores.view().data(),
          scores.view().token_stride());
  return is_product(
      scores, start, dim, [&](Eigen::Index r, Eigen::Index d) { return q(r, 0, d); },
      [&](Eigen::Index d, Eigen::Index j) { return k(j, 0, d); });
}

/// Whether product(weights, rows, values, tokens, dim, value, stride) adds weights values likewise.
template <class Scalar, class Number, class Product>
bool adds_values(const Product& product, Eigen::Index rows, Eigen::Index tokens, Eigen::Index dim,
                 random_source& random) {
  const auto weights = random_matrix<Scalar>(rows, tokens, random);
  const auto v = random_matrix<Number>(tokens, dim, random);
  const auto start = random_matrix<Scalar>(rows, dim, random);
  auto value = start;
  product(as_tile(weights), rows, as_tile(v), tokens, dim, value.view().data(),
          value.view().token_stride());
  return is_product(
      value, start, tokens, [&](Eigen::Index r, Eigen::Index j) { return weights(r, 0, j); },
      [&](Eigen::Index j, Eigen::Index d) { return v(j, 0, d); });
}

}  // namespace headroom_tests
