// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/attention.hpp>
#include <headroom/detail/call_batch.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/mask.hpp>
#include <headroom/options.hpp>
#include <headroom/selected_mask.hpp>
#include <headroom/view.hpp>

#include <algorithm>
#include <new>

namespace headroom::inline HEADROOM_ISA::detail {

/// Attention of each block of `queries_per_list` queries to the keys of a list of its own: blocks
/// are sequences of a batch, each over its selection of one source.
///
/// \param selection_of  the kv_selection of block i, checked
template <class Sizes, class Query, class Scalar, attention_mask Mask, class SelectionOf,
          class Executor>
void attend_lists(const Sizes& sizes, view<const Query> q, view<Scalar> out, Index kv_len,
                  Index queries_per_list, const SelectionOf& selection_of, const Mask& mask,
                  const attention_options<Scalar>& options, const Executor& executor) {
  using Selection = decltype(selection_of(Index(0)));
  using ListMask = selected_mask<mask_reference<Mask>, Selection>;
  const Index lists = (q.tokens() + queries_per_list - 1) / queries_per_list;
  const Index first_position = options.first_position.value_or(kv_len - q.tokens());
  scratch memory;
  auto* const masks = memory.take<ListMask>(lists);
  call_batch<attention_call<Scalar, Query, ListMask, Sizes::rows_multiple>, Selection> batch(
      lists, memory);
  for (Index i = 0; i < lists; ++i) {
    const Index begin = i * queries_per_list;
    const Index end = std::min(begin + queries_per_list, q.tokens());
    // The mask keeps the selection, and the call refers to both.
    const ListMask& own = *new (masks + i) ListMask(mask_reference<Mask>{&mask}, selection_of(i),
                                                    first_position + begin, begin);
    auto of_list = options;
    of_list.lse = options.lse.slice_tokens(begin, end);
    of_list.first_position = own.first_position;
    batch.add(call_of(sizes, q.slice_tokens(begin, end), out.slice_tokens(begin, end),
                      own.selection.tokens(), own, of_list),
              own.selection);
  }
  batch.order();
  executor(batch.items(), [&](Index place) { batch.run(place); });
}

}  // namespace headroom::inline HEADROOM_ISA::detail
