// expect: layer: the sequences of a cascade are in a kv_cache or latent_cache
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/kv_cache.hpp>
#include <headroom/layer.hpp>
#include <headroom/ring_cache.hpp>

#include <span>

using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Cache = headroom::kv_cache<float>;

#ifdef HEADROOM_MISUSE
using Own = headroom::ring_cache<Cache>;
#else
using Own = Cache;
#endif

void run(const headroom::attention_layer<8, 2, 16, 16, float>& layer, const RowMajor& x,
         std::span<const headroom::shared_prefix<Cache>> prefixes,
         std::span<const headroom::layer_sequence<Own>> sequences, RowMajor& out) {
  layer.cascade(x, prefixes, sequences, out);
}
