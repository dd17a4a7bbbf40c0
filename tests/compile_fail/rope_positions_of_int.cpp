// expect: token_positions: a list of positions is read where it lies
// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/rope.hpp>

#include <vector>

#ifdef HEADROOM_MISUSE
using Position = int;
#else
using Position = Eigen::Index;
#endif

void rotate(const headroom::rope& rotary, headroom::view<float> x,
            const std::vector<Position>& positions) {
  rotary(x, positions);
}
