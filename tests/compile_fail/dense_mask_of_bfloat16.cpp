// expect: dense_mask: takes flags, bool or integers, that are true where a key is seen
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/dense_mask.hpp>

#ifdef HEADROOM_MISUSE
headroom::view<const Eigen::bfloat16> flags;
#else
headroom::view<const unsigned char> flags;
#endif

headroom::dense_mask mask(flags);
