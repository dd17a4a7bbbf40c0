// expect: the last dimension of a view must be contiguous; pass a matrix whose inner stride is 1
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/attention.hpp>

using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Strided = Eigen::Map<const RowMajor, 0, Eigen::InnerStride<2>>;

void attend(const headroom::attention<8, 2>& heads, const RowMajor& q, const RowMajor& k,
            const RowMajor& v, RowMajor& out) {
#ifdef HEADROOM_MISUSE
  heads(q, Strided(k.data(), 3, 64), v, out);
#else
  heads(q, Eigen::Map<const RowMajor>(k.data(), 3, 64), v, out);
#endif
}
