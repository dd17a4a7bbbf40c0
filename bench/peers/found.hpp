// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

// The peers that CMake found, as lists of types.

#include "peers/eigen.hpp"
#include "peers/inputs.hpp"
#include "peers/latent_inputs.hpp"

#ifdef HEADROOM_PEER_OPENBLAS
#include "peers/openblas.hpp"
#endif
#ifdef HEADROOM_PEER_ONNXRUNTIME
#include "peers/onnx_attention.hpp"
#include "peers/onnx_gqa.hpp"
#include "peers/onnx_mha.hpp"
#endif
#ifdef HEADROOM_PEER_GGML
#include "peers/ggml.hpp"
#endif

namespace headroom_bench {

/// Any number of types.
template <class... Types>
struct list {};

/// What stands in all of the lists.
template <class... Left, class... Right, class... Others>
auto join(list<Left...>, list<Right...>, Others... others) {
  if constexpr (sizeof...(Others) == 0)
    return list<Left..., Right...>();
  else
    return join(list<Left..., Right...>(), others...);
}

#ifdef HEADROOM_PEER_OPENBLAS
template <int KV_groups>
using openblas_peers = list<naive_openblas<KV_groups>>;
#else
template <int>
using openblas_peers = list<>;
#endif

#ifdef HEADROOM_PEER_ONNXRUNTIME
using onnx_gqa_peers = list<onnx_gqa<float>, onnx_gqa<Eigen::half>, onnx_attention<8>>;
using onnx_mha_peers = list<onnx_mha, onnx_attention<32>>;
#else
using onnx_gqa_peers = list<>;
using onnx_mha_peers = list<>;
#endif

#ifdef HEADROOM_PEER_GGML
template <template <class> class Inputs>
using ggml_peers =
    list<ggml<Inputs<float>>, ggml<Inputs<Eigen::half>>, ggml<Inputs<Eigen::bfloat16>>>;
#else
template <template <class> class>
using ggml_peers = list<>;
#endif

template <class KV>
using gqa_inputs = peer_inputs<8, KV>;
template <class KV>
using mha_inputs = peer_inputs<32, KV>;

/// Peers of grouped-query attention, multi-head attention and absorbed latent attention.
using gqa_peers = decltype(join(list<naive_eigen<8>>(), openblas_peers<8>(), onnx_gqa_peers(),
                                ggml_peers<gqa_inputs>()));
using mha_peers = decltype(join(list<naive_eigen<32>>(), openblas_peers<32>(), onnx_mha_peers(),
                                ggml_peers<mha_inputs>()));
using mla_peers = ggml_peers<latent_peer_inputs>;

}  // namespace headroom_bench
