// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/cache_around.hpp>
#include <headroom/detail/cache_checks.hpp>
#include <headroom/detail/channel_scales.hpp>
#include <headroom/detail/channel_shares.hpp>
#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/nesting.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/mask.hpp>
#include <headroom/options.hpp>
#include <headroom/parallel.hpp>
#include <headroom/view.hpp>

#include <cmath>
#include <concepts>
#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

namespace headroom::inline HEADROOM_ISA {

namespace detail {

// A codec may say that what is too large for it is clipped, such as saturating_int8.
template <class C>
concept saturating_codec = requires {
  requires C::saturates;
};

}  // namespace detail

/// A cache with a scale for each channel of a key: where a few channels are much larger than the
/// others, in all tokens alike, those others are no longer stored in steps of their size. It is
/// used as the cache in it:
///
///   scaled_cache<kv_cache<int8_rows, 8, 128>> cache(4096);
///   cache.append(k, v);
///   attend(q, cache, out, causal{});
///
/// With s the scales of a group, number by number,
///
///   keys k / s;  q.k = (q s).(k / s);  and where values have scales, values v / s, out s
///
/// so a row of q is multiplied before the call, and kernels read the cache as ever. Scales are
/// given, as found offline, or taken from the first tokens that are appended, which a prompt should
/// be: max |k| of a channel, as a share of the largest of its group, what is not finite left out. A
/// share is at least 1 / sqrt(qk_dim): channels below that together err no more than the largest
/// alone, and if one of them grows later, keys err at most sqrt(qk_dim) times as much as without
/// scales.
///
/// A codec that has a scale for each row beside these, such as int8_rows, never clips: a token
/// beyond what was seen at first has larger steps. One that clips, such as saturating_int8, needs
/// scales that are given. Scales that were taken stay until the cache is empty, which then takes
/// new ones. Given scales stay, and a token is then the same bits whatever is appended beside it.
///
/// A ring keeps its last tokens, and a cache on pages is made on its pool and forks, under the same
/// scales: scaled_cache<paged_cache<...>> cache(pool). As with rotated_cache, attend_batch does not
/// take it, but a layer's batch does; a rotated_cache goes around it, but not the other way round.
/// There are no scales for latents.
///
/// \tparam Cache  a kv_cache, a paged_cache, or a ring_cache of one, or a cache with their append
/// \cost   a multiplication for each number of q and a division for each of k; where values have
///         scales, also for each of out and of v. 4 KV_groups qk_dim bytes for a cache, and for
///         scales of values 4 KV_groups v_dim
/// \error  as attention over what the cache in it stores, times the scales; and a rounding more for
///         each number of q and k, and then of out and v. From int8_rows k_d comes back within
///         s_d max_c |k_c / s_c| (1/254 + 6e-7), or as 0 where that maximum is below 1.5e-36
/// \source KIVI, arXiv 2402.02750, section 3.1, on the channels of keys; SmoothQuant, 2211.10438
template <detail::attended Cache>
class scaled_cache : public detail::cache_around<Cache> {
  static_assert(detail::check_scaled<Cache>());
  using Around = detail::cache_around<Cache>;
  using Around::stored_;
  using Source = typename detail::source_in<Cache>::type;

 public:
  using Around::Around;
  using Around::groups;
  using Around::qk_dim;
  using Around::tokens;
  using Around::v_dim;

  /// On pages: a sequence of the same tokens on the same pages, under the same scales, see
  /// paged_cache.
  scaled_cache fork() const requires(detail::is_on_pages<Cache>()) {
    return scaled_cache(*this, stored_.fork());
  }

  /// Scales for all tokens to come, in place of those that would be taken from the first.
  ///
  /// \param scales  [1, KV_groups, qk_dim], positive: a view or an Eigen row-major matrix
  /// \throws std::invalid_argument if the shape disagrees, a scale is not positive, or subnormal,
  ///         or infinite, or the cache holds tokens; it is then unchanged
  template <viewable Scales>
  void set_key_scales(const Scales& scales) {
    key_scales_ = {numbers("key scales", scales, qk_dim()), true};
  }

  /// The same for values, which have no scales unless given.
  ///
  /// \param scales  [1, KV_groups, v_dim]
  template <viewable Scales>
  void set_value_scales(const Scales& scales) {
    value_scales_ = {numbers("value scales", scales, v_dim()), true};
  }

  /// The scales of keys, [1, KV_groups, qk_dim]; 1 before they are given or taken, those of its
  /// last tokens where a cache has been emptied since, no row in what was moved from.
  view<const float> key_scales() const {
    return tokens_major(key_scales_.data(), key_scales_.empty() ? 0 : 1, groups(), qk_dim());
  }
  /// The scales of values, [1, KV_groups, v_dim]; no row where none were given.
  view<const float> value_scales() const {
    return tokens_major(value_scales_.data(), value_scales_.empty() ? 0 : 1, groups(), v_dim());
  }

  /// Adds tokens at the end, over their scales, then converted to what is stored.
  ///
  /// \param k  [tokens, KV_groups, qk_dim]
  /// \param v  [tokens, KV_groups, v_dim]
  /// \throws as the cache in it does, and std::invalid_argument where a codec that clips has no
  ///         scales; the cache is then unchanged
  template <viewable Keys, viewable Values>
  void append(const Keys& k, const Values& v) {
    require_scales<typename Source::KeyCodec>("key", key_scales_.given());
    require_scales<typename Source::ValueCodec>("value", !value_scales_.empty());
    const auto keys = argument("k", k, groups(), qk_dim());
    detail::scratch memory;
    if (has_key_scales())
      return append_over(over<computed<Keys>>(keys, key_scales_.data(), memory), v, memory);
    float* const scales = memory.take<float>(groups() * qk_dim());
    detail::channel_shares(keys, scales);
    append_over(over<computed<Keys>>(keys, scales, memory), v, memory);
    if (tokens() == 0) return;
    key_scales_.take(scales, groups() * qk_dim());
  }

  /// Writes keys in place of those from token `first` on, over their scales.
  ///
  /// \param k  [tokens, KV_groups, qk_dim]
  /// \throws std::invalid_argument if a shape disagrees, or if there are fewer tokens, and as the
  ///         cache in it does; the cache is then unchanged
  template <viewable Keys>
  void write_keys(Index first, const Keys& k) requires(detail::writes_keys<Cache>) {
    const auto keys = argument("k", k, groups(), qk_dim());
    detail::require_written("scaled_cache", "keys", first, keys.tokens(), tokens());
    detail::scratch memory;
    stored_.write_keys(first, over<computed<Keys>>(keys, key_scales_.data(), memory));
  }

  /// What attention does with this cache in place of a source: calls itself over the cache in it,
  /// with q times the scales.
  template <class Attention, viewable Query, viewable Out, attention_mask Mask, executor Executor>
  void attend(const Attention& attention, const Query& q, Out&& out, const Mask& mask,
              const attention_options<scalar_of<Out>>& options, const Executor& executor) const {
    using Scalar = scalar_of<Out>;
    detail::scratch memory;
    const auto given = argument("q", q, attention.q_heads(), qk_dim());
    const view<Scalar> queries = room_for<Scalar>(given, memory);
    executor(queries.heads(), [&](Index h) {
      for (Index t = 0; t < queries.tokens(); ++t)
        Eigen::ArrayX<Scalar>::Map(queries.row(t, h), queries.dim()) =
            Eigen::ArrayX<scalar_of<Query>>::Map(given.row(t, h), queries.dim())
                .template cast<Scalar>();
      prepare_queries(queries, h);
    });
    attention(view<const Scalar>(queries), stored_, out, mask, options, executor);
    if (value_scales_.empty()) return;
    const view<Scalar> rows =
        detail::output_argument<Scalar>("attention", "out", out, attention.q_heads());
    executor(rows.heads(), [&](Index h) { restore_outputs(rows, h); });
  }

  /// What attend does to queries [q_len, Q_heads, qk_dim] before the call and to outputs [q_len,
  /// Q_heads, v_dim] after it, in place, of one head and unchecked: see wrapping_cache.
  template <class Scalar>
  void prepare_queries(const view<Scalar>& q, Index h) const {
    multiply(q, h, key_scales_);
  }
  template <class Scalar>
  void restore_outputs(const view<Scalar>& out, Index h) const {
    multiply(out, h, value_scales_);
  }

  /// Makes keys of group g that are stored, [tokens, KV_groups, qk_dim], what was appended, in
  /// place and unchecked: see context_shift.hpp.
  template <class Scalar>
  void restore_keys(const view<Scalar>& k, Index g) const {
    multiply(k, g, key_scales_);
  }

 private:
  // A fork.
  scaled_cache(const scaled_cache& other, Cache&& stored)
      : Around(std::move(stored)),
        key_scales_(other.key_scales_),
        value_scales_(other.value_scales_) {}

  // Numbers are scaled in double where they are double, else in float.
  template <class T>
  using computed = std::conditional_t<std::same_as<scalar_of<T>, double>, double, float>;

  template <viewable Rows>
  static view<const scalar_of<Rows>> argument(const char* name, const Rows& given, Index heads,
                                              Index dim) {
    const view<const scalar_of<Rows>> rows = detail::given_rows("scaled_cache", name, given, heads);
    detail::require(rows.heads() == heads && rows.dim() == dim, "scaled_cache: ", name,
                    " of shape [", rows.tokens(), ", ", rows.heads(), ", ", rows.dim(),
                    "], expected [tokens, ", heads, ", ", dim, "]");
    return rows;
  }

  template <class Codec>
  static void require_scales(const char* what, bool given) {
    if constexpr (detail::saturating_codec<Codec>)
      detail::require(given, "scaled_cache: the codec of ", what, "s clips, expected set_", what,
                      "_scales before the first token");
  }

  template <viewable Scales>
  std::vector<float> numbers(const char* name, const Scales& given, Index dim) const {
    const auto scales = argument(name, given, groups(), dim);
    detail::require(scales.tokens() == 1, "scaled_cache: ", name, " have ", scales.tokens(),
                    " rows, expected 1");
    detail::require(tokens() == 0, "scaled_cache: ", name, " were given after ", tokens(),
                    " tokens, expected before the first");
    std::vector<float> result;
    for (Index g = 0; g < groups(); ++g)
      for (Index d = 0; d < dim; ++d) {
        result.push_back(static_cast<float>(scales(0, g, d)));
        detail::require(std::isnormal(result.back()) && result.back() > 0, "scaled_cache: ", name,
                        " of group ", g, ", channel ", d, " are ", result.back(),
                        ", expected a positive number of full precision");
      }
    return result;
  }

  template <class Keys, class Values>
  void append_over(const Keys& keys, const Values& v, detail::scratch& memory) {
    if (value_scales_.empty()) return stored_.append(keys, v);
    stored_.append(keys, over<computed<Values>>(argument("v", v, groups(), v_dim()),
                                                value_scales_.data(), memory));
  }

  // Those taken go with the last token.
  bool has_key_scales() const { return key_scales_.given() || tokens() > 0; }

  // Of head h of so many: the group itself where these are groups.
  Index group(Index h, Index heads) const { return h * groups() / heads; }

  template <class Scalar>
  void multiply(const view<Scalar>& rows, Index h, const detail::channel_scales& scales) const {
    if (scales.empty()) return;
    const Index dim = rows.dim();
    const auto of_group = Eigen::ArrayXf::Map(scales.data() + group(h, rows.heads()) * dim, dim);
    for (Index t = 0; t < rows.tokens(); ++t)
      Eigen::ArrayX<Scalar>::Map(rows.row(t, h), dim) *= of_group.template cast<Scalar>();
  }

  // Memory for rows of such a shape.
  template <class Scalar, class From>
  static view<Scalar> room_for(const view<const From>& rows, detail::scratch& memory) {
    return tokens_major(memory.take<Scalar>(rows.tokens() * rows.heads() * rows.dim()),
                        rows.tokens(), rows.heads(), rows.dim());
  }

  // Keys or values over the scales of their groups.
  template <class Scalar, class From>
  static view<const Scalar> over(const view<const From>& rows, const float* scales,
                                 detail::scratch& memory) {
    const view<Scalar> result = room_for<Scalar>(rows, memory);
    const Index dim = rows.dim();
    for (Index t = 0; t < rows.tokens(); ++t)
      for (Index g = 0; g < rows.heads(); ++g)
        Eigen::ArrayX<Scalar>::Map(result.row(t, g), dim) =
            Eigen::ArrayX<From>::Map(rows.row(t, g), dim).template cast<Scalar>() /
            Eigen::ArrayXf::Map(scales + g * dim, dim).template cast<Scalar>();
    return result;
  }

  detail::channel_scales key_scales_ = {
      std::vector<float>(static_cast<std::size_t>(groups() * qk_dim()), 1.f), false};
  detail::channel_scales value_scales_;
};

}  // namespace headroom::inline HEADROOM_ISA
