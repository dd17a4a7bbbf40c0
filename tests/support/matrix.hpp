// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/view.hpp>

#include "support/random.hpp"

namespace headroom_tests {

template <class Scalar>
using matrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// A matrix of independent normal numbers.
template <class Scalar>
matrix<Scalar> random_matrix(random_source& random, Eigen::Index rows, Eigen::Index cols,
                             double deviation = 1) {
  matrix<Scalar> result(rows, cols);
  random.fill(headroom::as_view(result, 1), deviation);
  return result;
}

}  // namespace headroom_tests
