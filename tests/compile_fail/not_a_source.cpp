// expect in notes: kv_source
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/attention.hpp>
#include <headroom/kv_cache.hpp>

using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

struct half_a_source {
  using KeyCodec = headroom::scalar_codec<float>;
  using ValueCodec = headroom::scalar_codec<float>;
  headroom::Index tokens() const { return 4; }
};

void attend(const headroom::attention<8, 2>& heads, const RowMajor& q, const RowMajor& k,
            const RowMajor& v, RowMajor& out) {
#ifdef HEADROOM_MISUSE
  heads(q, half_a_source(), out);
#else
  heads(q, headroom::kv_cache<float, 2>(4, 2, 64), out);
#endif
}
