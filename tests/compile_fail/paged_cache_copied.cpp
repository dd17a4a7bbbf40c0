// expect: private
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/paged_cache.hpp>

// A fork is asked for by name: a copy by accident would share pages, and be written to by mistake.
void extend(headroom::paged_cache<float, 8, 64>& sequence) {
#ifdef HEADROOM_MISUSE
  headroom::paged_cache<float, 8, 64> other = sequence;
#else
  headroom::paged_cache<float, 8, 64> other = sequence.fork();
#endif
  other.clear();
}
