// expect: int4_codec<block_size>: block_size must be even and at least 2
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/int4_codec.hpp>
#include <headroom/kv_cache.hpp>

#ifdef HEADROOM_MISUSE
headroom::Index bytes = headroom::int4_codec<3>::storage_size(8);
#else
headroom::Index bytes = headroom::int4_codec<4>::storage_size(8);
#endif
