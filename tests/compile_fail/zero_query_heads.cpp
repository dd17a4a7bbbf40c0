// expect: Q_heads, the number of query heads, must be at least 1 or Eigen::Dynamic
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/attention.hpp>

#ifdef HEADROOM_MISUSE
headroom::attention<0, 2, 64, 64> object;
#else
headroom::attention<8, 2, 64, 64> object;
#endif
