// expect: dense_mask: takes flags, bool or integers, that are true where a key is seen
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/dense_mask.hpp>

template <class Scalar>
using RowMajor = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

#ifdef HEADROOM_MISUSE
RowMajor<float> additive;  // 0 where a key is seen, else minus infinity
headroom::dense_mask mask(additive);
#else
RowMajor<bool> allowed;
headroom::dense_mask mask(allowed);
#endif
