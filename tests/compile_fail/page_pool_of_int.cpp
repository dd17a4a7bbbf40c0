// expect: page_pool<Scalar, ...>: Scalar must be float, double, Eigen::half or Eigen::bfloat16
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/page_pool.hpp>

#ifdef HEADROOM_MISUSE
headroom::page_pool<int, 8, 64> pool(100, 16);
#else
headroom::page_pool<float, 8, 64> pool(100, 16);
#endif
