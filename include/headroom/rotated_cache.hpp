// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/cache_around.hpp>
#include <headroom/detail/cache_checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/hadamard.hpp>
#include <headroom/detail/nesting.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/mask.hpp>
#include <headroom/options.hpp>
#include <headroom/parallel.hpp>
#include <headroom/view.hpp>

#include <algorithm>
#include <concepts>
#include <type_traits>
#include <utility>

namespace headroom::inline HEADROOM_ISA {

/// A cache of rotated keys and values: what a few channels hold that are much larger than the
/// others is spread over all, and few bits are then enough for each. It is used as the cache in it:
///
///   rotated_cache<kv_cache<int4_blocks, 8, 128>> cache(4096);
///   cache.append(k, v);
///   attend(q, cache, out, causal{});
///
/// With H the Hadamard matrix over the root of its size, which is symmetric and orthogonal:
///
///   keys k H, values v H;  q.k = (q H).(k H);  sum_j p_j v_j = (sum_j p_j v_j H) H
///
/// so each row of q is rotated before the call, and each row of out after it; kernels read the
/// cache as ever. A width that is no power of two is rotated in blocks of the largest that divides
/// it; an odd one is not at all. Rotating keys belongs after RoPE, as it does where they are
/// cached.
///
/// A NaN or infinity in one channel of a key or value reaches the others.
///
/// The last tokens of a context without end are kept rotated by a ring in it:
///
///   rotated_cache<ring_cache<kv_cache<int4_blocks, 8, 128>>> cache({.window = 4096});
///
/// which appends, forgets and refuses as the ring does, and attends as it would over tokens that
/// were rotated before. There is no kept(): what stored().kept() gives to attend_batch are rotated
/// keys and values, and queries and outputs are to be rotated for it. A layer's batch does that.
///
/// Latents are not rotated: a row of theirs is a key and a value at once.
///
/// On pages it is made on the pool, and forks: rotated_cache<paged_cache<...>> cache(pool).
///
/// \tparam Cache  a kv_cache, a paged_cache, a cache with the append of these, or a ring_cache or
///                scaled_cache of one
/// \cost   dim log2(dim) flops more for each row of k, v, q and out
/// \error  as attention over what the cache in it stores, and log2(dim) roundings more
/// \source QuaRot, arXiv 2404.00456, section 4
template <detail::attended Cache>
class rotated_cache : public detail::cache_around<Cache> {
  static_assert(detail::check_rotated<Cache>());
  using Around = detail::cache_around<Cache>;
  using Around::stored_;

 public:
  using Around::Around;
  using Around::groups;

  /// On pages: a sequence of the same tokens on the same pages, see paged_cache.
  rotated_cache fork() const requires(detail::is_on_pages<Cache>()) {
    return rotated_cache(stored_.fork());
  }

  /// Adds tokens at the end, rotated, then converted to what is stored.
  ///
  /// \param k, v  as for the cache in it
  /// \throws as it does; the cache is then unchanged
  template <viewable Keys, viewable Values>
  void append(const Keys& k, const Values& v) {
    detail::scratch memory;
    stored_.append(rotated<computed<Keys>>("k", k, groups(), serial(), memory),
                   rotated<computed<Values>>("v", v, groups(), serial(), memory));
  }

  /// Writes keys in place of those from token `first` on, rotated.
  ///
  /// \param k  [tokens, KV_groups, qk_dim]
  /// \throws as the cache in it does; the cache is then unchanged
  template <viewable Keys>
  void write_keys(Index first, const Keys& k) requires(detail::writes_keys<Cache>) {
    detail::scratch memory;
    stored_.write_keys(first, rotated<computed<Keys>>("k", k, groups(), serial(), memory));
  }

  /// What attention does with this cache in place of a source: calls itself over the cache in it,
  /// between the two rotations.
  template <class Attention, viewable Query, viewable Out, attention_mask Mask, executor Executor>
  void attend(const Attention& attention, const Query& q, Out&& out, const Mask& mask,
              const attention_options<scalar_of<Out>>& options, const Executor& executor) const {
    using Scalar = scalar_of<Out>;
    detail::scratch memory;
    attention(rotated<Scalar>("q", q, attention.q_heads(), executor, memory), stored_, out, mask,
              options, executor);
    const view<Scalar> rows =
        detail::output_argument<Scalar>("attention", "out", out, attention.q_heads());
    executor(rows.heads(), [&](Index h) { restore_outputs(rows, h); });
  }

  /// What attend does to queries [q_len, Q_heads, qk_dim] before the call and to outputs [q_len,
  /// Q_heads, v_dim] after it, in place, of one head and unchecked: see wrapping_cache.
  template <class Scalar>
  void prepare_queries(const view<Scalar>& q, Index h) const {
    rotate_head(q, h);
  }
  template <class Scalar>
  void restore_outputs(const view<Scalar>& out, Index h) const {
    rotate_head(out, h);
  }

  /// Makes keys of group g that are stored, [tokens, KV_groups, qk_dim], what was appended, in
  /// place and unchecked: see context_shift.hpp.
  template <class Scalar>
  void restore_keys(const view<Scalar>& k, Index g) const {
    rotate_head(k, g);
  }

 private:
  // There and back: H is its own inverse.
  template <class Scalar>
  static void rotate_head(const view<Scalar>& rows, Index h) {
    for (Index t = 0; t < rows.tokens(); ++t)
      detail::rotate_by_hadamard(rows.row(t, h), rows.dim());
  }

  // Numbers are rotated in double where they are double, else in float.
  template <class T>
  using computed = std::conditional_t<std::same_as<scalar_of<T>, double>, double, float>;

  template <class Scalar, class Rows, class Executor>
  static view<const Scalar> rotated(const char* name, const Rows& rows, Index heads,
                                    const Executor& executor, detail::scratch& memory) {
    const view<const scalar_of<Rows>> from = detail::given_rows("rotated_cache", name, rows, heads);
    const auto to = tokens_major(memory.take<Scalar>(from.tokens() * from.heads() * from.dim()),
                                 from.tokens(), from.heads(), from.dim());
    executor(from.heads(), [&](Index h) {
      for (Index t = 0; t < from.tokens(); ++t) {
        std::transform(from.row(t, h), from.row(t, h) + from.dim(), to.row(t, h),
                       [](const auto& x) { return static_cast<Scalar>(x); });
        detail::rotate_by_hadamard(to.row(t, h), to.dim());
      }
    });
    return to;
  }

  // A fork.
  explicit rotated_cache(Cache&& stored) : Around(std::move(stored)) {}
};

}  // namespace headroom::inline HEADROOM_ISA
