// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/batch_sequence.hpp>
#include <headroom/detail/batch_calls.hpp>
#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/latent_batch.hpp>
#include <headroom/detail/packed_offsets.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/linear.hpp>
#include <headroom/mla.hpp>
#include <headroom/options.hpp>
#include <headroom/parallel.hpp>
#include <headroom/view.hpp>

#include <concepts>
#include <ranges>

namespace headroom::inline HEADROOM_ISA {

/// Latent attention of many sequences in one call: sequence i has the queries [offsets[i],
/// offsets[i+1]) and attends to its own latents. Every result is the same bits as that of a call
/// for its sequence alone, whatever else is in the batch and however many threads there are: each
/// sequence is computed in the form, expanded or absorbed, that mla::expands chooses for it.
///
///   std::vector<headroom::batch_sequence<Latents, headroom::causal>> sequences;
///   for (const Latents& latents : caches) sequences.emplace_back(latents);
///   headroom::attend_batch(core, q, offsets, sequences, up, out, {}, headroom::openmp{});
///
/// The up-projection is read once for all absorbed sequences; to one that decodes it is as many
/// numbers as 3641 tokens of latents at DeepSeek-V2-Lite's 16 heads, and eight times that at V3's
/// 128. Attention itself is one call of the executor, cut as each sequence needs it, prompts first
/// and the rest by size; the products before and after it are one call each.
///
/// \param core       an mla: the sizes
/// \param q          [tokens, Q_heads, nope + rope] of the scalar of out, the queries of all
///                   sequences one after another
/// \param offsets    [sequences + 1] integers, also known as cu_seqlens: from 0, never falling, to
///                   tokens
/// \param sequences  batch_sequence each, in memory one after another; one may have no query
/// \param up         as in mla
/// \param out        [tokens, Q_heads, value], written; overlaps no input
/// \param options    for all sequences; lse is [tokens, Q_heads], first_position is each sequence's
///                   own and not to be given here
/// \throws std::invalid_argument naming the argument, and the sequence, that disagrees; all are
///         checked before anything is written
/// \error, \post  as in mla
/// \cost   that of the sequences; memory linear in the tokens of the absorbed ones, kept from call
///         to call: a batch of decode steps after the first like it allocates nothing
template <int Q_heads, int latent_rank, int nope, int rope, int value, viewable Query,
          detail::offset_range Offsets, detail::sequence_range Sequences, class Weight,
          viewable Out, executor Executor = serial>
void attend_batch(const mla<Q_heads, latent_rank, nope, rope, value>& core, const Query& q,
                  const Offsets& offsets, const Sequences& sequences, const linear<Weight>& up,
                  Out&& out, const attention_options<scalar_of<Out>>& options = {},
                  const Executor& executor = {}) {
  using Scalar = scalar_of<Out>;
  using Sequence = std::ranges::range_value_t<const Sequences>;
  if constexpr (detail::check_latent_scalars<Query, Out>()) {
    const auto sizes = detail::sizes_of("attend_batch", core);
    const auto queries = detail::queries_of(sizes, q);
    const auto output = detail::output_of(sizes, out);
    const auto projection = detail::checked_up(sizes, up);
    detail::check_batch(sizes, queries, output, offsets, sequences, options);
    const Index count = detail::length(sequences);
    detail::scratch memory;
    detail::latent_batch<detail::attention_call<Scalar, Scalar, typename Sequence::Mask>,
                         typename Sequence::Source, Weight, sizes.absorbed>
        batch(count, projection, memory);
    for (Index i = 0; i < count; ++i) {
      const auto& latents = detail::at(sequences, i).source();
      const auto call =
          detail::call_of_sequence(sizes, i, queries, output, offsets, sequences, options);
      core.expands(call.q.tokens(), call.kv_len) ? batch.add_expanded(call, latents)
                                                 : batch.add_absorbed(call, latents);
    }
    batch.run(executor);
  }
}

}  // namespace headroom::inline HEADROOM_ISA
