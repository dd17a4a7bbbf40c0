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

}  // namespace headroom_tests
