// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "weights.hpp"

namespace generate {

/// The feed-forward part of a Llama layer: W_down (silu(W_gate x) * W_up x), silu(z) = z / (1 +
/// e^-z).
class swiglu {
 public:
  swiglu(weight_reader& weights, const std::string& name, Index hidden, Index width,
         bool bias = false)
      : gate_(weights, name + ".gate_proj", width, hidden, bias),
        up_(weights, name + ".up_proj", width, hidden, bias),
        down_(weights, name + ".down_proj", hidden, width, bias) {}

  /// \param x    [tokens, hidden]
  /// \param out  [tokens, hidden], written
  void operator()(const Matrix& x, Matrix& out, const threads& executor) const {
    Matrix gate(x.rows(), gate_.out_features()), up(x.rows(), up_.out_features());
    gate_(x, gate, executor);
    up_(x, up, executor);
    gate.array() *= up.array() / (1 + (-gate.array()).exp());
    down_(gate, out, executor);
  }

 private:
  any_linear gate_, up_, down_;
};

}  // namespace generate
