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

// So many keys, and fewer, are one split: a few thousand are enough for several threads, and what
// it costs to start and to merge a split is little beside reading its keys.
inline constexpr Index most_unsplit_keys = 1536;
static_assert(most_unsplit_keys % tile_keys == 0, "a split is whole tiles");

// Bounds the memory for unmerged states.
inline constexpr Index most_splits = 32;

/// Keys per split, whole tiles and about as many in each: a function of the number of keys alone,
/// so that results depend neither on the number of threads nor on what else is computed.
inline Index split_keys(Index kv_len) {
  const Index splits = std::clamp(parts(kv_len, most_unsplit_keys), Index(1), most_splits);
  return std::max(Index(1), parts(parts(kv_len, splits), tile_keys)) * tile_keys;
}

/// Few query rows, many keys: the keys are split, each split gives a softmax state of its own, and
/// these are merged in order, each as soon as those before it are, so that one that is computed in
/// its turn stays in the caches.
///
/// Work items: groups, or few of them together, x blocks of rows x splits. Memory: one state per
/// group, block and split, at most most_splits for each row. There is at least one key.
template <class Call, kv_source Source>
class decode_plan {
 public:
  /// The plan refers to the call and the source, and takes the memory that its items share.
  ///
  /// \param least  about as many items are made at least, if there are the groups
  decode_plan(const Call& call, const Source& source, Index least, scratch& memory)
      : call_(&call),
        source_(&source),
        split_(split_keys(call.kv_len)),
        splits_(parts(call.kv_len, split_)),
        units_(call, source, least / std::max(splits_, Index(1))),
        size_(state_size(std::min(call.rows_per_group(), block_rows), source.v_dim())),
        states_(memory.take<Scalar>(call.groups() * units_.blocks() * splits_ * size_)),
        merged_(take_atomics<Index>(units_.count(), memory)),
        waiting_(take_atomics<bool>(items(), memory)) {
    eigen_assert(call.kv_len > 0);
  }

  Index items() const { return units_.count() * splits_; }

  /// How much there is to compute, in pairs of rows and keys. Splits of the same rows count alike:
  /// they then stay together, and memory is read from one end to the other.
  Index cost(Index item) const {
    return units_.cost(*call_, item / splits_, 0, call_->kv_len) / splits_;
  }

  void run(Index item) const {
    scratch memory;
    const Index unit = item / splits_, split = item % splits_, begin = split * split_;
    const stacked_rows rows = units_.rows(*call_, unit);
    const Index groups = units_.groups(*call_, unit);
    // The others are merged into the first split's.
    const unit_states own =
        split == 0 ? kept(rows, 0) : unit_states{memory.take<Scalar>(groups * size_), size_};
    const auto states =
        states_in(own.numbers, own.distance, groups, rows.count, source_->v_dim(), memory);
    const Index end = std::min(begin + split_, call_->kv_len);
    attend_rows(*call_, rows, *source_, begin, end, states, units_.next(*call_, unit, end, split_));
    finish(unit, rows, split, own);
  }

 private:
  using Scalar = typename Call::Scalar;

  // The states of a unit's groups, for one split.
  struct unit_states {
    Scalar* numbers;
    Index distance;  // from one group's to the next
  };

  template <class T>
  static std::atomic<T>* take_atomics(Index count, scratch& memory) {
    using atomic = std::atomic<T>;
    static_assert(std::is_trivially_destructible_v<atomic>);
    const Index bytes = count * static_cast<Index>(sizeof(atomic));
    auto* const taken = reinterpret_cast<atomic*>(memory.take<std::byte>(bytes));
    for (Index i = 0; i < count; ++i) new (taken + i) atomic(T(0));
    return taken;
  }

  // Where states lie that all threads see.
  unit_states kept(const stacked_rows& rows, Index split) const {
    const Index blocks = units_.blocks(), block = rows.first / block_rows;
    return {states_ + ((rows.group * blocks + block) * splits_ + split) * size_,
            blocks * splits_ * size_};
  }

  // Merges a split in its turn, and those after it that wait for theirs. Out of its turn it waits.
  // What another thread wrote of a split is visible to whoever finds it waiting.
  void finish(Index unit, const stacked_rows& rows, Index split, unit_states own) const {
    const Index groups = units_.groups(*call_, unit);
    std::atomic<Index>& merged = merged_[unit];
    std::atomic<bool>* const waiting = waiting_ + unit * splits_;
    if (merged != split) {
      const unit_states copy = kept(rows, split);
      for (Index g = 0; g < groups; ++g)
        std::copy_n(own.numbers + g * own.distance, size_, copy.numbers + g * copy.distance);
      own = copy;
      // Both sides store first and then load what the other stores, sequentially consistent: in any
      // weaker order both might miss it, and nobody would merge the split.
      waiting[split] = true;
      // The last one before it may have looked just before it began to wait.
      if (merged != split || !waiting[split].exchange(false)) return;
    }
    const unit_states whole = kept(rows, 0);
    const auto state = [&](const unit_states& states, Index g) {
      return state_in(states.numbers + g * states.distance, rows.count, source_->v_dim());
    };
    do {
      if (split > 0)
        for (Index g = 0; g < groups; ++g) state(whole, g).merge(state(own, g));
      merged = ++split;
      if (split == splits_) {
        for (Index g = 0; g < groups; ++g) call_->write(rows.of_group(g), state(whole, g));
        return;
      }
      own = kept(rows, split);
    } while (waiting[split].exchange(false));
  }

  const Call* call_;
  const Source* source_;
  Index split_;
  Index splits_;
  row_units units_;
  Index size_;                  // of a state, in numbers
  Scalar* states_;              // [groups, blocks, splits]
  std::atomic<Index>* merged_;  // [units], splits merged so far
  std::atomic<bool>* waiting_;  // [units, splits]
};

template <class Call, kv_source Source, class Executor>
void decode(const Call& call, const Source& source, const Executor& executor) {
  scratch memory;
  const decode_plan plan(call, source, least_items<Executor>, memory);
  executor(plan.items(), [&](Index item) { plan.run(item); });
}

}  // namespace headroom::inline HEADROOM_ISA::detail
