// expect: rope: takes a view, not a matrix, which does not say how many heads it has
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/rope.hpp>

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

void rotate(const headroom::rope& rotary, Matrix& x) {
#ifdef HEADROOM_MISUSE
  rotary(x, 0);
#else
  rotary(headroom::as_view(x, 8), 0);
#endif
}
