// expect: rope, the width of a query's rotary part, must be at least 0 or Eigen::Dynamic
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/mla.hpp>

#ifdef HEADROOM_MISUSE
headroom::mla<16, 512, 128, -64, 128> heads;
#else
headroom::mla<16, 512, 128, 0, 128> heads;
#endif
