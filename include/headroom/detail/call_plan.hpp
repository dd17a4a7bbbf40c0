// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/decode.hpp>
#include <headroom/detail/dispatch.hpp>
#include <headroom/detail/prefill.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/kv_source.hpp>

#include <utility>
#include <variant>

namespace headroom::inline HEADROOM_ISA::detail {

/// A call that is one of many, as work items: the same as dispatch, whoever runs them.
template <class Call, kv_source Source>
class call_plan {
 public:
  /// \param least  about as many items are made at least, if there are the groups
  call_plan(const Call& call, const Source& source, Index least, scratch& memory)
      : plan_(
            path_for(call.q.tokens(), call.heads_per_group, call.kv_len) == path::decode
                ? either(std::in_place_type<decode_plan<Call, Source>>, call, source, least, memory)
                : either(std::in_place_type<prefill_plan<Call, Source>>, call, source, least)) {}

  Index items() const {
    return std::visit([](const auto& plan) { return plan.items(); }, plan_);
  }
  Index cost(Index item) const {
    return std::visit([&](const auto& plan) { return plan.cost(item); }, plan_);
  }
  void run(Index item) const {
    std::visit([&](const auto& plan) { plan.run(item); }, plan_);
  }

 private:
  using either = std::variant<decode_plan<Call, Source>, prefill_plan<Call, Source>>;

  either plan_;
};

}  // namespace headroom::inline HEADROOM_ISA::detail
