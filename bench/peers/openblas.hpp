// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "peers/inputs.hpp"
#include "support/naive.hpp"

#include <cblas.h>

// Missing in the cblas.h of other libraries, which may be the one that is found.
extern "C" void openblas_set_num_threads(int threads);

namespace headroom_bench {

/// The same as naive_eigen, with the products of OpenBLAS.
template <int KV_groups>
class naive_openblas {
 public:
  using inputs = peer_inputs<KV_groups, float>;
  static constexpr const char* name = "openblas_naive";
  static constexpr bool appends = false;

  explicit naive_openblas(const inputs& in)
      : in_(in), scores_(in.q.rows(), in.cache.tokens()), out_(in.q.rows(), in.q.cols()) {
    openblas_set_num_threads(1);
  }

  void run() {
    constexpr int heads = inputs::Q_heads, dim = inputs::dim;
    for (Index h = 0; h < heads; ++h) {
      const Index g = h / (heads / KV_groups);
      const auto k = as_matrix(in_.key_view().slice_heads(g, g + 1));
      const auto v = as_matrix(in_.value_view().slice_heads(g, g + 1));
      product(CblasTrans, static_cast<float>(in_.scale()), in_.q.middleCols(h * dim, dim), k,
              scores_);
      hide_future(scores_);
      softmax_rows(scores_);
      auto head = out_.middleCols(h * dim, dim);
      product(CblasNoTrans, 1, scores_, v, head);
    }
  }

  const matrix& answer() const { return out_; }

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

  const inputs& in_;
  matrix scores_, out_;
};

}  // namespace headroom_bench
