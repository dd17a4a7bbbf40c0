// expect: deleted
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/batch.hpp>
#include <headroom/kv_cache.hpp>

using cache = headroom::kv_cache<float, 2, 64>;

headroom::batch_sequence<cache> sequence_of(const cache& tokens) {
#ifdef HEADROOM_MISUSE
  return headroom::batch_sequence<cache>(cache(tokens.capacity()));
#else
  return headroom::batch_sequence<cache>(tokens);
#endif
}
