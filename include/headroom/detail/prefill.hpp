// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/block_for.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/key_tile.hpp>

#include <algorithm>

namespace headroom::inline HEADROOM_ISA::detail {

/// Many query rows: each block of rows walks the keys it sees, on its own.
///
/// Work items: groups x blocks of rows. Memory per item: one block and one tile. Each key is read
/// once per block that sees it, not once per query head.
template <class Call, kv_source Source, class Executor>
void prefill(const Call& call, const Source& source, const Executor& executor) {
  const Index rows = call.rows_per_group();
  const Index blocks = (rows + block_rows - 1) / block_rows;
  executor(call.groups() * blocks, [&](Index item) {
    scratch memory;
    // The last rows see most keys under a causal mask: start with them, so that no thread is left
    // with a long item at the end.
    const Index first = (blocks - 1 - item / call.groups()) * block_rows;
    const stacked_rows stacked{item % call.groups(), call.heads_per_group, first,
                               std::min(block_rows, rows - first)};
    using Scalar = typename Call::Scalar;
    const auto state = state_in(memory.take<Scalar>(state_size(stacked.count, source.v_dim())),
                                stacked.count, source.v_dim());
    attend_rows(call, stacked, source, 0, call.kv_len, state);
    call.write(stacked, state);
  });
}

}  // namespace headroom::inline HEADROOM_ISA::detail
