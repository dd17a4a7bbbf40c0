// expect: linear<Weight>: Weight must be float, double, Eigen::half or Eigen::bfloat16
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/linear.hpp>

#ifdef HEADROOM_MISUSE
headroom::linear<int> weight;
#else
headroom::linear<Eigen::bfloat16> weight;
#endif
