// expect: kv_cache<Scalar, ...>: Scalar must be float, double, Eigen::half or Eigen::bfloat16
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/kv_cache.hpp>

#ifdef HEADROOM_MISUSE
headroom::kv_cache<int, 8, 64> cache(100);
#else
headroom::kv_cache<float, 8, 64> cache(100);
#endif
