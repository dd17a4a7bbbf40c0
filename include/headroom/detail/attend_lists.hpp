// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/call_batch.hpp>
#include <headroom/detail/checked_call.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/mask.hpp>
#include <headroom/options.hpp>
#include <headroom/selected_mask.hpp>
#include <headroom/view.hpp>

#include <algorithm>
#include <new>
#include <type_traits>

namespace headroom::inline HEADROOM_ISA::detail {

template <class SelectionOf>
using selection_by = std::invoke_result_t<const SelectionOf&, Index>;

/// What the queries of a list see.
template <class Mask, class SelectionOf>
using list_mask = selected_mask<mask_reference<Mask>, selection_by<SelectionOf>>;

/// add(call, selection) of each block of `queries_per_list` queries to the keys of a list of its
/// own: a call over its selection of one source. Both, and their mask, live in `memory`.
///
/// \param selection_of  the kv_selection of block i, checked
template <class Sizes, class Query, class Scalar, attention_mask Mask, class SelectionOf, class Add>
void for_each_list(const Sizes& sizes, view<const Query> q, view<Scalar> out, Index kv_len,
                   Index queries_per_list, const SelectionOf& selection_of, const Mask& mask,
                   const attention_options<Scalar>& options, scratch& memory, const Add& add) {
  using ListMask = list_mask<Mask, SelectionOf>;
  const Index lists = parts(q.tokens(), queries_per_list);
  const Index first_position = options.first_position.value_or(kv_len - q.tokens());
  auto* const masks = memory.take<ListMask>(lists);
  for (Index i = 0; i < lists; ++i) {
    const Index begin = i * queries_per_list;
    const Index end = begin + std::min(queries_per_list, q.tokens() - begin);
    // The mask keeps the selection, and the call refers to both.
    const ListMask& own = *new (masks + i) ListMask(mask_reference<Mask>{&mask}, selection_of(i),
                                                    first_position + begin, begin);
    auto of_list = options;
    of_list.lse = options.lse.slice_tokens(begin, end);
    of_list.first_position = own.first_position;
    add(call_of(sizes, q.slice_tokens(begin, end), out.slice_tokens(begin, end),
                own.selection.tokens(), own, of_list),
        own.selection);
  }
}

/// Attention of each block of queries to its list: they are sequences of a batch.
template <class Sizes, class Query, class Scalar, attention_mask Mask, class SelectionOf,
          class Executor>
void attend_lists(const Sizes& sizes, view<const Query> q, view<Scalar> out, Index kv_len,
                  Index queries_per_list, const SelectionOf& selection_of, const Mask& mask,
                  const attention_options<Scalar>& options, const Executor& executor) {
  scratch memory;
  call_batch<attention_call<Scalar, Query, list_mask<Mask, SelectionOf>, Sizes::known>,
             selection_by<SelectionOf>>
      batch(parts(q.tokens(), queries_per_list), memory);
  for_each_list(sizes, q, out, kv_len, queries_per_list, selection_of, mask, options, memory,
                [&](const auto& call, const auto& selection) { batch.add(call, selection); });
  batch.order();
  executor(batch.items(), [&](Index place) { batch.run(place); });
}

}  // namespace headroom::inline HEADROOM_ISA::detail
