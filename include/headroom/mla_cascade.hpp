// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/attention.hpp>
#include <headroom/batch_sequence.hpp>
#include <headroom/cascade.hpp>
#include <headroom/detail/absorbed_stack.hpp>
#include <headroom/detail/batch_calls.hpp>
#include <headroom/detail/block_for.hpp>
#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/packed_offsets.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/linear.hpp>
#include <headroom/mask.hpp>
#include <headroom/mla.hpp>
#include <headroom/options.hpp>
#include <headroom/parallel.hpp>
#include <headroom/view.hpp>

#include <concepts>
#include <span>
#include <type_traits>

namespace headroom::inline HEADROOM_ISA {

/// Latent attention of sequences that share their beginnings: attend_cascade over latents, in the
/// absorbed form. W_UK makes all queries multi-query attention in the latent space; there those of
/// the sequences of a prefix attend to it together and the parts are merged by their lse; W_UV
/// makes outputs of what that leaves, once for each query however many prefixes it has.
///
///   // 8 sequences share a system prompt, and the first 3 of them a document after it
///   const headroom::shared_prefix<Latents> prefixes[] = {{system, 0, 8}, {document, 0, 3}};
///   headroom::attend_cascade(core, q, offsets, prefixes, sequences, up, out);
///
/// What a sequence's own latents are, and what masks and windows see of its prefixes, is as in
/// attend_cascade over keys and values. Rotary parts of queries and latents are rotated by
/// positions in the whole, shared tokens included.
///
/// \param core       an mla: the sizes
/// \param q          [tokens, Q_heads, nope + rope] of the scalar of out, the queries of all
///                   sequences one after another
/// \param offsets, sequences  as in attend_batch over latents; positions count from the first own
///                   token
/// \param prefixes   shared_prefix each, of latents, as in attend_cascade over keys and values
/// \param up         as in mla
/// \param out        [tokens, Q_heads, value], written; overlaps no input
/// \param options, executor  as in attend_batch; sinks join once, and lse is over all tokens,
///                   shared ones included
/// \throws std::invalid_argument naming the argument, and the prefix or the sequence, that
///         disagrees; nothing is written
/// \error  as that of attend_cascade over keys and values to that of attention; the same bits for
///         any number of threads
/// \cost   flops of mla::absorbed, whatever the lengths: prompts, of which mla::expands says that
///         they cost less expanded, are not for this call. Bytes: each prefix once, each sequence's
///         own latents, and the up-projection once. Memory linear in tokens, and one of their
///         latent outputs for each prefix, kept from call to call
/// \source DeepSeek-V2, arXiv 2405.04434, section 2.1; Juravsky et al., Hydragen, arXiv 2402.05099,
///         section 3
template <int Q_heads, int latent_rank, int nope, int rope, int value, viewable Query,
          detail::offset_range Offsets, detail::prefix_range Prefixes,
          detail::sequence_range Sequences, class Weight, viewable Out, executor Executor = serial>
void attend_cascade(const mla<Q_heads, latent_rank, nope, rope, value>& core, const Query& q,
                    const Offsets& offsets, const Prefixes& prefixes, const Sequences& sequences,
                    const linear<Weight>& up, Out&& out,
                    const attention_options<scalar_of<Out>>& options = {},
                    const Executor& executor = {}) {
  if constexpr (detail::check_latent_scalars<Query, Out>()) {
    const char* const who = "attend_cascade";
    const auto sizes = detail::sizes_of(who, core);
    const auto queries = detail::queries_of(sizes, q);
    const auto output = detail::output_of(sizes, out);
    const auto projection = detail::checked_up(sizes, up);
    detail::check_batch(sizes, queries, output, offsets, sequences, options);
    detail::check_prefixes(sizes, offsets, prefixes, sequences);
    if (queries.tokens() == 0) return;

    // One call of all queries, as far as the up-projection goes; what they attend to comes after.
    const none all;
    const auto packed = detail::call_of(sizes, queries, output, Index(0), all, options);
    using Stack = detail::absorbed_stack<std::remove_const_t<decltype(packed)>, sizes.absorbed>;
    detail::scratch memory;
    const Stack rows({&packed, 1}, core.nope_width(), core.rank(), memory);
    const std::span<const Stack> stack(&rows, 1);

    detail::absorb(stack, core.q_heads(), projection, executor);
    rows.for_each_latent_call([&](const auto& absorbed) {
      const detail::fixed_call_sizes<sizes.absorbed> latent{
          {who, core.q_heads(), 1, absorbed.q.dim(), absorbed.out.dim()}};
      auto latent_options = options;
      latent_options.scale = absorbed.scale;
      detail::attend_shared(latent, absorbed.q, absorbed.out, offsets, prefixes, sequences,
                            latent_options, executor);
    });
    detail::project(stack, core.q_heads(), projection, executor);
  }
}

}  // namespace headroom::inline HEADROOM_ISA
