// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "peers/inputs.hpp"
#include "peers/onnx_session.hpp"

#include <cstdint>
#include <vector>

namespace headroom_bench {

/// ONNX Runtime's com.microsoft.GroupQueryAttention. Queries and output are of the stored scalar
/// too, as the operator demands; they are converted outside of the clock.
template <class KV>
class onnx_gqa {
 public:
  using inputs = peer_inputs<8, KV>;
  static constexpr const char* name = "onnxruntime_gqa";
  static constexpr bool appends = true;

  explicit onnx_gqa(const inputs& in)
      : q_(in.q.template cast<KV>()),
        k_(in.k.template cast<KV>()),
        v_(in.v.template cast<KV>()),
        out_(q_.rows(), q_.cols()),
        keys_(copy(in.key_view())),
        values_(copy(in.value_view())),
        last_token_(static_cast<std::int32_t>(in.cache.tokens() - 1)),
        tokens_(last_token_ + 1),
        // The same memory as past and as present: the operator then appends in place, and does not
        // copy the cache first.
        session_(
            model(),
            {q_.data(), k_.data(), v_.data(), keys_.data(), values_.data(), &last_token_, &tokens_},
            {out_.data(), keys_.data(), values_.data()}) {}

  void run() { session_.run(); }
  matrix answer() const { return out_.template cast<float>(); }

 private:
  onnx_model model() const {
    constexpr onnx_type number = onnx_type_of<KV>;
    const std::vector<std::int64_t> q{1, q_.rows(), q_.cols()}, kv{1, k_.rows(), k_.cols()},
        cache{1, inputs::KV_groups, tokens_, inputs::dim};
    return {
        "com.microsoft",
        "GroupQueryAttention",
        {{"num_heads", inputs::Q_heads}, {"kv_num_heads", inputs::KV_groups}},
        {{"query", number, q},
         {"key", number, kv},
         {"value", number, kv},
         {"past_key", number, cache},
         {"past_value", number, cache},
         {"seqlens_k", onnx_type::int32, {1}},
         {"total_sequence_length", onnx_type::int32, {}}},
        {{"output", number, q}, {"present_key", number, cache}, {"present_value", number, cache}}};
  }

  // A full cache is what the operator calls [1, KV_groups, kv_len, dim].
  static std::vector<KV> copy(headroom::view<const KV> stored) {
    return {stored.data(), stored.data() + stored.heads() * stored.head_stride()};
  }

  row_major<KV> q_, k_, v_, out_;
  std::vector<KV> keys_, values_;
  std::int32_t last_token_, tokens_;
  onnx_session session_;
};

}  // namespace headroom_bench
