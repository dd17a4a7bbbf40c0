// expect: the mask modifies scores
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/cascade.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/score_mod.hpp>

#include <vector>

using matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using cache = headroom::kv_cache<float, 2, 64>;

#ifdef HEADROOM_MISUSE
using mask = headroom::both_masks<headroom::causal, headroom::alibi>;
#else
using mask = headroom::both_masks<headroom::causal, headroom::none>;
#endif

void attend(const headroom::gqa<8, 2, 64>& heads, const matrix& q, const std::vector<int>& offsets,
            const std::vector<headroom::shared_prefix<cache>>& prefixes,
            const std::vector<headroom::batch_sequence<cache, mask>>& sequences, matrix& out) {
  headroom::attend_cascade(heads, q, offsets, prefixes, sequences, out);
}
