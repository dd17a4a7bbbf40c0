// expect: attention: the cache has other KV_groups, qk_dim or v_dim than the attention
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/attention.hpp>
#include <headroom/kv_cache.hpp>

#ifdef HEADROOM_MISUSE
using Cache = headroom::kv_cache<float, 8, 64>;  // of the heads that queries have
#else
using Cache = headroom::kv_cache<float, 2, 64>;
#endif
Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> q, out;

void attend(const Cache& cache) {
  headroom::gqa<8, 2, 64>()(q, cache, out);
}
