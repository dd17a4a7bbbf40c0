// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/attention.hpp>
#include <headroom/detail/absorbed_stack.hpp>
#include <headroom/detail/broadcast.hpp>
#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/linear.hpp>
#include <headroom/mask.hpp>
#include <headroom/mla.hpp>
#include <headroom/options.hpp>
#include <headroom/parallel.hpp>
#include <headroom/scores.hpp>
#include <headroom/view.hpp>

#include <concepts>
#include <span>
#include <type_traits>

namespace headroom::inline HEADROOM_ISA {

namespace detail {

// Queries that pass through W_UK together: enough to share the reading of its weights.
inline constexpr Index absorbed_score_queries = 16;

}  // namespace detail

/// Calls visit(score_tile) with the scores of latent attention at one stage, tile by tile, every
/// query, head and key once: visit_scores, see scores.hpp, over latents. A tile is of one of
/// Q_heads heads; W_UV is not used.
///
///     headroom::visit_scores(core, headroom::score_stage::softmax, q, latents, up, causal{}, {},
///                            [&](const auto& tile) {
///                              total.segment(tile.first_key, tile.scores.cols()) +=
///                                  tile.scores.colwise().sum();
///                            });
///
/// Scores are those of the absorbed form, scale (W_UK[h]^T q_nope . c + q_pe . k_pe), which are
/// those of the expanded one up to rounding. Computed in the scalar of q: latents are decoded to
/// it, and nothing else is rounded.
///
/// \param core     an mla: the sizes
/// \param stage, mask, visit  as over keys and values
/// \param q        [q_len, Q_heads, nope + rope] of float or double, each head [q_nope, q_pe]
/// \param latents  a latent_cache, or any source of one group with keys [c, k_pe]
/// \param up       as in mla
/// \param options  as in mla; lse is not written
/// \throws std::invalid_argument as mla does, before the first visit
/// \cost   q_len * kv_len * 2 Q_heads (latent_rank + rope) flops, twice for softmax, and q_len * 2
///         latent_rank Q_heads nope for queries; memory of a few queries and a tile
template <int Q_heads, int latent_rank, int nope, int rope, int value, viewable Query,
          kv_source Latents, class Weight, attention_mask Mask,
          std::invocable<const score_tile<scalar_of<Query>>&> Visit>
void visit_scores(const mla<Q_heads, latent_rank, nope, rope, value>& core, score_stage stage,
                  const Query& q, const Latents& latents, const linear<Weight>& up,
                  const Mask& mask, const attention_options<scalar_of<Query>>& options,
                  const Visit& visit) {
  using Scalar = scalar_of<Query>;
  constexpr bool computes = detail::compute_scalar<Scalar>;
  static_assert(computes, "visit_scores: q over latents must be of float or of double");
  if constexpr (computes) {
    const char* const who = "visit_scores";
    auto sizes = detail::sizes_of(who, core);
    sizes.KV_groups = 1;  // absorbed, all heads share the latents
    detail::check_source(sizes, latents);
    const auto projection = detail::checked_up(sizes, up);
    const auto queries = detail::queries_of(sizes, q);
    const view<Scalar> no_output(nullptr, queries.tokens(), sizes.Q_heads, sizes.v_dim, 0, 0);
    const auto call =
        detail::checked_call(sizes, queries, no_output, Index(latents.tokens()), mask, options);
    using Stack = detail::absorbed_stack<std::remove_const_t<decltype(call)>>;

    const auto stack = [&](const detail::stacked_rows& rows, Scalar* stacked) {
      const Index first = rows.query(0), end = first + rows.count / core.q_heads();
      const auto some =
          detail::call_of(sizes, queries.slice_tokens(first, end),
                          no_output.slice_tokens(first, end), call.kv_len, mask, options);
      detail::scratch memory;
      const Stack absorbed({&some, 1}, core.nope_width(), core.rank(), memory);
      detail::absorb(std::span<const Stack>(&absorbed, 1), core.q_heads(), projection, serial());
      absorbed.for_each_latent_call([&](const auto& of_latents) {
        detail::stack_queries(of_latents.q, {0, core.q_heads(), 0, rows.count}, of_latents.scale,
                              stacked);
      });
    };
    detail::visit_blocks(call, latents, detail::absorbed_score_queries, stack, stage, visit);
  }
}

/// The same over a cache around another, such as a ring_cache<latent_cache<...>>, whose keys are
/// counted in the whole context: see visit_scores over a ring in scores.hpp.
template <int Q_heads, int latent_rank, int nope, int rope, int value, viewable Query,
          wrapping_cache Cache, class Weight, attention_mask Mask,
          std::invocable<const score_tile<scalar_of<Query>>&> Visit>
void visit_scores(const mla<Q_heads, latent_rank, nope, rope, value>& core, score_stage stage,
                  const Query& q, const Cache& latents, const linear<Weight>& up, const Mask& mask,
                  const attention_options<scalar_of<Query>>& options, const Visit& visit) {
  const auto over = [&](const auto& queries, const auto& source, const auto& of_mask,
                        const auto& of_options, const auto& of_visit) {
    visit_scores(core, stage, queries, source, up, of_mask, of_options, of_visit);
  };
  detail::visit_within<scalar_of<Query>>(core, q, latents, mask, options, visit, over);
}

}  // namespace headroom::inline HEADROOM_ISA
