// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/absorbed_stack.hpp>
#include <headroom/detail/call_batch.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/latent.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/detail/work_order.hpp>
#include <headroom/kv_source.hpp>

#include <cstddef>
#include <new>
#include <span>

namespace headroom::inline HEADROOM_ISA::detail {

/// Calls of latent attention, checked, whose work runs together, each in the form that its caller
/// chose; one alone is a batch of one. Each phase is one call of the executor, and only the second
/// is needed where nothing is absorbed:
///
///   1. W_UK     an item a head: q~ of all absorbed calls
///   2. softmax  expanded calls x heads; then pieces of absorbed calls, over their latents
///   3. W_UV     an item a head: the outputs of all absorbed calls
///
/// So the weights of a head are read, and decoded if they must be, once for all absorbed calls.
///
/// \tparam known  of latent calls
template <class Call, kv_source Source, class Weight, known_sizes known = known_sizes()>
class latent_batch {
  using Stack = absorbed_stack<Call, known>;
  using Expanded = expanded_plan<Call, Source, Weight>;

 public:
  /// Room for `most` calls in memory that outlives the batch.
  latent_batch(Index most, const up_projection<Weight>& up, scratch& memory)
      : up_(up),
        memory_(memory),
        expanded_calls_(memory.take<Call>(most)),
        expanded_(memory.take<Expanded>(most)),
        absorbed_calls_(memory.take<Call>(most)),
        absorbed_sources_(memory.take<const Source*>(most)) {}
  latent_batch(const latent_batch&) = delete;
  latent_batch& operator=(const latent_batch&) = delete;

  /// The latents, and what the call refers to, outlive the batch.
  void add_expanded(const Call& call, const Source& latents) {
    const Call& kept = *new (expanded_calls_ + expanded_count_) Call(call);
    new (expanded_ + expanded_count_) Expanded(kept, latents, up_);
    ++expanded_count_;
  }
  void add_absorbed(const Call& call, const Source& latents) {
    if (call.q.tokens() == 0) return;
    new (absorbed_calls_ + absorbed_count_) Call(call);
    absorbed_sources_[absorbed_count_] = &latents;
    ++absorbed_count_;
  }

  template <class Executor>
  void run(const Executor& executor) {
    const std::span<const planned_item> expanded =
        largest_first<Expanded>({expanded_, expanded_count_}, memory_);
    const auto expanded_items = static_cast<Index>(expanded.size());
    const auto expand = [&](Index place) {
      const planned_item& next = expanded[static_cast<std::size_t>(place)];
      expanded_[next.plan].run(next.item);
    };
    if (absorbed_count_ == 0) return executor(expanded_items, expand);

    const Index heads = absorbed_calls_->q.heads();
    call_batch<typename Stack::LatentCall, Source> attention(static_cast<Index>(absorbed_count_),
                                                             memory_);
    const std::span<const Stack> stacks = stack(attention);
    absorb(stacks, heads, up_, executor);
    // Prompts are long: what is expanded comes first.
    executor(expanded_items + attention.items(), [&](Index place) {
      place < expanded_items ? expand(place) : attention.run(place - expanded_items);
    });
    project(stacks, heads, up_, executor);
  }

 private:
  // Stacks the absorbed calls, and adds what they attend to.
  template <class Attention>
  std::span<const Stack> stack(Attention& attention) {
    auto* const stacks = memory_.take<Stack>(static_cast<Index>(absorbed_count_));
    std::size_t count = 0;
    const Source* const* source = absorbed_sources_;
    for (std::span<const Call> left(absorbed_calls_, absorbed_count_); !left.empty();) {
      const std::size_t stacked = Stack::next(left);
      const Stack& rows =
          *new (stacks + count++) Stack(left.first(stacked), up_.nope, up_.rank(), memory_);
      rows.for_each_latent_call([&](const auto& call) { attention.add(call, **source++); });
      left = left.subspan(stacked);
    }
    attention.order();
    return {stacks, count};
  }

  const up_projection<Weight> up_;
  scratch& memory_;
  Call* expanded_calls_;
  Expanded* expanded_;
  std::size_t expanded_count_ = 0;
  Call* absorbed_calls_;
  const Source** absorbed_sources_;
  std::size_t absorbed_count_ = 0;
};

}  // namespace headroom::inline HEADROOM_ISA::detail
