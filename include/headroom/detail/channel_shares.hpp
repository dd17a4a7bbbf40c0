// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/view.hpp>

#include <algorithm>
#include <cmath>

namespace headroom::inline HEADROOM_ISA::detail {

/// Of each channel of keys [tokens, KV_groups, qk_dim] the largest number, as a share of the
/// largest of its group and at least 1 / sqrt(qk_dim); what is not finite counts as nothing, and of
/// a group without a number all shares are 1.
///
/// \param shares  [KV_groups, qk_dim], written
template <class Scalar>
void channel_shares(const view<const Scalar>& keys, float* shares) {
  const Index dim = keys.dim();
  const float least = 1 / std::sqrt(static_cast<float>(dim));
  for (Index g = 0; g < keys.heads(); ++g) {
    float* const first = shares + g * dim;
    float* const end = first + dim;
    std::fill(first, end, 0.f);
    for (Index t = 0; t < keys.tokens(); ++t)
      for (Index d = 0; d < dim; ++d) {
        const float size = std::abs(static_cast<float>(keys(t, g, d)));
        if (std::isfinite(size)) first[d] = std::max(first[d], size);
      }
    const float largest = *std::max_element(first, end);
    std::transform(first, end, first,
                   [&](float size) { return largest > 0 ? std::max(size / largest, least) : 1.f; });
  }
}

}  // namespace headroom::inline HEADROOM_ISA::detail
