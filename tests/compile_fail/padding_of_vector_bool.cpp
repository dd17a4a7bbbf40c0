// expect: key_padding: the flags must lie in memory one by one
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/dense_mask.hpp>

#include <vector>

void make() {
#ifdef HEADROOM_MISUSE
  headroom::key_padding mask(std::vector<bool>(8));
#else
  headroom::key_padding mask(std::vector<char>(8));
#endif
}
