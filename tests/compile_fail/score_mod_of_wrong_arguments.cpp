// expect in notes: score_of_indices
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/score_mod.hpp>

void make() {
#ifdef HEADROOM_MISUSE
  auto m = headroom::score_mod([](float score) { return 2 * score; });
#else
  auto m = headroom::score_mod(
      [](float score, headroom::Index, headroom::Index, headroom::Index) { return 2 * score; });
#endif
}
