// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// One head: attention as its definition has it, and as the library computes it.
//
//   out = softmax(q k^T / sqrt(dim)) v
//
// Each query asks how well it fits each key; the answers, made positive and of sum 1, weigh the
// values. That is all of it. The rest of the ladder is about doing this for many heads, under
// masks, over caches, and without ever having the matrix of scores.
#include <headroom/attention.hpp>

#include <cmath>

#include "ladder.hpp"

// With the matrix of scores [q_len, kv_len] in memory.
Matrix by_definition(const Matrix& q, const Matrix& k, const Matrix& v) {
  Matrix weights = q * k.transpose() / std::sqrt(static_cast<float>(q.cols()));
  for (Index t = 0; t < weights.rows(); ++t) {
    auto row = weights.row(t);
    row = (row.array() - row.maxCoeff()).exp();  // the maximum cancels; it keeps exp from overflow
    row /= row.sum();
  }
  return weights * v;
}

int main() {
  const Index q_len = 5, kv_len = 1000, dim = 64;
  const Matrix q = Matrix::Random(q_len, dim);
  const Matrix k = Matrix::Random(kv_len, dim);
  const Matrix v = Matrix::Random(kv_len, dim);

  // An attention object holds sizes and nothing else: one query head, one key/value head, the width
  // of a head. It walks the keys in tiles, and keeps the numbers of one tile.
  const headroom::attention<1, 1> attend(dim);
  Matrix out(q_len, dim);
  attend(q, k, v, out);

  return verdict(agree("the library's result and the definition's", out, by_definition(q, k, v)));
}
