// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/block_for.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/row_units.hpp>
#include <headroom/detail/scratch.hpp>

#include <cstddef>

namespace headroom::inline HEADROOM_ISA::detail {

/// Blocks of rows walk the keys they see, each on its own.
///
/// Work items: groups, or few of them together, x blocks of rows. Memory per item: one block and
/// one tile. Each key is read once per block that sees it, not once per query head.
template <class Call, kv_source Source>
class prefill_plan {
 public:
  /// The plan refers to the call and the source; its items share no memory.
  ///
  /// \param least  about as many items are made at least, if there are the groups
  prefill_plan(const Call& call, const Source& source, Index least)
      : call_(&call), source_(&source), units_(call, source, least) {}

  Index items() const { return units_.count(); }

  /// How much there is to compute, in pairs of rows and keys.
  Index cost(Index item) const { return units_.cost(*call_, unit_of(item), 0, call_->kv_len); }

  void run(Index item) const {
    using Scalar = typename Call::Scalar;
    scratch memory;
    const Index unit = unit_of(item);
    const stacked_rows rows = units_.rows(*call_, unit);
    const Index groups = units_.groups(*call_, unit);
    const Index size = state_size(rows.count, source_->v_dim());
    const auto states = states_in(memory.take<Scalar>(groups * size), size, groups, rows.count,
                                  source_->v_dim(), memory);
    attend_rows(*call_, rows, *source_, 0, call_->kv_len, states,
                units_.next(*call_, unit, call_->kv_len, call_->kv_len));
    for (Index g = 0; g < groups; ++g)
      call_->write(rows.of_group(g), states[static_cast<std::size_t>(g)]);
  }

 private:
  // The last block of rows sees most keys under a causal mask: start with it, so that no thread is
  // left with a long item at the end.
  Index unit_of(Index item) const { return units_.from_last_block(item); }

  const Call* call_;
  const Source* source_;
  row_units units_;
};

template <class Call, kv_source Source, class Executor>
void prefill(const Call& call, const Source& source, const Executor& executor) {
  const prefill_plan plan(call, source, least_items<Executor>);
  executor(plan.items(), [&](Index item) { plan.run(item); });
}

}  // namespace headroom::inline HEADROOM_ISA::detail
