// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/headroom.hpp>

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

int main() {
  const headroom::gqa<32, 8, 128> attend;                   // 32 query heads, 8 key/value heads
  headroom::kv_cache<Eigen::bfloat16, 8, 128> cache(4096);  // room for 4096 tokens
  for (const Eigen::Index tokens : {100, 1, 1}) {           // a prompt, then token by token
    const Matrix q = Matrix::Random(tokens, 32 * 128);      // in place of a model's projections
    const Matrix k = Matrix::Random(tokens, 8 * 128), v = Matrix::Random(tokens, 8 * 128);
    Matrix out(tokens, 32 * 128);
    cache.append(k, v);
    attend(q, cache, out, headroom::causal{});  // each new token sees itself and all before it
    if (!out.allFinite()) return 1;
  }
}
