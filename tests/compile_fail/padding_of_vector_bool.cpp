// expect: key_padding: the flags must lie in memory one by one
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/dense_mask.hpp>

#include <vector>

#ifdef HEADROOM_MISUSE
std::vector<bool> flags(8);
#else
std::vector<char> flags(8);
#endif

headroom::key_padding mask(flags);
