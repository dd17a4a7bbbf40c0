// expect: layer: x must be of the layer's Scalar, float unless given
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/kv_cache.hpp>
#include <headroom/layer.hpp>

template <class Scalar>
using RowMajor = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

#ifdef HEADROOM_MISUSE
RowMajor<double> x;
#else
RowMajor<float> x;
#endif

void run(const headroom::attention_layer<8, 2, 16, 16, float>& layer,
         headroom::kv_cache<float>& cache) {
  layer.append(x, cache);
}
