// expect: deleted
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/dense_mask.hpp>

#include <vector>

#ifdef HEADROOM_MISUSE
headroom::key_padding mask(std::vector<char>(5));
#else
std::vector<char> flags(5);
headroom::key_padding mask(flags);
#endif
