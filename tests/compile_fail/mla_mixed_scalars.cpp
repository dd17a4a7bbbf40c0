// expect: mla: q and out must both be of float or both be of double
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/latent_cache.hpp>
#include <headroom/mla.hpp>

template <class Scalar>
using RowMajor = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

#ifdef HEADROOM_MISUSE
RowMajor<double> q;
#else
RowMajor<float> q;
#endif
RowMajor<float> out;

void attend(const headroom::mla<2, 8, 4, 2, 3>& heads, const headroom::latent_cache<float>& cache,
            const headroom::linear<float>& up) {
  heads(q, cache, up, out);
}
