// expect: a rotated_cache goes around the scales
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/kv_cache.hpp>
#include <headroom/rotated_cache.hpp>
#include <headroom/scaled_cache.hpp>

#ifdef HEADROOM_MISUSE
using cache = headroom::scaled_cache<headroom::rotated_cache<headroom::kv_cache<float, 2, 8>>>;
#else
using cache = headroom::rotated_cache<headroom::scaled_cache<headroom::kv_cache<float, 2, 8>>>;
#endif

cache scaled(9);
