// expect: latent_rank must be a number where latents and rotary keys are not stored as one scalar
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/int8_codec.hpp>
#include <headroom/paged_latents.hpp>

#ifdef HEADROOM_MISUSE
headroom::latent_page_pool<headroom::int8_blocks> pool(100, 16, 512, 64);
#else
headroom::latent_page_pool<headroom::int8_blocks, 512> pool(100, 16, 512, 64);
#endif
