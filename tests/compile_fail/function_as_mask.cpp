// expect in notes: deleted
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/attention.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/score_mod.hpp>

using Eigen::Index;

void attend(const headroom::gqa<4, 2, 16>& heads, headroom::view<const float> q,
            const headroom::kv_cache<float, 2, 16>& cache, headroom::view<float> out) {
  const auto even = [](Index, Index, Index key) { return key % 2 == 0; };
#ifdef HEADROOM_MISUSE
  heads(q, cache, out, even);
#else
  heads(q, cache, out, headroom::mask(even));
#endif
}
