// expect: deleted
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/dense_mask.hpp>

using Flags = Eigen::Matrix<bool, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

headroom::dense_mask<bool> make(const Flags& allowed) {
#ifdef HEADROOM_MISUSE
  return headroom::dense_mask(Flags(allowed.array() || allowed.transpose().array()));
#else
  return headroom::dense_mask(allowed);
#endif
}
