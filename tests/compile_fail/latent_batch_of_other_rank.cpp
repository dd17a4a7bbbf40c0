// expect: mla: the cache has another latent_rank or rope than the attention
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/latent_cache.hpp>
#include <headroom/mla_batch.hpp>

#include <vector>

#ifdef HEADROOM_MISUSE
using Latents = headroom::latent_cache<float, 32, 16>;
#else
using Latents = headroom::latent_cache<float, 32, 8>;
#endif
Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> q, w, out;

void attend(const std::vector<int>& offsets,
            const std::vector<headroom::batch_sequence<Latents>>& sequences) {
  headroom::attend_batch(headroom::mla<2, 32, 16, 8, 16>(), q, offsets, sequences,
                         headroom::linear(w), out);
}
