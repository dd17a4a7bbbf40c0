// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/block_for.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/row_units.hpp>
#include <headroom/detail/scratch.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <new>
#include <type_traits>

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
/// whoever finishes the last split of some rows merges theirs, in order.
///
/// Work items: groups, or few of them together, x blocks of rows x splits. Memory: one state per
/// group, block and split, at most most_splits for each row. There is at least one key.
template <class Call, kv_source Source>
class decode_plan {
 public:
  /// The plan refers to the call and the source, and takes the memory that its items share.
  decode_plan(const Call& call, const Source& source, scratch& memory)
      : call_(&call),
        source_(&source),
        units_(call, source),
        split_(split_keys(call.kv_len)),
        splits_((call.kv_len + split_ - 1) / split_),
        size_(state_size(std::min(call.rows_per_group(), block_rows), source.v_dim())),
        states_(memory.take<Scalar>(call.groups() * group_size())),
        open_(reinterpret_cast<open_splits*>(
            memory.take<std::byte>(units_.count() * static_cast<Index>(sizeof(open_splits))))) {
    eigen_assert(call.kv_len > 0);
    for (Index unit = 0; unit < units_.count(); ++unit) new (open_ + unit) open_splits(splits_);
  }

  Index items() const { return units_.count() * splits_; }

  /// How much there is to compute, in pairs of rows and keys. Splits of the same rows count alike:
  /// they then stay together, and memory is read from one end to the other.
  Index cost(Index item) const {
    return units_.cost(*call_, item / splits_, 0, call_->kv_len) / splits_;
  }

  void run(Index item) const {
    const Index unit = item / splits_, begin = item % splits_ * split_;
    const stacked_rows rows = units_.rows(*call_, unit);
    const Index groups = units_.groups(*call_, unit);
    {
      scratch memory;
      const auto states = states_in(numbers(rows, item % splits_), group_size(), groups, rows.count,
                                    source_->v_dim(), memory);
      attend_rows(*call_, rows, *source_, begin, std::min(begin + split_, call_->kv_len), states);
    }
    // What other threads have written of these rows is visible to the last of them.
    if (open_[unit].fetch_sub(1, std::memory_order_acq_rel) > 1) return;
    for (Index g = 0; g < groups; ++g) merge(rows.of_group(g));
  }

 private:
  using Scalar = typename Call::Scalar;
  using open_splits = std::atomic<Index>;
  static_assert(std::is_trivially_destructible_v<open_splits>);

  // Numbers of a group's states.
  Index group_size() const { return units_.blocks() * splits_ * size_; }

  // The state of some rows and a split: [groups, blocks, splits].
  Scalar* numbers(const stacked_rows& rows, Index split) const {
    return states_ + rows.group * group_size() +
           (rows.first / block_rows * splits_ + split) * size_;
  }

  void merge(const stacked_rows& rows) const {
    const auto state = [&](Index split) {
      return state_in(numbers(rows, split), rows.count, source_->v_dim());
    };
    const auto whole = state(0);
    for (Index s = 1; s < splits_; ++s) whole.merge(state(s));
    call_->write(rows, whole);
  }

  const Call* call_;
  const Source* source_;
  row_units units_;
  Index split_;
  Index splits_;
  Index size_;         // of a state, in numbers
  Scalar* states_;     // unmerged
  open_splits* open_;  // [units], splits that are not finished
};

template <class Call, kv_source Source, class Executor>
void decode(const Call& call, const Source& source, const Executor& executor) {
  scratch memory;
  const decode_plan plan(call, source, memory);
  executor(plan.items(), [&](Index item) { plan.run(item); });
}

}  // namespace headroom::inline HEADROOM_ISA::detail
