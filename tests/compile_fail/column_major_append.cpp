// expect: cannot be viewed as [tokens, heads, dim]; pass a matrix or map with Eigen::RowMajor
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/kv_cache.hpp>

using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

void add(headroom::kv_cache<float, 2>& cache, const RowMajor& v) {
#ifdef HEADROOM_MISUSE
  cache.append(Eigen::MatrixXf(2, 64), v);
#else
  cache.append(RowMajor(2, 64), v);
#endif
}
