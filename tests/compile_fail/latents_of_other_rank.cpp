// expect: mla: the cache has another latent_rank or rope than the attention
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/latent_cache.hpp>
#include <headroom/mla.hpp>

#ifdef HEADROOM_MISUSE
using Latents = headroom::latent_cache<float, 32, 16>;
#else
using Latents = headroom::latent_cache<float, 32, 8>;
#endif
Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> q, w, out;

void attend(const Latents& latents) {
  headroom::mla<2, 32, 16, 8, 16>().absorbed(q, latents, headroom::linear(w), out);
}
