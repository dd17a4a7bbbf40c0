// expect: latents are both in one row, and have none
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/kv_cache.hpp>
#include <headroom/latent_cache.hpp>
#include <headroom/scaled_cache.hpp>

#ifdef HEADROOM_MISUSE
using cache = headroom::scaled_cache<headroom::latent_cache<float, 16, 4>>;
#else
using cache = headroom::scaled_cache<headroom::kv_cache<float, 1, 20, 16>>;
#endif

cache of_latents(9);
