// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "peers/inputs.hpp"
#include "support/naive_grouped.hpp"

namespace headroom_bench {

/// The scores of a head, their softmax, times its values, as Eigen expressions.
struct naive_eigen {
  static constexpr const char* name = "eigen_naive";
  static constexpr bool appends = false;

  explicit naive_eigen(const peer_inputs&) {}
  void operator()(const peer_inputs& in, matrix& out) { attend(in.q, in.cache, out); }

  naive_grouped<peer_inputs::Q_heads, peer_inputs::KV_groups, peer_inputs::dim> attend = {};
};

}  // namespace headroom_bench
