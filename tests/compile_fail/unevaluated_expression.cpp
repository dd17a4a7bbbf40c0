// expect: an Eigen expression without storage cannot be viewed; evaluate it into a row-major
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/attention.hpp>

using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

void attend(const headroom::attention<8, 2>& heads, const RowMajor& q, const RowMajor& k,
            const RowMajor& v, RowMajor& out) {
#ifdef HEADROOM_MISUSE
  heads(2 * q, k, v, out);
#else
  heads(RowMajor(2 * q), k, v, out);
#endif
}
