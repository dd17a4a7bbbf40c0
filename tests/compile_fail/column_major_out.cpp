// expect: cannot be viewed as [tokens, heads, dim]; pass a matrix or map with Eigen::RowMajor
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/attention.hpp>

using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

#ifdef HEADROOM_MISUSE
Eigen::MatrixXf out;
#else
RowMajor out;
#endif
RowMajor q, k, v;

void attend(const headroom::attention<8, 2>& heads) {
  heads(q, k, v, out);
}
