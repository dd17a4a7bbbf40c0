// expect: paged_view<Scalar>: Scalar must be float, double, Eigen::half or Eigen::bfloat16
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/paged_view.hpp>

#ifdef HEADROOM_MISUSE
using Scalar = int;
#else
using Scalar = float;
#endif
headroom::Index size_of_view = sizeof(headroom::paged_view<Scalar>);
