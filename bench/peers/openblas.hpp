// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "peers/inputs.hpp"
#include "support/naive.hpp"

#include <cblas.h>
#include <cmath>

// Missing in the cblas.h of other libraries, which may be the one that is found.
extern "C" void openblas_set_num_threads(int threads);

namespace headroom_bench {

/// The same as naive_eigen, with the products of OpenBLAS.
struct naive_openblas {
  static constexpr const char* name = "openblas_naive";
  static constexpr bool appends = false;

  explicit naive_openblas(const peer_inputs&) { openblas_set_num_threads(1); }

  void operator()(const peer_inputs& in, matrix& out) {
    constexpr int heads = peer_inputs::Q_heads, dim = peer_inputs::dim;
    const float scale = 1 / std::sqrt(static_cast<float>(dim));
    scores.resize(in.q.rows(), in.cache.tokens());
    for (Index h = 0; h < heads; ++h) {
      const Index g = h / (heads / peer_inputs::KV_groups);
      const auto k = as_matrix(in.cache.key_view().slice_heads(g, g + 1));
      const auto v = as_matrix(in.cache.value_view().slice_heads(g, g + 1));
      product(CblasTrans, scale, in.q.middleCols(h * dim, dim), k, scores);
      hide_future(scores);
      softmax_rows(scores);
      auto head = out.middleCols(h * dim, dim);
      product(CblasNoTrans, 1, scores, v, head);
    }
  }

 private:
  // result = scale * a * b, or b transposed.
  template <class A, class B, class Result>
  static void product(CBLAS_TRANSPOSE b_order, float scale, const A& a, const B& b,
                      Result& result) {
    const auto size = [](Index n) { return static_cast<blasint>(n); };
    if (a.rows() == 1) {  // one row is a vector: its product reads a matrix once
      cblas_sgemv(CblasRowMajor, b_order == CblasTrans ? CblasNoTrans : CblasTrans, size(b.rows()),
                  size(b.cols()), scale, b.data(), size(b.outerStride()), a.data(), 1, 0,
                  result.data(), 1);
    } else {
      cblas_sgemm(CblasRowMajor, CblasNoTrans, b_order, size(a.rows()), size(result.cols()),
                  size(a.cols()), scale, a.data(), size(a.outerStride()), b.data(),
                  size(b.outerStride()), 0, result.data(), size(result.outerStride()));
    }
  }

  matrix scores = {};
};

}  // namespace headroom_bench
