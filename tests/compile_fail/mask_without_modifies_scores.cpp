// expect in notes: a mask that replaces modify() must say so
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/mask.hpp>

struct later_is_better : headroom::mask_defaults {
#ifndef HEADROOM_MISUSE
  static constexpr bool modifies_scores = true;
#endif
  template <class Score>
  Score modify(Score score, const headroom::query_row&, Eigen::Index key) const {
    return score + static_cast<Score>(key);
  }
};

const auto mask = headroom::causal() & later_is_better();
