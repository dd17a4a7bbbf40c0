// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Views: queries, keys and values as they lie in memory, with nothing rearranged first. A view is a
// pointer, three sizes [tokens, heads, dim] and two strides; only the numbers of one head of one
// token must lie side by side. Eigen's row-major matrices, maps and blocks become views by
// themselves. (A column-major one does not compile, and the compiler says what to pass instead.)
#include <headroom/attention.hpp>

#include <vector>

#include "ladder.hpp"

constexpr Index tokens = 50, Q_heads = 6, KV_groups = 2, dim = 16;

int main() {
  const headroom::gqa<Q_heads, KV_groups, dim> attend;
  const Matrix q = Matrix::Random(tokens, Q_heads * dim);
  const Matrix k = Matrix::Random(tokens, KV_groups * dim);
  const Matrix v = Matrix::Random(tokens, KV_groups * dim);
  Matrix expected(tokens, Q_heads * dim), out(tokens, Q_heads * dim);
  attend(q, k, v, expected);

  // [tokens, heads, dim]: the same numbers in the same order, from bare pointers.
  attend(headroom::tokens_major(q.data(), tokens, Q_heads, dim),
         headroom::tokens_major(k.data(), tokens, KV_groups, dim),
         headroom::tokens_major(v.data(), tokens, KV_groups, dim), out);
  bool holds = agree("[tokens, heads, dim] from pointers", out, expected);

  // [heads, tokens, dim], as many libraries keep keys and values.
  std::vector<float> memory(static_cast<std::size_t>(k.size()));
  const auto k_by_head = headroom::heads_major(memory.data(), tokens, KV_groups, dim);
  for (Index t = 0; t < tokens; ++t)
    for (Index g = 0; g < KV_groups; ++g)
      for (Index d = 0; d < dim; ++d) k_by_head(t, g, d) = k(t, g * dim + d);
  attend(q, k_by_head, v, out);
  holds &= agree("keys as [heads, tokens, dim], values as they were", out, expected);

  // One fused projection [q, k, v]: the three are blocks of its columns.
  Matrix qkv(tokens, (Q_heads + 2 * KV_groups) * dim);
  qkv << q, k, v;
  attend(qkv.leftCols(Q_heads * dim), qkv.middleCols(Q_heads * dim, KV_groups * dim),
         qkv.rightCols(KV_groups * dim), out);
  holds &= agree("blocks of one [q, k, v] matrix", out, expected);

  // A part of the heads and of the tokens, written into a part of the output.
  Matrix parts = Matrix::Zero(tokens, Q_heads * dim);
  const auto all_q = headroom::as_view(q, Q_heads);
  const auto all_out = headroom::as_view(parts, Q_heads);
  for (Index g = 0; g < KV_groups; ++g)
    headroom::mqa<3, dim>()(all_q.slice_heads(3 * g, 3 * g + 3),
                            headroom::as_view(k, KV_groups).slice_heads(g, g + 1),
                            headroom::as_view(v, KV_groups).slice_heads(g, g + 1),
                            all_out.slice_heads(3 * g, 3 * g + 3));
  holds &= agree("group by group, on slices", parts, expected);

  // Stored in 16 bits, computed in float: what is read is exactly what was stored.
  using Matrix16 = Eigen::Matrix<Eigen::bfloat16, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Matrix16 k16 = k.cast<Eigen::bfloat16>();
  const Matrix k_rounded = k16.cast<float>();
  attend(q, k_rounded, v, expected);
  attend(q, k16, v, out);
  holds &= agree("bfloat16 keys, and the same numbers as floats", out, expected);

  return verdict(holds);
}
