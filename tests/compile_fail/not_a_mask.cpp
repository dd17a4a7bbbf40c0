// expect in notes: deleted
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/attention.hpp>
#include <headroom/score_mod.hpp>

using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

void attend(const headroom::attention<8, 2>& heads, const RowMajor& q, const RowMajor& k,
            const RowMajor& v, RowMajor& out) {
#ifdef HEADROOM_MISUSE
  heads(q, k, v, out, [](headroom::Index, headroom::Index, headroom::Index) { return true; });
#else
  heads(q, k, v, out,
        headroom::mask([](headroom::Index, headroom::Index, headroom::Index) { return true; }));
#endif
}
