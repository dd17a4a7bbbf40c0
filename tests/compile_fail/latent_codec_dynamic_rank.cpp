// expect: latent_rank must be a number where latents and rotary keys are not stored as one scalar
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/int8_codec.hpp>
#include <headroom/latent_cache.hpp>

#ifdef HEADROOM_MISUSE
headroom::latent_cache<headroom::int8_blocks> cache(100, 512, 64);
#else
headroom::latent_cache<headroom::int8_blocks, 512> cache(100, 512, 64);
#endif
