// expect: of a ring_cache the keys of its prefix are written anew
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/context_shift.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/ring_cache.hpp>
#include <headroom/rotated_cache.hpp>

#ifdef HEADROOM_MISUSE
using cache = headroom::rotated_cache<headroom::ring_cache<headroom::kv_cache<float, 2, 8>>>;
#else
using cache = headroom::rotated_cache<headroom::kv_cache<float, 2, 8>>;
#endif

void make_room(cache& of, const headroom::rope& rotary) {
  headroom::shift_context(of, 4, of.tokens() / 2, rotary);
}
