// expect: deleted
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/dense_mask.hpp>

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

headroom::dense_bias<double> make(const RowMajor& bias) {
#ifdef HEADROOM_MISUSE
  return headroom::dense_bias(RowMajor(2 * bias));
#else
  return headroom::dense_bias(bias);
#endif
}
