// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "peers/onnx_model.hpp"
#include "support/inputs.hpp"

#include <onnxruntime_cxx_api.h>
#include <string>
#include <type_traits>
#include <vector>

namespace headroom_bench {

/// What a tensor of these numbers is in ONNX.
template <class Scalar>
inline constexpr onnx_type onnx_type_of =
    std::is_same_v<Scalar, Eigen::half> ? onnx_type::float16 : onnx_type::float32;

/// A model of one operator, open in ONNX Runtime on its CPU provider, on one thread, with the
/// memory that it reads and writes.
class onnx_session {
 public:
  /// \param inputs, outputs  where the model's tensors lie, in its order
  onnx_session(const onnx_model& model, const std::vector<const void*>& inputs,
               const std::vector<void*>& outputs)
      : model_(model), session_(open(model.bytes())) {
    for (std::size_t i = 0; i < inputs.size(); ++i)
      // The operator only reads what is handed over as an input.
      bind(model_.inputs[i], const_cast<void*>(inputs[i]), input_names_, inputs_);
    for (std::size_t i = 0; i < outputs.size(); ++i)
      bind(model_.outputs[i], outputs[i], output_names_, outputs_);
  }
  onnx_session(const onnx_session&) = delete;  // the names are those of model_

  void run() {
    session_.Run(Ort::RunOptions(nullptr), input_names_.data(), inputs_.data(), inputs_.size(),
                 output_names_.data(), outputs_.data(), outputs_.size());
  }

 private:
  static Ort::Session open(const std::string& model) {
    static const Ort::Env env(ORT_LOGGING_LEVEL_WARNING, "headroom");
    Ort::SessionOptions options;
    options.SetIntraOpNumThreads(1).SetInterOpNumThreads(1);
    return {env, model.data(), model.size(), options};
  }

  static void bind(const onnx_tensor& tensor, void* data, std::vector<const char*>& names,
                   std::vector<Ort::Value>& values) {
    static const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    names.push_back(tensor.name.c_str());
    // onnx_type has the numbers that the runtime's type has.
    values.push_back(Ort::Value::CreateTensor(memory, data, tensor.bytes(), tensor.shape.data(),
                                              tensor.shape.size(),
                                              static_cast<ONNXTensorElementDataType>(tensor.type)));
  }

  onnx_model model_;
  Ort::Session session_;
  std::vector<const char*> input_names_ = {}, output_names_ = {};
  std::vector<Ort::Value> inputs_ = {}, outputs_ = {};
};

}  // namespace headroom_bench
