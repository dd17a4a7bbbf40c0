// expect in notes: of_indices
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/score_mod.hpp>

void make() {
#ifdef HEADROOM_MISUSE
  auto m = headroom::mask([](float score, headroom::Index) { return score > 0; });
#else
  auto m = headroom::mask([](const headroom::query_row&, headroom::Index key) { return key > 0; });
#endif
}
