// expect: deleted
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/linear.hpp>

using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

RowMajor weight;

#ifdef HEADROOM_MISUSE
headroom::linear layer(RowMajor(2 * weight));
#else
headroom::linear layer(weight);
#endif
