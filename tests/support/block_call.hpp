// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/block.hpp>

#include "support/kernel_call.hpp"

#include <utility>
#include <vector>

namespace headroom_tests {

inline headroom::softmax_state<float> new_state(headroom::detail::scratch& memory,
                                                Eigen::Index rows, Eigen::Index v_dim) {
  const auto state = headroom::detail::state_in(
      memory.take<float>(headroom::detail::state_size(rows, v_dim)), rows, v_dim);
  state.clear();
  return state;
}

/// A kernel of one block that holds all rows, which takes in `sizes` keys at a time, over and over.
template <template <class> class Block>
auto in_tiles(std::vector<Eigen::Index> sizes) {
  return [sizes](const auto& call, const auto& source) {
    using Call = std::remove_cvref_t<decltype(call)>;
    for (Eigen::Index g = 0; g < call.groups(); ++g) {
      headroom::detail::scratch memory;
      const headroom::detail::stacked_rows rows{g, call.heads_per_group, 0, call.rows_per_group()};
      const auto state = new_state(memory, rows.count, source.v_dim());
      const Block<Call> block(call, rows, state, memory);
      std::size_t next = 0;
      for (Eigen::Index j = block.begin(); j < block.end();) {
        const Eigen::Index tokens = std::min(sizes[next++ % sizes.size()], block.end() - j);
        const auto keys = source.keys(g, j, j + tokens);
        const auto values = source.values(g, j, j + tokens);
        block.add_tile(j, tokens, headroom::detail::tile{keys.rows, keys.stride},
                       headroom::detail::tile{values.rows, values.stride});
        j += tokens;
      }
      call.write(rows, state);
    }
  };
}

template <template <class> class Block, class Mask>
std::pair<Eigen::Index, Eigen::Index> seen_keys(const problem<float>& p, const Mask& mask,
                                                Eigen::Index first_position) {
  std::pair<Eigen::Index, Eigen::Index> range;
  answer_by(
      [&](const auto& call, const auto&) {
        using Call = std::remove_cvref_t<decltype(call)>;
        headroom::detail::scratch memory;
        const headroom::detail::stacked_rows rows{0, call.heads_per_group, 0,
                                                  call.rows_per_group()};
        const auto state = new_state(memory, rows.count, 1);
        const Block<Call> block(call, rows, state, memory);
        range = {block.begin(), block.end()};
      },
      p, mask, {.first_position = first_position});
  return range;
}

}  // namespace headroom_tests
