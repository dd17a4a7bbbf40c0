// expect: the mask modifies scores
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/latent_cache.hpp>
#include <headroom/mla_cascade.hpp>
#include <headroom/score_mod.hpp>

#include <vector>

using matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using cache = headroom::latent_cache<float, 64, 16>;

#ifdef HEADROOM_MISUSE
using mask = headroom::both_masks<headroom::causal, headroom::alibi>;
#else
using mask = headroom::both_masks<headroom::causal, headroom::none>;
#endif

void attend(const headroom::mla<4, 64, 16, 16, 16>& core, const matrix& q,
            const std::vector<int>& offsets,
            const std::vector<headroom::shared_prefix<cache>>& prefixes,
            const std::vector<headroom::batch_sequence<cache, mask>>& sequences,
            const headroom::linear<float>& up, matrix& out) {
  headroom::attend_cascade(core, q, offsets, prefixes, sequences, up, out);
}
