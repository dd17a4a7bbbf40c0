// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/block_for.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/key_tile.hpp>

#include <algorithm>

namespace headroom::inline HEADROOM_ISA::detail {

/// Blocks of rows walk the keys they see, each on its own.
///
/// Work items: groups, or few of them together, x blocks of rows. Memory per item: one block and
/// one tile. Each key is read once per block that sees it, not once per query head.
template <class Call, kv_source Source, class Executor>
void prefill(const Call& call, const Source& source, const Executor& executor) {
  using Scalar = typename Call::Scalar;
  const Index rows = call.rows_per_group();
  const Index blocks = (rows + block_rows - 1) / block_rows;
  const Index together = groups_together(call, source);
  const Index spans = (call.groups() + together - 1) / together;
  executor(spans * blocks, [&](Index item) {
    scratch memory;
    // The last rows see most keys under a causal mask: start with them, so that no thread is left
    // with a long item at the end.
    const Index first = (blocks - 1 - item / spans) * block_rows;
    const Index group = item % spans * together;
    const stacked_rows stacked{group, call.heads_per_group, first,
                               std::min(block_rows, rows - first)};
    const Index groups = std::min(together, call.groups() - group);
    const Index size = state_size(stacked.count, source.v_dim());
    const auto states = states_in(memory.take<Scalar>(groups * size), size, groups, stacked.count,
                                  source.v_dim(), memory);
    attend_rows(call, stacked, source, 0, call.kv_len, states);
    for (Index g = 0; g < groups; ++g)
      call.write(stacked.of_group(g), states[static_cast<std::size_t>(g)]);
  });
}

}  // namespace headroom::inline HEADROOM_ISA::detail
