// expect: multi_axis_rope: positions must be a matrix of integers
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/multi_axis_rope.hpp>

void rotate(headroom::view<float> x) {
  const headroom::multi_axis_rope rope(headroom::rope(8), {2, 2});
#ifdef HEADROOM_MISUSE
  rope(x, Eigen::MatrixXf(x.tokens(), 2));
#else
  rope(x, Eigen::MatrixXi(x.tokens(), 2));
#endif
}
