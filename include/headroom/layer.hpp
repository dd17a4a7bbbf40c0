// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/attention.hpp>
#include <headroom/batch.hpp>
#include <headroom/cached_layer.hpp>
#include <headroom/cascade.hpp>
#include <headroom/detail/checked_call.hpp>
#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/linear.hpp>
#include <headroom/rms_norm.hpp>
#include <headroom/rope.hpp>
#include <headroom/view.hpp>

#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace headroom::inline HEADROOM_ISA {

/// The weights of an attention layer, where the checkpoint has them; nothing is copied.
template <class Weight>
struct attention_weights {
  linear<Weight> q;  ///< [Q_heads * qk_dim, hidden]
  linear<Weight> k;  ///< [KV_groups * qk_dim, hidden]; absent where another layer's cache is used
  linear<Weight> v;  ///< [KV_groups * v_dim, hidden]; absent likewise
  linear<Weight> o;  ///< [out_features, Q_heads * v_dim]

  /// Gains of an RMSNorm of queries and keys before the rotation; empty is none. As wide as a head
  /// (each head on its own, as in Qwen3) or as a whole projection (all heads together, as in
  /// OLMo 2). Referred to, as the rest is: they outlive the layer.
  std::span<const Weight> q_norm = {};
  std::span<const Weight> k_norm = {};
  double norm_eps = 1e-6;  ///< added to the mean square of these norms, see rms_norm
};

/// What else a checkpoint's configuration says about a layer of attention.
template <class Scalar>
struct layer_options {
  std::optional<rope> rotary = std::nullopt;   ///< rotary embedding of queries and keys, or none
  std::optional<Scalar> scale = std::nullopt;  ///< 1 / sqrt(qk_dim) if not given
  Scalar softcap = 0;                          ///< see attention_options
  std::vector<Scalar> sinks = {};              ///< [Q_heads] or empty, see attention_options
};

/// A layer of attention as it stands in a model:
///
///   q, k, v = x W_Q^T + b_Q, x W_K^T + b_K, x W_V^T + b_V     [tokens, heads, dim]
///   q, k    = RoPE(RMSNorm(q)), RoPE(RMSNorm(k))              where the model has them
///   cache   = [cache; k, v]
///   out     = attention(q, cache) W_O^T + b_O                 [tokens, out_features]
///
/// The calls are those of cached_layer: operator() for prefill and decode, batch for several
/// sequences, append and attend for cross-attention and for layers that share a cache.
///
/// \tparam Q_heads, KV_groups, qk_dim, v_dim  as in attention; any may be Eigen::Dynamic
/// \tparam Weight                             scalar of the checkpoint
/// \tparam Scalar                             of activations, and of what is computed
template <int Q_heads, int KV_groups, int qk_dim, int v_dim, class Weight, class Scalar = float>
class attention_layer
    : public cached_layer<attention_layer<Q_heads, KV_groups, qk_dim, v_dim, Weight, Scalar>,
                          Scalar> {
 public:
  using core = attention<Q_heads, KV_groups, qk_dim, v_dim>;

  /// \param sizes    of the attention, such as attention<32, 8, 128>()
  /// \param weights  must outlive the layer
  /// \throws std::invalid_argument naming the weight whose shape disagrees, or the option
  attention_layer(const core& sizes, const attention_weights<Weight>& weights,
                  layer_options<Scalar> options = {})
      : core_(sizes), weights_(weights), options_(std::move(options)) {
    const Index heads = core_.q_heads(), groups = core_.kv_groups();
    const Index qk = core_.qk_width(), v = core_.v_width();
    detail::require(bool(weights.q) && bool(weights.o),
                    "attention_layer: q and o are absent, expected at least these two");
    detail::require(bool(weights.k) == bool(weights.v),
                    "attention_layer: one of k and v is absent, expected both or neither");
    check_rows("q", weights.q, heads * qk);
    check_rows("k", weights.k, groups * qk);
    check_rows("v", weights.v, groups * v);
    detail::require(!weights.v || weights.v.in_features() == weights.k.in_features(),
                    "attention_layer: v has ", weights.v.in_features(), " in_features, expected ",
                    weights.k.in_features(), " as k");
    detail::require(weights.o.in_features() == heads * v, "attention_layer: o has ",
                    weights.o.in_features(),
                    " in_features, expected Q_heads * v_dim = ", heads * v);
    check_norm("q_norm", weights.q_norm, qk, heads * qk);
    check_norm("k_norm", weights.k_norm, qk, groups * qk);
    detail::require(!options_.rotary || options_.rotary->rotary_dim() <= qk,
                    "attention_layer: rotary has rotary_dim = ",
                    options_.rotary ? options_.rotary->rotary_dim() : 0,
                    ", expected at most qk_dim = ", qk);
    detail::require(options_.sinks.empty() || static_cast<Index>(options_.sinks.size()) == heads,
                    "attention_layer: ", options_.sinks.size(),
                    " sinks were given, expected Q_heads = ", heads);
    detail::check_scale("attention_layer", options_.scale);
    detail::check_softcap("attention_layer", options_.softcap);
  }

  const core& sizes() const { return core_; }
  /// Width of x.
  Index hidden() const { return weights_.q.in_features(); }
  /// What attention gives for a token, all heads together, and output() takes.
  Index attended_width() const { return core_.q_heads() * core_.v_width(); }
  /// The output projection, W_O.
  const linear<Weight>& output() const { return weights_.o; }

 private:
  friend cached_layer<attention_layer, Scalar>;

  using base = cached_layer<attention_layer, Scalar>;

  template <class Executor>
  std::pair<view<Scalar>, view<Scalar>> new_keys(const view<const Scalar>& x,
                                                 detail::scratch& memory,
                                                 const Executor& executor) const {
    detail::require(bool(weights_.k),
                    "attention_layer: this layer has no k and v, expected a call of attend over "
                    "another layer's cache");
    const Index groups = core_.kv_groups();
    const auto k = base::projected(weights_.k, x, groups, core_.qk_width(), memory, executor);
    normalise(k, weights_.k_norm);
    return {k, base::projected(weights_.v, x, groups, core_.v_width(), memory, executor)};
  }
  void rotate_keys(const std::pair<view<Scalar>, view<Scalar>>& keys,
                   const token_positions& positions) const {
    rotate_queries(keys.first, positions);
  }

  template <class Executor>
  view<Scalar> queries(const view<const Scalar>& x, detail::scratch& memory,
                       const Executor& executor) const {
    const auto q =
        base::projected(weights_.q, x, core_.q_heads(), core_.qk_width(), memory, executor);
    normalise(q, weights_.q_norm);
    return q;
  }
  void rotate_queries(const view<Scalar>& q, const token_positions& positions) const {
    if (options_.rotary) (*options_.rotary)(q, positions);
  }

  template <class Source, class Mask, class Executor>
  void attend_to(const view<Scalar>& q, const Source& source, const view<Scalar>& attended,
                 const Mask& mask, const Executor& executor) const {
    core_(q, source, attended, mask, of_attention(), executor);
  }
  template <class Offsets, class Sequences, class Executor>
  void attend_to_all(const view<Scalar>& q, const Offsets& offsets, const Sequences& sequences,
                     const view<Scalar>& attended, const Executor& executor) const {
    attend_batch(core_, q, offsets, sequences, attended, of_attention(), executor);
  }
  template <class Offsets, class Prefixes, class Sequences, class Executor>
  void attend_to_shared(const view<Scalar>& q, const Offsets& offsets, const Prefixes& prefixes,
                        const Sequences& sequences, const view<Scalar>& attended,
                        const Executor& executor) const {
    attend_cascade(core_, q, offsets, prefixes, sequences, attended, of_attention(), executor);
  }
  attention_options<Scalar> of_attention() const {
    return {.scale = options_.scale, .softcap = options_.softcap, .sinks = options_.sinks};
  }

  void normalise(const view<Scalar>& x, std::span<const Weight> gain) const {
    if (gain.empty()) return;
    const bool per_head = static_cast<Index>(gain.size()) == x.dim();
    rms_norm(per_head ? x : tokens_major(x.data(), x.tokens(), 1, x.heads() * x.dim()), gain,
             weights_.norm_eps);
  }

  static void check_rows(const char* name, const linear<Weight>& weights, Index expected) {
    detail::require(!weights || weights.out_features() == expected, "attention_layer: ", name,
                    " has ", weights.out_features(),
                    " out_features, expected heads * width = ", expected);
  }

  static void check_norm(const char* name, std::span<const Weight> gain, Index head, Index whole) {
    const Index size = static_cast<Index>(gain.size());
    detail::require(size == 0 || size == head || size == whole, "attention_layer: ", name, " has ",
                    size, " numbers, expected the width of a head, ", head, ", or of all heads, ",
                    whole);
  }

  core core_;
  attention_weights<Weight> weights_;
  layer_options<Scalar> options_;
};

template <int Q_heads, int KV_groups, int qk_dim, int v_dim, class Weight>
attention_layer(const attention<Q_heads, KV_groups, qk_dim, v_dim>&,
                const attention_weights<Weight>&)
    -> attention_layer<Q_heads, KV_groups, qk_dim, v_dim, Weight>;
template <int Q_heads, int KV_groups, int qk_dim, int v_dim, class Weight, class Scalar>
attention_layer(const attention<Q_heads, KV_groups, qk_dim, v_dim>&,
                const attention_weights<Weight>&, layer_options<Scalar>)
    -> attention_layer<Q_heads, KV_groups, qk_dim, v_dim, Weight, Scalar>;

}  // namespace headroom::inline HEADROOM_ISA
