// expect: headroom: what a cache is given must be of float, double, Eigen::half or Eigen::bfloat16
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/paged_cache.hpp>

template <class Scalar>
using RowMajor = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

#ifdef HEADROOM_MISUSE
RowMajor<signed char> v;
#else
RowMajor<Eigen::bfloat16> v;
#endif
RowMajor<float> k;

void add(headroom::paged_cache<Eigen::half, 2, 64>& cache) {
  cache.append(k, v);
}
