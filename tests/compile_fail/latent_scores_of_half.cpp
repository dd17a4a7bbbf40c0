// expect: visit_scores: q over latents must be of float or of double
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/latent_cache.hpp>
#include <headroom/mla_scores.hpp>

#ifdef HEADROOM_MISUSE
using scalar = Eigen::half;
#else
using scalar = float;
#endif

void raw_scores(const headroom::latent_cache<float, 16, 4>& latents,
                const headroom::linear<float>& up, headroom::view<const scalar> q) {
  headroom::visit_scores(headroom::mla<2, 16, 8, 4, 8>(), headroom::score_stage::raw, q, latents,
                         up, headroom::none{}, {}, [](const auto&) {});
}
