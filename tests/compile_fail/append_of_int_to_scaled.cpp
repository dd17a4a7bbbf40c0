// expect: headroom: what a cache is given must be of float, double, Eigen::half or Eigen::bfloat16
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/kv_cache.hpp>
#include <headroom/scaled_cache.hpp>

template <class Scalar>
using RowMajor = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

#ifdef HEADROOM_MISUSE
RowMajor<int> k, v;
#else
RowMajor<float> k, v;
#endif

void add(headroom::scaled_cache<headroom::kv_cache<float, 2, 64>>& cache) {
  cache.append(k, v);
}
