// expect: a paged_cache is made on a pool
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/kv_cache.hpp>
#include <headroom/paged_cache.hpp>
#include <headroom/rotated_cache.hpp>

#ifdef HEADROOM_MISUSE
using cache = headroom::rotated_cache<headroom::paged_cache<float, 2, 8>>;
#else
using cache = headroom::rotated_cache<headroom::kv_cache<float, 2, 8>>;
#endif

headroom::Index tokens_of(const cache& of) {
  return of.tokens();
}
