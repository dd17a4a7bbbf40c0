// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/attention.hpp>
#include <headroom/cost.hpp>
#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/latent.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/linear.hpp>
#include <headroom/mask.hpp>
#include <headroom/options.hpp>
#include <headroom/parallel.hpp>
#include <headroom/view.hpp>

#include <cmath>

namespace headroom::inline HEADROOM_ISA {

/// Multi-head latent attention over cached latents [c, k_pe], in its two forms. With W_UK[h] and
/// W_UV[h] the rows of the up-projection that belong to head h, and q = [q_nope, q_pe]:
///
///   expanded   k_h = [W_UK[h] c, k_pe],  v_h = W_UV[h] c,  out_h = softmax(scale q_h.k_h) v_h
///   absorbed   q~_h = [W_UK[h]^T q_nope, q_pe],  z_h = softmax(scale q~_h.[c, k_pe]) c,
///              out_h = W_UV[h] z_h
///
/// They are equal, since (W_UK c).q = c.(W_UK^T q). Expanded is multi-head attention with narrow
/// keys that must first be made: right for a prompt. Absorbed is multi-query attention with Q_heads
/// rows over the cache as it is: right for decode. The scale is that of the expanded form in both,
/// 1 / sqrt(nope + rope) unless given; a checkpoint with YaRN wants another, see rope_scaling.hpp.
///
/// Any parameter may be Eigen::Dynamic and is then given to the constructor. An object holds sizes
/// only.
///
/// \tparam Q_heads      query heads
/// \tparam latent_rank  width of a latent c
/// \tparam nope         width of a query's position-free part
/// \tparam rope         width of a query's rotary part and of k_pe
/// \tparam value        width of a head's output
/// \source DeepSeek-V2, arXiv 2405.04434, section 2.1 and appendix C
template <int Q_heads, int latent_rank, int nope, int rope, int value>
class mla {
  static_assert(detail::check_mla<Q_heads, latent_rank, nope, rope, value>());

 public:
  /// Every size is a template parameter.
  mla() requires(detail::all_fixed<Q_heads, latent_rank, nope, rope, value>)
      : mla(Q_heads, latent_rank, nope, rope, value) {}

  /// Every size is given, as read from a model file; those fixed in the template must agree.
  ///
  /// \throws std::invalid_argument naming the size that is wrong
  mla(Index query_heads, Index rank, Index nope_width, Index rope_width, Index value_width)
      : Q_heads_(query_heads, "mla", "Q_heads"),
        rank_(rank, "mla", "latent_rank"),
        nope_(nope_width, "mla", "nope"),
        rope_(rope_width, "mla", "rope", 0),
        value_(value_width, "mla", "value") {}

  Index q_heads() const { return Q_heads_.value(); }
  Index rank() const { return rank_.value(); }
  Index nope_width() const { return nope_.value(); }
  Index rope_width() const { return rope_.value(); }
  Index value_width() const { return value_.value(); }

  /// Attends in the form that costs fewer flops for these lengths (see mla_shape): expanded for
  /// long chunks of queries, absorbed for a few.
  ///
  /// \param q        [q_len, Q_heads, nope + rope], each head [q_nope, q_pe], q_pe rotated; of the
  ///                 scalar of out
  /// \param latents  a latent_cache, or any source of one group with keys [c, k_pe] and values c
  /// \param up       W_UK and W_UV, [Q_heads * (nope + value), latent_rank]: per head its nope rows
  ///                 of W_UK, then its value rows of W_UV (a checkpoint's kv_b_proj); no bias
  /// \param out      [q_len, Q_heads, value], written; overlaps no input
  /// \param mask, options, executor  as in attention; lse is the same in both forms
  /// \throws std::invalid_argument naming the argument whose shape disagrees; nothing is written
  template <viewable Query, kv_source Source, class Weight, viewable Out,
            attention_mask Mask = none, executor Executor = serial>
  void operator()(const Query& q, const Source& latents, const linear<Weight>& up, Out&& out,
                  const Mask& mask = {}, const attention_options<scalar_of<Out>>& options = {},
                  const Executor& executor = {}) const {
    const view<const scalar_of<Query>> queries = detail::view_argument("mla", "q", q, q_heads());
    const Index q_len = queries.tokens(), kv_len = latents.tokens();
    const mla_shape shape{.hidden = 0,
                          .Q_heads = q_heads(),
                          .latent_rank = rank(),
                          .nope_dim = nope_width(),
                          .rope_dim = rope_width(),
                          .v_dim = value_width()};
    if (shape.expanded_is_cheaper(q_len, kv_len, all_pairs(q_len, kv_len)))
      expanded(q, latents, up, out, mask, options, executor);
    else
      absorbed(q, latents, up, out, mask, options, executor);
  }

  /// The same over a cache around another, such as a ring_cache<latent_cache<...>>.
  template <viewable Query, wrapping_cache Cache, class Weight, viewable Out,
            attention_mask Mask = none, executor Executor = serial>
  void operator()(const Query& q, const Cache& latents, const linear<Weight>& up, Out&& out,
                  const Mask& mask = {}, const attention_options<scalar_of<Out>>& options = {},
                  const Executor& executor = {}) const {
    const auto attend = [&](const auto& queries, const auto& source, auto&& output,
                            const auto&... others) {
      (*this)(queries, source, up, output, others...);
    };
    latents.attend(attend, q, out, mask, options, executor);
  }

  /// The expanded form: keys and values of each head are made tile by tile, each tile once.
  /// \cost  q_len * kv_len * 2 Q_heads (nope + rope + value) flops, and kv_len * 2 latent_rank
  ///        Q_heads (nope + value) for the expansion; memory linear in q_len per thread
  template <viewable Query, kv_source Source, class Weight, viewable Out,
            attention_mask Mask = none, executor Executor = serial>
  void expanded(const Query& q, const Source& latents, const linear<Weight>& up, Out&& out,
                const Mask& mask = {}, const attention_options<scalar_of<Out>>& options = {},
                const Executor& executor = {}) const {
    const auto call = checked(q, latents, up, out, mask, options);
    detail::attend_expanded(call, latents, up, nope_width(), value_width(), executor);
  }

  /// The absorbed form: multi-query attention in the latent space.
  /// \cost  q_len * kv_len * 2 Q_heads (2 latent_rank + rope) flops, and q_len * 2 latent_rank
  ///        Q_heads (nope + value) for queries and outputs; memory linear in q_len
  template <viewable Query, kv_source Source, class Weight, viewable Out,
            attention_mask Mask = none, executor Executor = serial>
  void absorbed(const Query& q, const Source& latents, const linear<Weight>& up, Out&& out,
                const Mask& mask = {}, const attention_options<scalar_of<Out>>& options = {},
                const Executor& executor = {}) const {
    const auto call = checked(q, latents, up, out, mask, options);
    detail::attend_absorbed(call, latents, up, nope_width(), value_width(), executor);
  }

 private:
  template <class Query, class Source, class Weight, class Out, class Mask>
  auto checked(const Query& q, const Source& latents, const linear<Weight>& up, Out& out,
               const Mask& mask, const attention_options<scalar_of<Out>>& options) const {
    using Scalar = scalar_of<Out>;
    static_assert(detail::compute_scalar<Scalar> && std::same_as<scalar_of<Query>, Scalar>,
                  "mla: q and out must both be of float or both be of double");
    detail::require(latents.groups() == 1, "mla: latents have ", latents.groups(),
                    " groups, expected 1");
    detail::require(latents.v_dim() == rank(), "mla: latents have width ", latents.v_dim(),
                    ", expected latent_rank = ", rank());
    detail::require(latents.qk_dim() == rank() + rope_width(),
                    "mla: latents with rotary keys have "
                    "width ",
                    latents.qk_dim(), ", expected latent_rank + rope = ", rank() + rope_width());
    const Index rows = q_heads() * (nope_width() + value_width());
    detail::require(up.out_features() == rows && up.in_features() == rank(), "mla: up is [",
                    up.out_features(), ", ", up.in_features(),
                    "], expected [Q_heads * (nope + value), latent_rank] = [", rows, ", ", rank(),
                    "]");
    detail::require(up.bias() == nullptr, "mla: up has a bias, expected none");
    const view<const Scalar> queries = detail::input_argument<Scalar>("mla", "q", q, q_heads());
    const view<Scalar> output = detail::output_argument<Scalar>("mla", "out", out, q_heads());
    // Every head has keys and values of its own: multi-head attention, as far as shapes go.
    return detail::checked_call({"mla", q_heads(), q_heads(), nope_width() + rope_width(),
                                 value_width(), "nope + rope", "value"},
                                queries, output, Index(latents.tokens()), mask, options);
  }

  [[no_unique_address]] detail::extent<Q_heads> Q_heads_;
  [[no_unique_address]] detail::extent<latent_rank> rank_;
  [[no_unique_address]] detail::extent<nope> nope_;
  [[no_unique_address]] detail::extent<rope> rope_;
  [[no_unique_address]] detail::extent<value> value_;
};

}  // namespace headroom::inline HEADROOM_ISA
