// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/block_for.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/key_tile.hpp>

#include <algorithm>

namespace headroom::inline HEADROOM_ISA::detail {

// Keys of a split: long enough that merging a split costs little beside reading its keys, short
// enough that a few thousand keys keep several threads busy.
inline constexpr Index least_split_keys = 768;
static_assert(least_split_keys % tile_keys == 0, "a split is whole tiles");

// Bounds the memory for unmerged states.
inline constexpr Index most_splits = 32;

/// Keys per split: a function of the number of keys alone, so that results depend neither on the
/// number of threads nor on what else is computed.
inline Index split_keys(Index kv_len) {
  const Index even = (kv_len + most_splits - 1) / most_splits;
  const Index tiles = (even + tile_keys - 1) / tile_keys;
  return std::max(least_split_keys, tiles * tile_keys);
}

/// Few query rows, many keys: the keys are split, each split gives a softmax state of its own, and
/// the states are merged in order.
///
/// Work items: groups, or few of them together, x blocks of rows x splits. Memory: one state per
/// group, block and split, at most most_splits for each row. There is at least one key.
template <class Call, kv_source Source, class Executor>
void decode(const Call& call, const Source& source, const Executor& executor) {
  using Scalar = typename Call::Scalar;
  eigen_assert(call.kv_len > 0);
  const Index rows = call.rows_per_group();
  const Index blocks = (rows + block_rows - 1) / block_rows;
  const Index together = groups_together(call, source);
  const Index spans = (call.groups() + together - 1) / together;
  const Index split = split_keys(call.kv_len);
  const Index splits = (call.kv_len + split - 1) / split;
  const Index v_dim = source.v_dim();

  const auto rows_of = [&](Index group, Index block) {
    const Index first = block * block_rows;
    return stacked_rows{group, call.heads_per_group, first, std::min(block_rows, rows - first)};
  };
  scratch shared;
  const Index size = state_size(std::min(rows, block_rows), v_dim);
  const Index group_size = blocks * splits * size;
  Scalar* const numbers = shared.take<Scalar>(call.groups() * group_size);
  const auto numbers_of = [&](const stacked_rows& stacked, Index s) {
    return numbers + stacked.group * group_size + (stacked.first / block_rows * splits + s) * size;
  };

  executor(spans * blocks * splits, [&](Index item) {
    const Index s = item % splits, unit = item / splits;
    const stacked_rows stacked = rows_of(unit / blocks * together, unit % blocks);
    scratch memory;
    const auto states =
        states_in(numbers_of(stacked, s), group_size,
                  std::min(together, call.groups() - stacked.group), stacked.count, v_dim, memory);
    attend_rows(call, stacked, source, s * split, std::min((s + 1) * split, call.kv_len), states);
  });
  for (Index group = 0; group < call.groups(); ++group)
    for (Index block = 0; block < blocks; ++block) {
      const stacked_rows stacked = rows_of(group, block);
      const auto state_of = [&](Index s) {
        return state_in(numbers_of(stacked, s), stacked.count, v_dim);
      };
      const auto whole = state_of(0);
      for (Index s = 1; s < splits; ++s) whole.merge(state_of(s));
      call.write(stacked, whole);
    }
}

}  // namespace headroom::inline HEADROOM_ISA::detail
