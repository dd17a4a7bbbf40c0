// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/codec.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/view.hpp>

#include <concepts>
#include <type_traits>
#include <utility>

namespace headroom::inline HEADROOM_ISA {

/// Consecutive tokens of one group that lie at a constant distance in memory.
///
/// Rows are aligned as a Storage is, and no further; those of a joined_codec as a SecondStorage is,
/// too, where that takes more.
template <class Storage>
struct token_run {
  const Storage* rows;  ///< stored row of the first token
  Index stride;         ///< Storage elements from one token's row to the next
  Index tokens;         ///< at least 1, at most as many as were asked for
};

/// Where keys and values come from: a view, a contiguous, paged, ring or latent cache, or a type
/// of the user's. A kernel asks for the tokens [begin, end) of a group and gets a run from `begin`
/// on: of at least one token and never of more than it asked for. After a shorter run it asks again
/// for the rest: longer runs are faster.
///
///   KeyCodec, ValueCodec                          how stored rows become numbers, see codec
///   tokens(), groups(), qk_dim(), v_dim()         sizes, of any signed type: kernels subtract them
///   keys(g, begin, end), values(g, begin, end)    -> token_run, 0 <= begin < end <= tokens()
///   one_run          optional; if true, every run is as long as was asked for, and kernels have
///                    less to follow
///   values_in_keys   optional; if true, values() gives the rows that keys() gives, a value is the
///                    first v_dim numbers of its key, and each row is read once
///   fixed_groups, fixed_qk_dim, fixed_v_dim       optional, together: what the compiler knows of
///                    the sizes, each Eigen::Dynamic where it does not; a call that cannot fit them
///                    then does not compile
///
/// Members are called by the executor's threads, several at once, and by the calling one: they
/// write nothing that is shared, and what they answer, the memory of runs included, stays as it is
/// until the call is over. Kernels may ask for, and read, tokens that no query sees. What members
/// throw is left to the executor, see parallel.hpp.
template <class S>
concept kv_source = codec<typename S::KeyCodec> && codec<typename S::ValueCodec> &&
    requires(const S& s, Index g, Index begin, Index end) {
  { s.tokens() } -> std::signed_integral;
  { s.groups() } -> std::signed_integral;
  { s.qk_dim() } -> std::signed_integral;
  { s.v_dim() } -> std::signed_integral;
  { s.keys(g, begin, end) } -> std::same_as<token_run<typename S::KeyCodec::Storage>>;
  { s.values(g, begin, end) } -> std::same_as<token_run<typename S::ValueCodec::Storage>>;
};

namespace detail {

template <class Source>
inline constexpr bool has_one_run = false;
template <class Source>
requires(Source::one_run) inline constexpr bool has_one_run<Source> = true;

template <class Source>
inline constexpr bool has_values_in_keys = false;
template <class Source>
requires(Source::values_in_keys) inline constexpr bool has_values_in_keys<Source> = true;

// Whether a source may have such sizes, as far as the compiler knows: Eigen::Dynamic is any.
constexpr bool may_equal(int a, int b) {
  return a == Eigen::Dynamic || b == Eigen::Dynamic || a == b;
}
constexpr int fixed_sum(int a, int b) {
  return a == Eigen::Dynamic || b == Eigen::Dynamic ? Eigen::Dynamic : a + b;
}
template <class Source>
constexpr bool may_have_sizes(int groups, int qk_dim, int v_dim) {
  if constexpr (requires { Source::fixed_groups; })
    return may_equal(Source::fixed_groups, groups) && may_equal(Source::fixed_qk_dim, qk_dim) &&
           may_equal(Source::fixed_v_dim, v_dim);
  else
    return true;
}

template <class C>
using stored_in = std::remove_cvref_t<decltype(std::declval<const C&>().stored())>;

// Whether there is a source in the cache, or in a cache in it.
template <class C>
inline constexpr bool wraps_source = false;
template <class C>
requires requires {
  typename stored_in<C>;
}
inline constexpr bool wraps_source<C> = kv_source<stored_in<C>> || wraps_source<stored_in<C>>;

}  // namespace detail

/// A cache around another, stored(), that takes part in the call of attention by its member attend:
/// see rotated_cache, scaled_cache and ring_cache. One may be in another: rotated_cache says which.
/// visit_scores comes through attend as well, with an empty view, of no heads, in place of out.
///
/// A layer's batch has one call for all its sequences, over what is in their caches, where attend
/// does no more than to choose what is read, as a ring's kept, or to change queries and outputs:
///
///   prepare_queries(q, h)    makes the queries of head h, of a view [q_len, Q_heads, qk_dim] of
///                            float or double, what the call needs
///   restore_outputs(out, h)  makes the outputs of head h, of [q_len, Q_heads, v_dim], what they
///                            would be without the cache around
///
/// Both in place, with nothing to check, and from several threads for heads of their own.
template <class C>
concept wrapping_cache = detail::wraps_source<C>;

namespace detail {

// What attention takes in place of keys and values.
template <class S>
concept attended = kv_source<S> || wrapping_cache<S>;

}  // namespace detail

/// Two views as a source: k [kv_len, KV_groups, qk_dim] and v [kv_len, KV_groups, v_dim], in
/// place, with any strides.
///
/// \pre    Both have as many tokens, and as many heads; that is checked where attention is given
///         views, and not here.
template <class KeyScalar, class ValueScalar>
class view_source {
 public:
  using KeyCodec = scalar_codec<KeyScalar>;
  using ValueCodec = scalar_codec<ValueScalar>;
  static constexpr bool one_run = true;

  view_source(view<const KeyScalar> k, view<const ValueScalar> v) : k_(k), v_(v) {}

  Index tokens() const { return k_.tokens(); }
  Index groups() const { return k_.heads(); }
  Index qk_dim() const { return k_.dim(); }
  Index v_dim() const { return v_.dim(); }

  token_run<KeyScalar> keys(Index g, Index begin, Index end) const {
    return {k_.row(begin, g), k_.token_stride(), end - begin};
  }
  token_run<ValueScalar> values(Index g, Index begin, Index end) const {
    return {v_.row(begin, g), v_.token_stride(), end - begin};
  }

 private:
  view<const KeyScalar> k_;
  view<const ValueScalar> v_;
};

}  // namespace headroom::inline HEADROOM_ISA
