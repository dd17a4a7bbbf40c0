// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/attention.hpp>
#include <headroom/detail/attend_lists.hpp>
#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/latent_batch.hpp>
#include <headroom/detail/packed_offsets.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/linear.hpp>
#include <headroom/mask.hpp>
#include <headroom/mla.hpp>
#include <headroom/options.hpp>
#include <headroom/parallel.hpp>
#include <headroom/token_sparse.hpp>
#include <headroom/view.hpp>

#include <concepts>
#include <type_traits>

namespace headroom::inline HEADROOM_ISA {

/// Latent attention where query t sees, of the latents that the mask shows it, those it lists
/// alone: DeepSeek's sparse attention, once an indexer has chosen. Each query is multi-query
/// attention over its own latents, in the absorbed form; the up-projection is read once for all.
///
/// \param core     an mla: the sizes
/// \param q        [q_len, Q_heads, nope + rope] of the scalar of out
/// \param latents  all latents, of kv_len tokens, in one piece or on pages
/// \param offsets, tokens  of each query's list, as in attend_tokens over keys and values
/// \param up, out, mask, options, executor  as in mla; positions are those among all latents
/// \throws std::invalid_argument naming the argument, and the query, that disagrees; nothing is
///         written
/// \error, \post  as in mla, absorbed; latents that are not listed do not reach the result
/// \cost   that of the tokens listed, and of mla::absorbed for queries and outputs; memory linear
///         in q_len, kept from call to call
/// \source DeepSeek-V3.2, arXiv 2512.02556, section 2.1
template <int Q_heads, int latent_rank, int nope, int rope, int value, viewable Query,
          kv_source Latents, detail::offset_range Offsets, detail::offset_range Tokens,
          class Weight, viewable Out, attention_mask Mask = none, executor Executor = serial>
void attend_tokens(const mla<Q_heads, latent_rank, nope, rope, value>& core, const Query& q,
                   const Latents& latents, const Offsets& offsets, const Tokens& tokens,
                   const linear<Weight>& up, Out&& out, const Mask& mask = {},
                   const attention_options<scalar_of<Out>>& options = {},
                   const Executor& executor = {}) {
  using Scalar = scalar_of<Out>;
  if constexpr (detail::check_latent_scalars<Query, Out>()) {
    const char* const who = "attend_tokens";
    const auto sizes = detail::sizes_of(who, core);
    const auto queries = detail::queries_of(sizes, q);
    const auto output = detail::output_of(sizes, out);
    const Index q_len = queries.tokens(), kv_len = latents.tokens();
    detail::check_source(sizes, latents);
    const auto projection = detail::checked_up(sizes, up);
    detail::check_arguments(sizes, queries, output, options);
    mask.check({sizes.Q_heads, q_len, kv_len});
    const detail::token_lists lists(who, latents, offsets, tokens, q_len);

    using Lists = std::remove_const_t<decltype(lists)>;
    using Call = detail::attention_call<Scalar, Scalar, detail::list_mask<Mask, Lists>>;
    detail::scratch memory;
    detail::latent_batch<Call, detail::selection_by<Lists>, Weight, sizes.absorbed> batch(
        q_len, projection, memory);
    detail::for_each_list(
        sizes, queries, output, kv_len, 1, lists, mask, options, memory,
        [&](const auto& call, const auto& selection) { batch.add_absorbed(call, selection); });
    batch.run(executor);
  }
}

}  // namespace headroom::inline HEADROOM_ISA
