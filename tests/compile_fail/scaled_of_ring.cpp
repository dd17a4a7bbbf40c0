// expect: there are none for a ring_cache
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/kv_cache.hpp>
#include <headroom/ring_cache.hpp>
#include <headroom/scaled_cache.hpp>

#ifdef HEADROOM_MISUSE
using cache = headroom::scaled_cache<headroom::ring_cache<headroom::kv_cache<float, 2, 8>>>;
#else
using cache = headroom::scaled_cache<headroom::kv_cache<float, 2, 8>>;
#endif

headroom::Index tokens_of(const cache& of) {
  return of.tokens();
}
