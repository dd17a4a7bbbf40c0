// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "peers/inputs.hpp"
#include "peers/onnx_session.hpp"

#include <cstdint>
#include <vector>

namespace headroom_bench {

/// ONNX Runtime's com.microsoft.MultiHeadAttention over keys and values that lie head after head,
/// as for cross-attention: with a past of its own it would copy that in every call.
class onnx_mha {
 public:
  using inputs = peer_inputs<32, float>;
  static constexpr const char* name = "onnxruntime_mha";
  static constexpr bool appends = false;

  explicit onnx_mha(const inputs& in)
      : out_(in.q.rows(), in.q.cols()),
        session_(model(in), {in.q.data(), in.key_view().data(), in.value_view().data()},
                 {out_.data()}) {}

  void run() { session_.run(); }
  const matrix& answer() const { return out_; }

 private:
  static onnx_model model(const inputs& in) {
    constexpr onnx_type number = onnx_type::float32;
    const std::vector<std::int64_t> q{1, in.q.rows(), in.q.cols()},
        kv{1, inputs::KV_groups, in.cache.tokens(), inputs::dim};
    const int causal = in.q.rows() > 1;  // a decode step sees every key
    return {"com.microsoft",
            "MultiHeadAttention",
            {{"num_heads", inputs::Q_heads}, {"unidirectional", causal}},
            {{"query", number, q}, {"key", number, kv}, {"value", number, kv}},
            {{"output", number, q}}};
  }

  matrix out_;
  onnx_session session_;
};

}  // namespace headroom_bench
