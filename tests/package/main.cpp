// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/headroom.hpp>

static_assert(__cplusplus >= 202002L, "headroom::headroom asks for C++20 itself");

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// Names that parameters in the headers have too.
constexpr int row = 4, call = 2, source = 3;

int main() {
  const Matrix q = Matrix::Random(source, row * 8), k = Matrix::Random(source, call * 8);
  Matrix out(source, row * 8);
  const headroom::attention<row, call, 8> attend;
  attend(q, k, k, out, headroom::causal{});
  // The first token sees only itself.
  const bool holds = out(0, 0) == k(0, 0) && out(0, row * 8 - 1) == k(0, call * 8 - 1);
  return holds ? 0 : 1;
}
