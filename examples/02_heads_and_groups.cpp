// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Many heads. A token's row holds all of its heads, one after another; each attends on its own.
// What changes from model to model is how many of the heads have keys and values of their own:
//
//   attention<8, 8>   multi-head: every query head its own
//   attention<8, 2>   grouped-query: heads 0 to 3 share one, heads 4 to 7 the other
//   attention<8, 1>   multi-query: all share one
//
// It is one template. Shared keys and values are read where they lie, once for all heads that share
// them, and never repeated in memory: that is what sharing is for.
#include <headroom/attention.hpp>

#include "ladder.hpp"

constexpr int Q_heads = 8, dim = 32;
constexpr Index q_len = 6, kv_len = 200;

// What sharing means, the wasteful way: a copy of its key or value head for every query head.
Matrix one_per_query_head(const Matrix& shared, Index heads_per_group) {
  Matrix copies(shared.rows(), Q_heads * dim);
  for (Index h = 0; h < Q_heads; ++h)
    copies.middleCols(h * dim, dim) = shared.middleCols(h / heads_per_group * dim, dim);
  return copies;
}

template <int KV_groups>
bool show(const char* name) {
  const Matrix q = Matrix::Random(q_len, Q_heads * dim);
  const Matrix k = Matrix::Random(kv_len, KV_groups * dim);
  const Matrix v = Matrix::Random(kv_len, KV_groups * dim);
  std::printf("%s: %d query heads, %d key/value heads, %td numbers of keys and values\n", name,
              Q_heads, KV_groups, k.size() + v.size());

  Matrix out(q_len, Q_heads * dim), repeated(q_len, Q_heads * dim), any(q_len, Q_heads * dim);
  const headroom::attention<Q_heads, KV_groups, dim> attend;
  attend(q, k, v, out);

  const headroom::mha<Q_heads, dim> multi_head;
  multi_head(q, one_per_query_head(k, attend.heads_per_group()),
             one_per_query_head(v, attend.heads_per_group()), repeated);

  // Sizes may also be read from a model's file.
  const headroom::attention<Eigen::Dynamic, Eigen::Dynamic> any_size(Q_heads, KV_groups, dim, dim);
  any_size(q, k, v, any);

  const bool shares = agree("  sharing, and multi-head over copies", out, repeated);
  return agree("  sizes fixed by the compiler, and given at run time", out, any) && shares;
}

int main() {
  const bool mha = show<8>("MHA"), gqa = show<2>("GQA"), mqa = show<1>("MQA");
  return verdict(mha && gqa && mqa);
}
