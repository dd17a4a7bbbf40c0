// expect: a rotated_cache goes around the ring
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/kv_cache.hpp>
#include <headroom/ring_cache.hpp>
#include <headroom/rotated_cache.hpp>

#ifdef HEADROOM_MISUSE
headroom::ring_cache<headroom::rotated_cache<headroom::kv_cache<float, 2, 8>>> cache({.window = 9});
#else
headroom::rotated_cache<headroom::ring_cache<headroom::kv_cache<float, 2, 8>>> cache({.window = 9});
#endif
