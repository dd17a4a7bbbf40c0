// expect in notes: stored_as
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/kv_cache.hpp>

using Half = headroom::kv_cache<Eigen::half, 8, 128>;

#ifdef HEADROOM_MISUSE
void append(Half& to, const headroom::kv_cache<float, 8, 128>& from) {
  to.append(from, 0, 1);
}
#else
void append(Half& to, const Half& from) {
  to.append(from, 0, 1);
}
#endif
