// expect in notes: a mask that replaces visible() must replace keys(), too
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/attention.hpp>

struct even_keys : headroom::mask_defaults {
#ifndef HEADROOM_MISUSE
  headroom::key_range keys(const headroom::query_row& row) const {
    return {0, row.kv_len, false};
  }
#endif
  bool visible(const headroom::query_row&, Eigen::Index key) const {
    return key % 2 == 0;
  }
};

void attend(const headroom::gqa<4, 2, 16>& heads, headroom::view<const float> q,
            headroom::view<const float> k, headroom::view<float> out) {
  heads(q, k, k, out, even_keys());
}
