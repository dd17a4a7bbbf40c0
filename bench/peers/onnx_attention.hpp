// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "peers/inputs.hpp"
#include "peers/onnx_session.hpp"

#include <cstdint>
#include <vector>

namespace headroom_bench {

/// The operator Attention of ONNX, as ONNX Runtime computes it. Every tensor lies head after head,
/// which it would otherwise bring about by copying; queries and output are brought into that order
/// outside of the clock.
template <int KV_groups>
class onnx_attention {
 public:
  using inputs = peer_inputs<KV_groups, float>;
  static constexpr const char* name = "onnxruntime_attention";
  static constexpr bool appends = false;

  explicit onnx_attention(const inputs& in)
      : q_(inputs::Q_heads * in.q.rows(), inputs::dim),
        out_(q_.rows(), q_.cols()),
        session_(model(in), {q_.data(), in.key_view().data(), in.value_view().data()},
                 {out_.data()}) {
    for (Index h = 0; h < inputs::Q_heads; ++h)
      q_.middleRows(h * in.q.rows(), in.q.rows()) = in.q.middleCols(h * inputs::dim, inputs::dim);
  }

  void run() { session_.run(); }

  matrix answer() const {
    const Index q_len = out_.rows() / inputs::Q_heads;
    matrix rows(q_len, inputs::Q_heads * inputs::dim);
    for (Index h = 0; h < inputs::Q_heads; ++h)
      rows.middleCols(h * inputs::dim, inputs::dim) = out_.middleRows(h * q_len, q_len);
    return rows;
  }

 private:
  static onnx_model model(const inputs& in) {
    constexpr onnx_type number = onnx_type::float32;
    const std::vector<std::int64_t> q{1, inputs::Q_heads, in.q.rows(), inputs::dim},
        kv{1, KV_groups, in.cache.tokens(), inputs::dim};
    const int causal = in.q.rows() > 1;  // a decode step sees every key
    return {"",
            "Attention",
            {{"is_causal", causal}},
            {{"Q", number, q}, {"K", number, kv}, {"V", number, kv}},
            {{"Y", number, q}}};
  }

  matrix q_, out_;  // [Q_heads * q_len, dim]
  onnx_session session_;
};

}  // namespace headroom_bench
