// expect: KV_groups must divide Q_heads. KV_groups counts key/value heads
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/attention.hpp>

#ifdef HEADROOM_MISUSE
using layer = headroom::attention<32, 5>;
#else
using layer = headroom::attention<32, 8>;
#endif

layer heads(128);
