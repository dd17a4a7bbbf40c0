// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "peers/protobuf.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace headroom_bench {

enum class onnx_type { float32 = 1, int32 = 6, float16 = 10 };

/// An input or output of a model; no dimensions: a scalar.
struct onnx_tensor {
  std::string name;
  onnx_type type;
  std::vector<std::int64_t> shape;

  std::size_t bytes() const {
    std::size_t count = type == onnx_type::float16 ? 2 : 4;
    for (std::int64_t extent : shape) count *= static_cast<std::size_t>(extent);
    return count;
  }
};

/// A model of one node, as it would stand in a file.
struct onnx_model {
  std::string domain;  ///< of the operator; empty: of ONNX itself
  std::string op;
  std::vector<std::pair<std::string, std::int64_t>> attributes;
  std::vector<onnx_tensor> inputs, outputs;

  // The numbers are those of the fields in onnx.proto.
  std::string bytes() const {
    message node, graph;
    for (const onnx_tensor& tensor : inputs) node.string(1, tensor.name);
    for (const onnx_tensor& tensor : outputs) node.string(2, tensor.name);
    node.string(4, op).string(7, domain);
    for (const auto& [name, value] : attributes) {
      constexpr int type_int = 2;
      node.nested(5, message().string(1, name).integer(3, value).integer(20, type_int));
    }
    graph.nested(1, node).string(2, op);
    for (const onnx_tensor& tensor : inputs) graph.nested(11, value_info(tensor));
    for (const onnx_tensor& tensor : outputs) graph.nested(12, value_info(tensor));

    constexpr int ir_version = 10, onnx_version = 23, other_version = 1;
    const int version = domain.empty() ? onnx_version : other_version;
    return message()
        .integer(1, ir_version)
        .nested(7, graph)
        .nested(8, message().string(1, domain).integer(2, version))
        .bytes();
  }

 private:
  static message value_info(const onnx_tensor& tensor) {
    message shape;
    for (std::int64_t size : tensor.shape) shape.nested(1, message().integer(1, size));
    const message type =
        message().integer(1, static_cast<std::int64_t>(tensor.type)).nested(2, shape);
    return message().string(1, tensor.name).nested(2, message().nested(1, type));
  }
};

}  // namespace headroom_bench
