// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/attention.hpp>
#include <headroom/batch_sequence.hpp>
#include <headroom/detail/batch_calls.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/packed_offsets.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/options.hpp>
#include <headroom/parallel.hpp>
#include <headroom/view.hpp>

namespace headroom::inline HEADROOM_ISA {

/// Attention of many sequences in one call: sequence i has the queries [offsets[i], offsets[i+1])
/// and attends to its own keys and values. Every result is the same bits as that of a call for its
/// sequence alone, whatever else is in the batch and however many threads there are.
///
///   std::vector<headroom::batch_sequence<Cache, headroom::causal>> sequences;
///   for (const Cache& cache : caches) sequences.emplace_back(cache);
///   headroom::attend_batch(gqa, q, offsets, sequences, out, {}, headroom::openmp{});
///
/// The work of all sequences is one call of the executor, cut as each sequence needs it and ordered
/// by size, so that threads neither wait between sequences nor for the longest.
///
/// \param heads      an attention: the sizes
/// \param q          [tokens, Q_heads, qk_dim], the queries of all sequences one after another
/// \param offsets    [sequences + 1] integers, also known as cu_seqlens: from 0, never falling, to
///                   tokens
/// \param sequences  batch_sequence each, in memory one after another; one may have no query
/// \param out        [tokens, Q_heads, v_dim], written; overlaps no input
/// \param options    for all sequences; lse is [tokens, Q_heads], first_position is each sequence's
///                   own and not to be given here
/// \throws std::invalid_argument naming the argument, and the sequence, that disagrees; all are
///         checked before anything is written
/// \error, \post  as in attention
/// \cost   that of the sequences; memory of the unmerged states of all of them, kept from call to
///         call: a batch of decode steps after the first like it allocates nothing
template <int Q_heads, int KV_groups, int qk_dim, int v_dim, viewable Query,
          detail::offset_range Offsets, detail::sequence_range Sequences, viewable Out,
          executor Executor = serial>
void attend_batch(const attention<Q_heads, KV_groups, qk_dim, v_dim>& heads, const Query& q,
                  const Offsets& offsets, const Sequences& sequences, Out&& out,
                  const attention_options<scalar_of<Out>>& options = {},
                  const Executor& executor = {}) {
  if constexpr (detail::check_scalars<Query, Out>()) {
    const auto sizes = detail::sizes_of("attend_batch", heads);
    const auto queries = detail::queries_of(sizes, q);
    const auto output = detail::output_of(sizes, out);
    detail::check_batch(sizes, queries, output, offsets, sequences, options);
    detail::scratch memory;
    const auto batch =
        detail::calls_of_batch(sizes, queries, output, offsets, sequences, options, memory);
    executor(batch.items(), [&](Index place) { batch.run(place); });
  }
}

}  // namespace headroom::inline HEADROOM_ISA
