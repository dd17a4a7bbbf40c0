// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/linear.hpp>
#include <span>
#include <string>
#include <variant>

#include "checkpoint.hpp"
#include "tensor.hpp"
#include "threads.hpp"

namespace generate {

/// A tensor in place, its scalar known.
/// \throws model_error if the checkpoint stores another scalar than Weight
template <class Weight>
std::span<const Weight> typed_span(weight_reader& weights, const std::string& name,
                                   const std::vector<Index>& shape) {
  const tensor& t = weights.get(name, shape);
  if (t.dtype != dtype_of<Weight>)
    fail(weights.where(), ": tensor ", name, " has dtype ", t.dtype, ", expected ",
         dtype_of<Weight>, " as the other weights of its layer");
  return {t.as<Weight>(), static_cast<std::size_t>(t.numbers())};
}

/// `name`.weight [out, in] and, if there is one, `name`.bias [out], in place.
template <class Weight>
headroom::linear<Weight> typed_linear(weight_reader& weights, const std::string& name, Index out,
                                      Index in, bool bias = false) {
  const Weight* const matrix = typed_span<Weight>(weights, name + ".weight", {out, in}).data();
  return {matrix, out, in,
          bias ? typed_span<Weight>(weights, name + ".bias", {out}).data() : nullptr};
}

/// A linear layer in whatever scalar the checkpoint stores it.
class any_linear {
 public:
  any_linear(weight_reader& weights, const std::string& name, Index out, Index in,
             bool bias = false)
      : layer_(with_scalar(weights.get(name + ".weight", {out, in}).dtype,
                           [&]<class Weight>(const Weight*) -> any_layer {
                             return typed_linear<Weight>(weights, name, out, in, bias);
                           })) {}

  /// y = x W^T + b: x [tokens, in], y [tokens, out].
  void operator()(const Matrix& x, Matrix& y, const threads& executor) const {
    std::visit([&](const auto& layer) { layer(x, y, executor); }, layer_);
  }

  Index out_features() const {
    return std::visit([](const auto& layer) { return layer.out_features(); }, layer_);
  }

 private:
  using any_layer = std::variant<headroom::linear<float>, headroom::linear<Eigen::half>,
                                 headroom::linear<Eigen::bfloat16>>;
  any_layer layer_;
};

}  // namespace generate
