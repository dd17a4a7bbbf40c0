// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "peers/inputs.hpp"
#include "peers/onnx_model.hpp"

#include <onnxruntime_cxx_api.h>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace headroom_bench {

/// ONNX Runtime's operator com.microsoft.GroupQueryAttention on its CPU provider.
class onnxruntime {
 public:
  static constexpr const char* name = "onnxruntime";
  static constexpr bool appends = true;

  explicit onnxruntime(const peer_inputs& in)
      : q_len_(in.q.rows()), kv_len_(in.cache.tokens()), session_(open(model().bytes())) {
    copy(in.cache.key_view(), keys_);
    copy(in.cache.value_view(), values_);
  }

  void operator()(const peer_inputs& in, matrix& out) {
    std::int32_t last_token = static_cast<std::int32_t>(kv_len_ - 1);
    std::int32_t tokens = static_cast<std::int32_t>(kv_len_);
    // The same memory as past and as present: the operator then appends in place, and does not
    // copy the cache first.
    const std::array inputs{tensor(in.q.data(), query_shape(peer_inputs::Q_heads)),
                            tensor(in.k.data(), query_shape(peer_inputs::KV_groups)),
                            tensor(in.v.data(), query_shape(peer_inputs::KV_groups)),
                            tensor(keys_.data(), cache_shape()),
                            tensor(values_.data(), cache_shape()),
                            tensor(&last_token, {1}),
                            tensor(&tokens, {})};
    std::array outputs{tensor(out.data(), query_shape(peer_inputs::Q_heads)),
                       tensor(keys_.data(), cache_shape()), tensor(values_.data(), cache_shape())};
    session_.Run(Ort::RunOptions(nullptr), input_names.data(), inputs.data(), inputs.size(),
                 output_names.data(), outputs.data(), outputs.size());
  }

 private:
  using shape = std::vector<std::int64_t>;

  static constexpr std::array input_names{
      "query", "key", "value", "past_key", "past_value", "seqlens_k", "total_sequence_length"};
  static constexpr std::array output_names{"output", "present_key", "present_value"};

  shape query_shape(int heads) const { return {1, q_len_, heads * peer_inputs::dim}; }
  shape cache_shape() const { return {1, peer_inputs::KV_groups, kv_len_, peer_inputs::dim}; }

  onnx_model model() const {
    const auto floats = [](const char* tensor_name, shape size) {
      return onnx_tensor{tensor_name, onnx_type::float32, size};
    };
    const shape q = query_shape(peer_inputs::Q_heads), kv = query_shape(peer_inputs::KV_groups);
    return {"com.microsoft",
            "GroupQueryAttention",
            {{"num_heads", peer_inputs::Q_heads}, {"kv_num_heads", peer_inputs::KV_groups}},
            {floats(input_names[0], q),
             floats(input_names[1], kv),
             floats(input_names[2], kv),
             floats(input_names[3], cache_shape()),
             floats(input_names[4], cache_shape()),
             {input_names[5], onnx_type::int32, {1}},
             {input_names[6], onnx_type::int32, {}}},
            {floats(output_names[0], q), floats(output_names[1], cache_shape()),
             floats(output_names[2], cache_shape())}};
  }

  static Ort::Session open(const std::string& model) {
    static const Ort::Env env(ORT_LOGGING_LEVEL_WARNING, "headroom");
    Ort::SessionOptions options;
    options.SetIntraOpNumThreads(1).SetInterOpNumThreads(1);
    return {env, model.data(), model.size(), options};
  }

  // Groups one after another, each [kv_len, dim].
  static void copy(headroom::view<const float> stored, std::vector<float>& tensor) {
    for (Index g = 0; g < stored.heads(); ++g)
      for (Index t = 0; t < stored.tokens(); ++t)
        tensor.insert(tensor.end(), stored.row(t, g), stored.row(t, g) + stored.dim());
  }

  // A view; the operator only reads what is handed over as an input.
  template <class Number>
  static Ort::Value tensor(const Number* data, const shape& size) {
    std::size_t count = 1;
    for (std::int64_t extent : size) count *= static_cast<std::size_t>(extent);
    static const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    return Ort::Value::CreateTensor(memory, const_cast<Number*>(data), count, size.data(),
                                    size.size());
  }

  Index q_len_, kv_len_;
  Ort::Session session_;
  std::vector<float> keys_ = {}, values_ = {};  // [1, KV_groups, kv_len, dim]
};

}  // namespace headroom_bench
