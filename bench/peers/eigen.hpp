// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "peers/inputs.hpp"
#include "support/naive_grouped.hpp"

namespace headroom_bench {

/// The scores of a head, their softmax, times its values, as Eigen expressions.
template <int KV_groups>
class naive_eigen {
 public:
  using inputs = peer_inputs<KV_groups, float>;
  static constexpr const char* name = "eigen_naive";
  static constexpr bool appends = false;

  explicit naive_eigen(const inputs& in) : in_(in), out_(in.q.rows(), in.q.cols()) {}
  void run() { attend_(in_.q, in_.cache, out_); }
  const matrix& answer() const { return out_; }

 private:
  const inputs& in_;
  naive_grouped<inputs::Q_heads, inputs::KV_groups, inputs::dim> attend_ = {};
  matrix out_;
};

}  // namespace headroom_bench
