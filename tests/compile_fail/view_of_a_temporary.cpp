// expect: as_view: a temporary matrix is gone before its view is used
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/view.hpp>

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Matrix projected();

headroom::Index tokens() {
#ifdef HEADROOM_MISUSE
  const auto x = headroom::as_view(projected(), 4);
#else
  Matrix rows = projected();
  const auto x = headroom::as_view(rows, 4);
#endif
  return x.tokens();
}
