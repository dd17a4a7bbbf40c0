// expect: mla: the cache must hold latents
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/kv_cache.hpp>
#include <headroom/latent_cache.hpp>
#include <headroom/mla.hpp>
#include <headroom/ring_cache.hpp>
#include <headroom/rotated_cache.hpp>

#ifdef HEADROOM_MISUSE
using Cache = headroom::rotated_cache<headroom::kv_cache<float, 1, 40, 32>>;
#else
using Cache = headroom::ring_cache<headroom::latent_cache<float, 32, 8>>;
#endif
Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> q, w, out;

void attend(const Cache& latents) {
  headroom::mla<2, 32, 16, 8, 16>()(q, latents, headroom::linear(w), out);
}
