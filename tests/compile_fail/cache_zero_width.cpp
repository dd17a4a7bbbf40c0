// expect: kv_cache<Scalar, KV_groups, qk_dim, v_dim>: sizes must be at least 1 or Eigen::Dynamic
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/kv_cache.hpp>

#ifdef HEADROOM_MISUSE
headroom::kv_cache<float, 8, 0> cache(100);
#else
headroom::kv_cache<float, 8, 64> cache(100);
#endif
