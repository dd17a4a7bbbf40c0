// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/attention.hpp>
#include <headroom/attention_path.hpp>
#include <headroom/cost.hpp>
#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/latent_batch.hpp>
#include <headroom/detail/nesting.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/linear.hpp>
#include <headroom/mask.hpp>
#include <headroom/options.hpp>
#include <headroom/parallel.hpp>
#include <headroom/view.hpp>

#include <concepts>
#include <type_traits>

namespace headroom::inline HEADROOM_ISA {

template <int Q_heads, int latent_rank, int nope, int rope, int value>
class mla;

namespace detail {

// Whether a call compiles, of an mla of these sizes.
template <class Query, class Latents, class Out, int latent_rank, int rope_width>
inline constexpr bool supports_latents = false;
template <viewable Query, attended Latents, viewable Out, int latent_rank, int rope_width>
inline constexpr bool supports_latents<Query, Latents, Out, latent_rank, rope_width> = [] {
  using Stored = typename source_in<Latents>::type;
  constexpr bool chooses_only = kv_source<Latents> || keeps_some<Latents>;
  return compute_scalar<scalar_of<Out>> && std::same_as<scalar_of<Query>, scalar_of<Out>> &&
         has_rows<Query> && writable_rows<Out> && chooses_only &&
         may_have_sizes<Stored>(1, fixed_sum(latent_rank, rope_width), latent_rank);
}();

// The sizes of a call of mla. Every head has keys and values of its own: multi-head attention, as
// far as queries and output go.
//
// \tparam known_absorbed           what the compiler knows of the call, absorbed
// \tparam latent_rank, rope_width  and of latents, so that none of other widths may fit
template <known_sizes known_absorbed, int latent_rank, int rope_width>
struct latent_sizes : call_sizes {
  Index rank;
  Index rope;

  static constexpr known_sizes absorbed = known_absorbed;

  template <class Latents>
  static constexpr bool may_fit = may_have_sizes<Latents>(1, fixed_sum(latent_rank, rope_width),
                                                          latent_rank);
};

template <int Q_heads, int latent_rank, int nope, int rope, int value>
auto sizes_of(const char* who, const mla<Q_heads, latent_rank, nope, rope, value>& core) {
  constexpr known_sizes absorbed = known_latent_sizes<Q_heads, latent_rank, rope>();
  return latent_sizes<absorbed, latent_rank, rope>{
      {who, core.q_heads(), core.q_heads(), core.nope_width() + core.rope_width(),
       core.value_width(), "nope + rope", "value"},
      core.rank(),
      core.rope_width()};
}

// A source has the widths of latents and rotary keys.
template <known_sizes absorbed, int latent_rank, int rope_width, kv_source Source>
void check_source(const latent_sizes<absorbed, latent_rank, rope_width>& sizes,
                  const Source& latents) {
  static_assert(latent_sizes<absorbed, latent_rank, rope_width>::template may_fit<Source>,
                "mla: the cache has another latent_rank or rope than the attention, or keys and "
                "values in place of latents");
  require(latents.groups() == 1, sizes.who, ": latents have ", latents.groups(),
          " groups, expected 1");
  require(latents.v_dim() == sizes.rank, sizes.who, ": latents have width ", latents.v_dim(),
          ", expected latent_rank = ", sizes.rank);
  require(latents.qk_dim() == sizes.rank + sizes.rope, sizes.who,
          ": latents with rotary keys have width ", latents.qk_dim(),
          ", expected latent_rank + rope = ", sizes.rank + sizes.rope);
}

// The up-projection of these sizes.
template <std::derived_from<call_sizes> Sizes, class Weight>
up_projection<Weight> checked_up(const Sizes& sizes, const linear<Weight>& up) {
  const Index nope = sizes.qk_dim - sizes.rope, value = sizes.v_dim;
  const Index rows = sizes.Q_heads * (nope + value);
  require(up.out_features() == rows && up.in_features() == sizes.rank, sizes.who, ": up is [",
          up.out_features(), ", ", up.in_features(),
          "], expected [Q_heads * (nope + value), latent_rank] = [", rows, ", ", sizes.rank, "]");
  require(up.bias() == nullptr, sizes.who, ": up has a bias, expected none");
  return {up, nope, value};
}

}  // namespace detail

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
/// Latents in bfloat16 may be multiplied as they are, absorbed, which rounds q~ and weights as
/// attention says.
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

  /// Whether a call of these lengths is computed in the expanded form: where that costs fewer
  /// flops, every query seeing every key (see mla_shape). Long chunks of queries are, a few are
  /// not.
  bool expands(Index q_len, Index kv_len) const {
    const mla_shape shape{.hidden = 0,
                          .Q_heads = q_heads(),
                          .latent_rank = rank(),
                          .nope_dim = nope_width(),
                          .rope_dim = rope_width(),
                          .v_dim = value_width()};
    return shape.expanded_is_cheaper(q_len, kv_len, all_pairs(q_len, kv_len));
  }

  /// Attends in the form that costs fewer flops for these lengths: expanded where expands() says
  /// so, else absorbed. For many sequences in one call see mla_batch.hpp.
  ///
  /// \param q        [q_len, Q_heads, nope + rope], each head [q_nope, q_pe], q_pe rotated; of the
  ///                 scalar of out
  /// \param latents  a latent_cache, or any source of one group with keys [c, k_pe] and values c
  /// \param up       W_UK and W_UV, [Q_heads * (nope + value), latent_rank]: per head its nope rows
  ///                 of W_UK, then its value rows of W_UV (a checkpoint's kv_b_proj); no bias
  /// \param out      [q_len, Q_heads, value], written; overlaps no input
  /// \param mask, options, executor  as in attention; lse is the same in both forms
  /// \throws std::invalid_argument naming the argument whose shape disagrees; nothing is written
  /// \error  as attention over keys and values that are made in out's scalar, each a sum of
  ///         latent_rank products; absorbed, q~, sums of nope, and outputs, of latent_rank, are
  ///         rounded in their place
  /// \post   as in attention, of latents in place of keys and values
  /// \cost   that of the form taken
  template <viewable Query, kv_source Source, class Weight, viewable Out,
            attention_mask Mask = none, executor Executor = serial>
  void operator()(const Query& q, const Source& latents, const linear<Weight>& up, Out&& out,
                  const Mask& mask = {}, const attention_options<scalar_of<Out>>& options = {},
                  const Executor& executor = {}) const {
    const Index q_len = detail::view_argument("mla", "q", q, q_heads()).tokens();
    attend(expands(q_len, latents.tokens()), q, latents, up, out, mask, options, executor);
  }

  /// The same over a cache around another, such as a ring_cache<latent_cache<...>>.
  template <viewable Query, wrapping_cache Cache, class Weight, viewable Out,
            attention_mask Mask = none, executor Executor = serial>
  void operator()(const Query& q, const Cache& latents, const linear<Weight>& up, Out&& out,
                  const Mask& mask = {}, const attention_options<scalar_of<Out>>& options = {},
                  const Executor& executor = {}) const {
    constexpr bool keeps_latents = detail::keeps_some<Cache>;  // gcc would explain a concept
    static_assert(keeps_latents,
                  "mla: the cache must hold latents, as they are or in a ring_cache; a "
                  "rotated_cache or scaled_cache holds keys and values");
    if constexpr (keeps_latents) {  // no second error after the one above
      const auto attend = [&](const auto& queries, const auto& source, auto&& output,
                              const auto&... others) {
        (*this)(queries, source, up, output, others...);
      };
      latents.attend(attend, q, out, mask, options, executor);
    }
  }

  /// The expanded form: keys and values of each head are made tile by tile, each tile once.
  ///
  /// \param q, latents, up, out, mask, options, executor  as above, latents of a source
  /// \throws, \error, \post  as above
  /// \cost  q_len * kv_len * 2 Q_heads (nope + rope + value) flops, and kv_len * 2 latent_rank
  ///        Q_heads (nope + value) for the expansion; memory linear in q_len per thread
  template <viewable Query, kv_source Source, class Weight, viewable Out,
            attention_mask Mask = none, executor Executor = serial>
  void expanded(const Query& q, const Source& latents, const linear<Weight>& up, Out&& out,
                const Mask& mask = {}, const attention_options<scalar_of<Out>>& options = {},
                const Executor& executor = {}) const {
    attend(true, q, latents, up, out, mask, options, executor);
  }

  /// The absorbed form: multi-query attention in the latent space.
  ///
  /// \param q, latents, up, out, mask, options, executor  as above, latents of a source
  /// \throws, \error, \post  as above
  /// \cost  q_len * kv_len * 2 Q_heads (2 latent_rank + rope) flops, and q_len * 2 latent_rank
  ///        Q_heads (nope + value) for queries and outputs; memory linear in q_len
  template <viewable Query, kv_source Source, class Weight, viewable Out,
            attention_mask Mask = none, executor Executor = serial>
  void absorbed(const Query& q, const Source& latents, const linear<Weight>& up, Out&& out,
                const Mask& mask = {}, const attention_options<scalar_of<Out>>& options = {},
                const Executor& executor = {}) const {
    attend(false, q, latents, up, out, mask, options, executor);
  }

  /// Whether a call compiles for these types of q, of a source of latents, and of out; as of
  /// attention.
  template <class Query, class Latents, class Out>
  static constexpr bool supports = detail::supports_latents<Query, Latents, Out, latent_rank, rope>;

  /// How the attention in a call of q_len queries over latents is computed, in the form that
  /// expands() says; where it is absorbed, what comes before and after has an item for each head.
  ///
  /// \throws std::invalid_argument if q_len is negative or the latents have other sizes
  template <class Scalar = float, kv_source Source>
  attention_path path_for(Index q_len, const Source& latents) const {
    static_assert(detail::compute_scalar<Scalar>, "path_for<Scalar>: Scalar is float or double");
    const auto sizes = detail::sizes_of("mla", *this);
    detail::check_source(sizes, latents);
    if (q_len > 0 && expands(q_len, latents.tokens()))
      return detail::expanded_path<Scalar, Source>(q_heads());
    const detail::fixed_call_sizes<sizes.absorbed> absorbed{
        {"mla", q_heads(), 1, rank() + rope_width(), rank()}};
    return detail::path_of<Scalar>(absorbed, q_len, latents);
  }

  /// The same over a ring_cache: of the latents that a call reads.
  template <class Scalar = float, detail::keeps_some Cache>
  attention_path path_for(Index q_len, const Cache& latents) const {
    return path_for<Scalar>(q_len, latents.kept(q_len));
  }

 private:
  template <class Query, class Source, class Weight, class Out, class Mask, class Executor>
  void attend(bool expand, const Query& q, const Source& latents, const linear<Weight>& up,
              Out& out, const Mask& mask, const attention_options<scalar_of<Out>>& options,
              const Executor& executor) const {
    if constexpr (detail::check_latent_scalars<Query, Out>()) {
      const auto sizes = detail::sizes_of("mla", *this);
      detail::check_source(sizes, latents);
      const auto projection = detail::checked_up(sizes, up);
      const auto queries = detail::queries_of(sizes, q);
      const auto output = detail::output_of(sizes, out);
      const auto call =
          detail::checked_call(sizes, queries, output, Index(latents.tokens()), mask, options);
      using Call = std::remove_const_t<decltype(call)>;
      detail::scratch memory;
      detail::latent_batch<Call, Source, Weight, sizes.absorbed> batch(1, projection, memory);
      expand ? batch.add_expanded(call, latents) : batch.add_absorbed(call, latents);
      batch.run(executor);
    }
  }

  [[no_unique_address]] detail::extent<Q_heads> Q_heads_;
  [[no_unique_address]] detail::extent<latent_rank> rank_;
  [[no_unique_address]] detail::extent<nope> nope_;
  [[no_unique_address]] detail::extent<rope> rope_;
  [[no_unique_address]] detail::extent<value> value_;
};

}  // namespace headroom::inline HEADROOM_ISA
