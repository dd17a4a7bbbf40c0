// expect: linear: x and y must both be of float or both be of double
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/linear.hpp>

template <class Scalar>
using RowMajor = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

#ifdef HEADROOM_MISUSE
RowMajor<double> y;
#else
RowMajor<float> y;
#endif

void multiply(const headroom::linear<Eigen::half>& weight, const RowMajor<float>& x) {
  weight(x, y);
}
