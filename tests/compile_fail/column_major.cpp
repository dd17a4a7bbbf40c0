// expect: cannot be viewed as [tokens, heads, dim]; pass a matrix or map with Eigen::RowMajor
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/view.hpp>

#ifdef HEADROOM_MISUSE
Eigen::MatrixXf keys;
#else
Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> keys;
#endif

auto view = headroom::as_view(keys, 8);
