// expect: headroom: what a cache is given must be of float, double, Eigen::half or Eigen::bfloat16
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/latent_cache.hpp>

template <class Scalar>
using RowMajor = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

#ifdef HEADROOM_MISUSE
RowMajor<int> latents;
#else
RowMajor<float> latents;
#endif
RowMajor<float> rope_keys;

void add(headroom::latent_cache<float, 512, 64>& cache) {
  cache.append(latents, rope_keys);
}
