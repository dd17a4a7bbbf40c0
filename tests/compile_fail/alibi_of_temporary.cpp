// expect: deleted
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/score_mod.hpp>

#include <vector>

#ifdef HEADROOM_MISUSE
headroom::alibi distances(headroom::alibi_slopes(8));
#else
std::vector<float> slopes = headroom::alibi_slopes(8);
headroom::alibi distances(slopes);
#endif
