// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/attention_path.hpp>
#include <headroom/detail/checked_call.hpp>
#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/dispatch.hpp>
#include <headroom/detail/nesting.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/mask.hpp>
#include <headroom/options.hpp>
#include <headroom/parallel.hpp>
#include <headroom/view.hpp>

#include <concepts>

namespace headroom::inline HEADROOM_ISA {

template <int Q_heads, int KV_groups, int qk_dim, int v_dim>
class attention;

namespace detail {

// Whether a call compiles, of an attention of these sizes.
template <class Query, class Source, class Out, int groups, int qk_width, int v_width>
inline constexpr bool supports = false;
template <viewable Query, attended Source, viewable Out, int groups, int qk_width, int v_width>
inline constexpr bool supports<Query, Source, Out, groups, qk_width, v_width> = [] {
  using Stored = typename source_in<Source>::type;
  return storage_scalar<scalar_of<Query>> && compute_scalar<scalar_of<Out>> && has_rows<Query> &&
         writable_rows<Out> && may_have_sizes<Stored>(groups, qk_width, v_width);
}();

// The sizes of an attention, for the checks of an entry point.
template <int Q_heads, int KV_groups, int qk_dim, int v_dim>
auto sizes_of(const char* who, const attention<Q_heads, KV_groups, qk_dim, v_dim>& heads) {
  constexpr known_sizes known = known_sizes_of<Q_heads, KV_groups, qk_dim, v_dim>();
  return fixed_call_sizes<known, KV_groups, qk_dim, v_dim>{
      {who, heads.q_heads(), heads.kv_groups(), heads.qk_width(), heads.v_width()}};
}

}  // namespace detail

/// Scaled dot-product attention: Q_heads query heads share KV_groups key/value heads. Multi-head
/// (KV_groups = Q_heads), grouped-query and multi-query (KV_groups = 1) are this one template.
///
///   out[t,h] = sum_j softmax_j(score(t,h,j)) v[j,g],   g = h / heads_per_group
///   score    = bias(cap(scale * dot(q[t,h], k[j,g])))  over the keys j that the mask shows
///
/// Any parameter may be Eigen::Dynamic and is then given to the constructor. q_len and kv_len are
/// free and may be 0. An object holds sizes only: share it between threads, copy it, build it anew.
/// Where the compiler knows heads and groups, it compiles fewer kernels; results are the same bits.
///
/// Computed in float, or in double if `out` is. Two exceptions, for speed:
///
/// - Where keys and values are both bfloat16 and the code is compiled for a CPU that multiplies
///   those faster (AVX512-BF16 and no AMX: Zen 4 and later), queries and weights may be rounded to
///   bfloat16 as well, to eight bits each, so that queries in bfloat16 stay what they are; sums are
///   in float. Where there are at most 80 keys to see, weights keep 16 bits. A single row of a
///   group, as multi-head attention decodes, rounds nothing.
/// - Where both are whole numbers of 8 bits (int8_rows, int8_blocks, saturating_int8), up to 8 rows
///   of a group, as in decoding, are multiplied by those numbers as they are: with AVX512-VNNI if
///   qk_dim is a multiple of 32 and v_dim of 16, with AVX2 (and no AVX-512) if they are of 16 (of
///   int8_blocks 32) and 8. A row of queries, and the weights of 32 keys at a time, are then
///   rounded to whole numbers of 16 bits, by at most a 65534th of their largest.
///
/// path_for tells which of it a call takes.
///
/// \tparam Q_heads    query heads
/// \tparam KV_groups  key/value heads; divides Q_heads
/// \tparam qk_dim     width of a query and of a key
/// \tparam v_dim      width of a value; qk_dim unless given
/// \source Vaswani et al., arXiv 1706.03762, equation (1); groups: Ainslie et al., arXiv
///         2305.13245, section 2.2; tiles and running softmax: Dao et al., arXiv 2205.14135
template <int Q_heads, int KV_groups, int qk_dim = Eigen::Dynamic, int v_dim = qk_dim>
class attention {
  static_assert(detail::check_attention<Q_heads, KV_groups, qk_dim, v_dim>());

 public:
  /// Every size is a template parameter.
  attention() requires(detail::all_fixed<Q_heads, KV_groups, qk_dim, v_dim>)
      : attention(Q_heads, KV_groups, qk_dim, v_dim) {}

  /// Heads are template parameters, widths are given.
  explicit attention(Index qk_width) requires(detail::all_fixed<Q_heads, KV_groups>)
      : attention(Q_heads, KV_groups, qk_width, v_dim > 0 ? v_dim : qk_width) {}

  /// The same, of values of another width.
  attention(Index qk_width, Index v_width) requires(detail::all_fixed<Q_heads, KV_groups>)
      : attention(Q_heads, KV_groups, qk_width, v_width) {}

  /// Heads are given, and one width: values are as wide as the template says, or as keys.
  attention(Index query_heads, Index groups, Index qk_width)
      : attention(query_heads, groups, qk_width, v_dim > 0 ? v_dim : qk_width) {}

  /// Every size is given, as read from a model file; those fixed in the template must agree.
  ///
  /// \throws std::invalid_argument naming the size that is wrong
  attention(Index query_heads, Index groups, Index qk_width, Index v_width)
      : Q_heads_(query_heads, "attention", "Q_heads"),
        KV_groups_(groups, "attention", "KV_groups"),
        qk_dim_(qk_width, "attention", "qk_dim"),
        v_dim_(v_width, "attention", "v_dim") {
    detail::require(query_heads % groups == 0, "attention: KV_groups = ", groups,
                    " does not divide Q_heads = ", query_heads);
  }

  Index q_heads() const { return Q_heads_.value(); }
  Index kv_groups() const { return KV_groups_.value(); }
  Index heads_per_group() const { return q_heads() / kv_groups(); }
  Index qk_width() const { return qk_dim_.value(); }
  Index v_width() const { return v_dim_.value(); }

  /// Attends to keys and values given as views.
  ///
  /// Each of q, k, v and out is a view of that shape, or an Eigen row-major matrix whose columns
  /// are [heads * dim]. q may be of any storage scalar, k and v each of float, double, half or
  /// bfloat16; what is computed in is out's scalar, float or double.
  ///
  /// \param q         [q_len, Q_heads, qk_dim]
  /// \param k         [kv_len, KV_groups, qk_dim]
  /// \param v         [kv_len, KV_groups, v_dim]
  /// \param out       [q_len, Q_heads, v_dim], written; overlaps no input
  /// \param mask      which keys a query sees, and what is added to its scores: mask.hpp. All of
  ///                  them if not given: the queries of a prompt want causal{}
  /// \param options   scale, softcap, sinks, first position, where the lse goes: options.hpp
  /// \param executor  what runs the parts of the call, one by one or on threads: parallel.hpp
  /// \throws std::invalid_argument naming the argument whose shape disagrees, or out if it begins
  ///         where q does; nothing is written
  /// \error  |out - exact| stays below a bound that is derived from out's scalar, number by number:
  ///         attention_error_bound in tests/support/error_bound.hpp, which assumes of a score
  ///         modification a slope of at most 1, and that q times scale is finite, and so is each
  ///         sum of kv_len values times e^8: values are divided by the sum of weights at the end
  /// \post   A query that sees no key gets zeros and an lse of minus infinity. Numbers behind the
  ///         mask, NaN included, do not reach the result; a NaN that is seen does.
  /// \cost   2 * q_len * kv_len * Q_heads * (qk_dim + v_dim) flops less what the mask hides; memory
  ///         of a tile per thread, and where keys are split, of at most 32 unmerged states of each
  ///         row; kept from call to call
  template <viewable Query, viewable Key, viewable Value, viewable Out, attention_mask Mask = none,
            executor Executor = serial>
  void operator()(const Query& q, const Key& k, const Value& v, Out&& out, const Mask& mask = {},
                  const attention_options<scalar_of<Out>>& options = {},
                  const Executor& executor = {}) const {
    static_assert(
        detail::storage_scalar<scalar_of<Key>> && detail::storage_scalar<scalar_of<Value>>,
        "attention: k and v must be of float, double, Eigen::half or Eigen::bfloat16");
    const view<const scalar_of<Key>> keys = detail::view_argument("attention", "k", k, kv_groups());
    const view<const scalar_of<Value>> values =
        detail::view_argument("attention", "v", v, kv_groups());
    detail::require(values.tokens() == keys.tokens(), "attention: v has ", values.tokens(),
                    " tokens, expected kv_len = ", keys.tokens(), " as k");
    detail::require(values.heads() == kv_groups(), "attention: v has ", values.heads(),
                    " heads, expected KV_groups = ", kv_groups());
    (*this)(q, view_source<scalar_of<Key>, scalar_of<Value>>(keys, values), out, mask, options,
            executor);
  }

  /// Attends to the keys and values of a cache or of any other source, as above.
  ///
  /// \param source  of keys [kv_len, KV_groups, qk_dim] and values [kv_len, KV_groups, v_dim]: a
  ///                cache, or a type of your own, see kv_source.hpp
  template <viewable Query, kv_source Source, viewable Out, attention_mask Mask = none,
            executor Executor = serial>
  void operator()(const Query& q, const Source& source, Out&& out, const Mask& mask = {},
                  const attention_options<scalar_of<Out>>& options = {},
                  const Executor& executor = {}) const {
    if constexpr (detail::check_scalars<Query, Out>()) {
      const auto sizes = detail::sizes_of("attention", *this);
      detail::check_source(sizes, source);
      const auto queries = detail::queries_of(sizes, q);
      const auto output = detail::output_of(sizes, out);
      const auto call =
          detail::checked_call(sizes, queries, output, Index(source.tokens()), mask, options);
      detail::dispatch(call, source, executor);
    }
  }

  /// The same where the cache changes queries and outputs on their way, such as rotated_cache.
  template <viewable Query, wrapping_cache Cache, viewable Out, attention_mask Mask = none,
            executor Executor = serial>
  void operator()(const Query& q, const Cache& cache, Out&& out, const Mask& mask = {},
                  const attention_options<scalar_of<Out>>& options = {},
                  const Executor& executor = {}) const {
    cache.attend(*this, q, out, mask, options, executor);
  }

  /// Behind out stands a mask, then options, then an executor; what is no mask there is refused. Of
  /// a function mask(f) makes one, or score_mod(f) where it gives scores. Compilers show the line
  /// with the name, so that it says this, too.
  template <viewable Query, detail::attended Source, viewable Out, detail::no_mask NoMask,
            class Executor = serial>
  void operator()(  // no mask: make one of a function by mask(f), or by score_mod(f)
      const Query&, const Source&, Out&&, const NoMask&,
      const attention_options<scalar_of<Out>>& = {}, const Executor& = {}) const = delete;
  template <viewable Query, viewable Key, viewable Value, viewable Out, detail::no_mask NoMask,
            class Executor = serial>
  void operator()(  // no mask: make one of a function by mask(f), or by score_mod(f)
      const Query&, const Key&, const Value&, Out&&, const NoMask&,
      const attention_options<scalar_of<Out>>& = {}, const Executor& = {}) const = delete;

  /// Whether a call compiles for these types of q, of a source of keys and values, and of out: a
  /// constraint for your own templates. (The call itself fails with a sentence that says why.)
  template <class Query, class Source, class Out>
  static constexpr bool supports = detail::supports<Query, Source, Out, KV_groups, qk_dim, v_dim>;

  /// How a call of q_len queries over a source is computed, whose out is of Scalar.
  ///
  /// \throws std::invalid_argument if q_len is negative or the source has other sizes
  template <class Scalar = float, kv_source Source>
  attention_path path_for(Index q_len, const Source& source) const {
    static_assert(detail::compute_scalar<Scalar>, "path_for<Scalar>: Scalar is float or double");
    const auto sizes = detail::sizes_of("attention", *this);
    detail::check_source(sizes, source);
    return detail::path_of<Scalar>(sizes, q_len, source);
  }

  /// The same over a cache around another. What it does to queries and outputs itself, before and
  /// after, has an item for each head.
  template <class Scalar = float, wrapping_cache Cache>
  attention_path path_for(Index q_len, const Cache& cache) const {
    if constexpr (detail::keeps_some<Cache>)
      return path_for<Scalar>(q_len, cache.kept(q_len));
    else
      return path_for<Scalar>(q_len, cache.stored());
  }

 private:
  [[no_unique_address]] detail::extent<Q_heads> Q_heads_;
  [[no_unique_address]] detail::extent<KV_groups> KV_groups_;
  [[no_unique_address]] detail::extent<qk_dim> qk_dim_;
  [[no_unique_address]] detail::extent<v_dim> v_dim_;
};

/// Multi-head attention: every query head has its own keys and values.
template <int heads, int qk_dim = Eigen::Dynamic, int v_dim = qk_dim>
using mha = attention<heads, heads, qk_dim, v_dim>;

/// Grouped-query attention.
template <int Q_heads, int KV_groups, int qk_dim = Eigen::Dynamic, int v_dim = qk_dim>
using gqa = attention<Q_heads, KV_groups, qk_dim, v_dim>;

/// Multi-query attention: all query heads share one key/value head.
template <int Q_heads, int qk_dim = Eigen::Dynamic, int v_dim = qk_dim>
using mqa = attention<Q_heads, 1, qk_dim, v_dim>;

}  // namespace headroom::inline HEADROOM_ISA
