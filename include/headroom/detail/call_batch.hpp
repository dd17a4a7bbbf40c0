// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/call_plan.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/row_units.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/detail/work_order.hpp>
#include <headroom/kv_source.hpp>

#include <algorithm>
#include <cstddef>
#include <new>
#include <span>

namespace headroom::inline HEADROOM_ISA::detail {

/// Several calls, checked, whose work runs as one: the keys of each are cut as they would be alone,
/// so that its result is the same bits, and the pieces of all of them are put in order of size.
/// Many calls need not be cut into as many pieces each.
template <class Call, kv_source Source>
class call_batch {
 public:
  /// Room for `most` calls in memory that outlives the batch.
  call_batch(Index most, scratch& memory)
      : memory_(memory),
        calls_(memory.take<Call>(most)),
        plans_(memory.take<call_plan<Call, Source>>(most)),
        least_(items_of_threads / std::max(most, Index(1))) {}

  /// The source, and what the call refers to, outlive the batch.
  void add(const Call& call, const Source& source) {
    const Call& kept = *new (calls_ + count_) Call(call);
    new (plans_ + count_) call_plan<Call, Source>(kept, source, least_, memory_);
    ++count_;
  }

  /// To be called once, after the last call was added.
  void order() { order_ = largest_first<call_plan<Call, Source>>({plans_, count_}, memory_); }

  Index items() const { return static_cast<Index>(order_.size()); }
  void run(Index place) const {
    const planned_item& next = order_[static_cast<std::size_t>(place)];
    plans_[next.plan].run(next.item);
  }

 private:
  scratch& memory_;
  Call* calls_;
  call_plan<Call, Source>* plans_;
  Index least_;  // items of each
  std::size_t count_ = 0;
  std::span<const planned_item> order_;
};

}  // namespace headroom::inline HEADROOM_ISA::detail
