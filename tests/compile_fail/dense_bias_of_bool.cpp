// expect: dense_bias: takes numbers that are added to scores, of float, double, Eigen::half or
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/dense_mask.hpp>

template <class Scalar>
using RowMajor = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

#ifdef HEADROOM_MISUSE
RowMajor<bool> bias;
#else
RowMajor<Eigen::half> bias;
#endif

headroom::dense_bias mask(bias);
