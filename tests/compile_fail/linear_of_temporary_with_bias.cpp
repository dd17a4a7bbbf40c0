// expect: deleted
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/linear.hpp>

using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

RowMajor weight;
float bias[4];

#ifdef HEADROOM_MISUSE
headroom::linear layer(RowMajor(weight.bottomRows(4)), bias);
#else
headroom::linear layer(weight.bottomRows(4), bias);
#endif
