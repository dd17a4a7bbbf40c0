// expect: headroom: the output is read-only; pass a matrix, map or view whose elements can
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/attention.hpp>

using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

#ifdef HEADROOM_MISUSE
headroom::view<const float> out;
#else
headroom::view<float> out;
#endif
RowMajor q, k, v;

void attend(const headroom::attention<8, 2>& heads) {
  heads(q, k, v, out);
}
