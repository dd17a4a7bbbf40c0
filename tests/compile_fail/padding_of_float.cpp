// expect: key_padding: takes flags, bool or integers, that are true where a key is real
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/dense_mask.hpp>

#include <vector>

#ifdef HEADROOM_MISUSE
std::vector<float> flags;
#else
std::vector<long> flags;
#endif

headroom::key_padding mask(flags);
