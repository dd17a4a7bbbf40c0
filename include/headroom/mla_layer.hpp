// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/cached_layer.hpp>
#include <headroom/detail/checked_call.hpp>
#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/linear.hpp>
#include <headroom/mla.hpp>
#include <headroom/mla_batch.hpp>
#include <headroom/mla_cascade.hpp>
#include <headroom/rms_norm.hpp>
#include <headroom/rope.hpp>
#include <headroom/view.hpp>

#include <optional>
#include <span>
#include <utility>

namespace headroom::inline HEADROOM_ISA {

/// The weights of a layer of latent attention, where the checkpoint has them (DeepSeek's names in
/// parentheses); nothing is copied. Queries come either from q alone, or from q_down, q_norm, q_up.
template <class Weight>
struct mla_weights {
  linear<Weight> q;       ///< [Q_heads * (nope + rope), hidden] (q_proj); per head nope, then rope
  linear<Weight> q_down;  ///< [query_rank, hidden] (q_a_proj)
  std::span<const Weight> q_norm = {};   ///< [query_rank] (q_a_layernorm)
  linear<Weight> q_up;                   ///< [Q_heads * (nope + rope), query_rank] (q_b_proj)
  linear<Weight> kv_down;                ///< [latent_rank + rope, hidden] (kv_a_proj_with_mqa)
  std::span<const Weight> kv_norm = {};  ///< [latent_rank] (kv_a_layernorm)
  linear<Weight> kv_up;    ///< [Q_heads * (nope + value), latent_rank] (kv_b_proj); see mla
  linear<Weight> o;        ///< [out_features, Q_heads * value] (o_proj)
  double norm_eps = 1e-6;  ///< added to the mean square of both norms, see rms_norm
};

/// What else a checkpoint's configuration says about a layer of latent attention.
template <class Scalar>
struct mla_layer_options {
  std::optional<rope> rotary = std::nullopt;   ///< of the rope parts; DeepSeek pairs interleaved
  std::optional<Scalar> scale = std::nullopt;  ///< 1 / sqrt(nope + rope) if not given; with YaRN
                                               ///< see deepseek_yarn_magnitude
};

/// A layer of multi-head latent attention as it stands in DeepSeek's models:
///
///   c, k_pe = RMSNorm(x W_DKV^T), RoPE(x W_KR^T)          [tokens, latent_rank], [tokens, rope]
///   cache   = [cache; c, k_pe]
///   q       = x W_Q^T, or RMSNorm(x W_DQ^T) W_UQ^T        [tokens, Q_heads, nope + rope]
///   out     = mla([q_nope, RoPE(q_pe)], cache) W_O^T      [tokens, out_features]
///
/// The calls are those of cached_layer, over a latent_cache. The form, expanded or absorbed,
/// is chosen call by call.
///
/// \tparam Q_heads, latent_rank, nope, rope_width, value  as in mla; any may be Eigen::Dynamic
/// \tparam Weight                                         scalar of the checkpoint
/// \tparam Scalar                                         of activations, and of what is computed
/// \source DeepSeek-V2, arXiv 2405.04434, equations (37) to (47)
template <int Q_heads, int latent_rank, int nope, int rope_width, int value, class Weight,
          class Scalar = float>
class mla_layer
    : public cached_layer<mla_layer<Q_heads, latent_rank, nope, rope_width, value, Weight, Scalar>,
                          Scalar> {
 public:
  using core = mla<Q_heads, latent_rank, nope, rope_width, value>;

  /// \param sizes    of the attention, such as mla<16, 512, 128, 64, 128>()
  /// \param weights  must outlive the layer
  /// \throws std::invalid_argument naming the weight whose shape disagrees, or the option
  mla_layer(const core& sizes, const mla_weights<Weight>& weights,
            mla_layer_options<Scalar> options = {})
      : core_(sizes), weights_(weights), options_(std::move(options)) {
    const Index heads = core_.q_heads(), rank = core_.rank();
    const Index qk = core_.nope_width() + core_.rope_width();
    const bool has_rank = bool(weights.q_down) && bool(weights.q_up);
    detail::require(bool(weights.q) != has_rank && bool(weights.q_down) == bool(weights.q_up),
                    "mla_layer: expected either q, or both q_down and q_up");
    detail::require(bool(weights.kv_down) && bool(weights.kv_up) && bool(weights.o),
                    "mla_layer: kv_down, kv_up or o is absent, expected all three");
    if (has_rank) {
      const Index query_rank = weights.q_down.out_features();
      check("q_up", weights.q_up, heads * qk, query_rank);
      check_norm("q_norm", weights.q_norm, query_rank);
    } else {
      check("q", weights.q, heads * qk, hidden());
    }
    check("kv_down", weights.kv_down, rank + core_.rope_width(), hidden());
    check_norm("kv_norm", weights.kv_norm, rank);
    check("kv_up", weights.kv_up, heads * (core_.nope_width() + core_.value_width()), rank);
    detail::require(weights.kv_up.bias() == nullptr, "mla_layer: kv_up has a bias, expected none");
    check("o", weights.o, weights.o.out_features(), attended_width());
    detail::check_scale("mla_layer", options_.scale);
    detail::require(
        !options_.rotary || options_.rotary->rotary_dim() == core_.rope_width(),
        "mla_layer: rotary has rotary_dim = ", options_.rotary ? options_.rotary->rotary_dim() : 0,
        ", expected rope = ", core_.rope_width());
  }

  const core& sizes() const { return core_; }
  /// Width of x.
  Index hidden() const {
    return weights_.q ? weights_.q.in_features() : weights_.q_down.in_features();
  }
  /// What attention gives for a token, all heads together, and output() takes.
  Index attended_width() const { return core_.q_heads() * core_.value_width(); }
  /// The output projection, W_O.
  const linear<Weight>& output() const { return weights_.o; }

 private:
  friend cached_layer<mla_layer, Scalar>;
  using base = cached_layer<mla_layer, Scalar>;

  template <class Executor>
  std::pair<view<Scalar>, view<Scalar>> new_keys(const view<const Scalar>& x,
                                                 detail::scratch& memory,
                                                 const Executor& executor) const {
    const auto both = base::projected(weights_.kv_down, x, 1, core_.rank() + core_.rope_width(),
                                      memory, executor);
    const auto latents = both.slice_dim(0, core_.rank());
    rms_norm(latents, weights_.kv_norm, weights_.norm_eps);
    return {latents, both.slice_dim(core_.rank(), both.dim())};
  }
  void rotate_keys(const std::pair<view<Scalar>, view<Scalar>>& keys,
                   const token_positions& positions) const {
    if (options_.rotary) (*options_.rotary)(keys.second, positions);
  }

  template <class Executor>
  view<Scalar> queries(const view<const Scalar>& x, detail::scratch& memory,
                       const Executor& executor) const {
    const Index heads = core_.q_heads(), qk = core_.nope_width() + core_.rope_width();
    if (weights_.q) return base::projected(weights_.q, x, heads, qk, memory, executor);
    const Index query_rank = weights_.q_down.out_features();
    const auto low = base::projected(weights_.q_down, x, 1, query_rank, memory, executor);
    rms_norm(low, weights_.q_norm, weights_.norm_eps);
    return base::projected(weights_.q_up, low, heads, qk, memory, executor);
  }
  void rotate_queries(const view<Scalar>& q, const token_positions& positions) const {
    if (options_.rotary) (*options_.rotary)(q.slice_dim(core_.nope_width(), q.dim()), positions);
  }

  template <class Source, class Mask, class Executor>
  void attend_to(const view<Scalar>& q, const Source& source, const view<Scalar>& attended,
                 const Mask& mask, const Executor& executor) const {
    core_(q, source, weights_.kv_up, attended, mask, {.scale = options_.scale}, executor);
  }
  template <class Offsets, class Sequences, class Executor>
  void attend_to_all(const view<Scalar>& q, const Offsets& offsets, const Sequences& sequences,
                     const view<Scalar>& attended, const Executor& executor) const {
    attend_batch(core_, q, offsets, sequences, weights_.kv_up, attended, {.scale = options_.scale},
                 executor);
  }

  template <class Offsets, class Prefixes, class Sequences, class Executor>
  void attend_to_shared(const view<Scalar>& q, const Offsets& offsets, const Prefixes& prefixes,
                        const Sequences& sequences, const view<Scalar>& attended,
                        const Executor& executor) const {
    attend_cascade(core_, q, offsets, prefixes, sequences, weights_.kv_up, attended,
                   {.scale = options_.scale}, executor);
  }

  static void check(const char* name, const linear<Weight>& weights, Index rows, Index columns) {
    detail::require(weights.out_features() == rows && weights.in_features() == columns,
                    "mla_layer: ", name, " is [", weights.out_features(), ", ",
                    weights.in_features(), "], expected [", rows, ", ", columns, "]");
  }

  static void check_norm(const char* name, std::span<const Weight> gain, Index expected) {
    detail::require(static_cast<Index>(gain.size()) == expected, "mla_layer: ", name, " has ",
                    gain.size(), " numbers, expected ", expected);
  }

  core core_;
  mla_weights<Weight> weights_;
  mla_layer_options<Scalar> options_;
};

template <int Q_heads, int latent_rank, int nope, int rope_width, int value, class Weight>
mla_layer(const mla<Q_heads, latent_rank, nope, rope_width, value>&, const mla_weights<Weight>&)
    -> mla_layer<Q_heads, latent_rank, nope, rope_width, value, Weight>;
template <int Q_heads, int latent_rank, int nope, int rope_width, int value, class Weight,
          class Scalar>
mla_layer(const mla<Q_heads, latent_rank, nope, rope_width, value>&, const mla_weights<Weight>&,
          mla_layer_options<Scalar>)
    -> mla_layer<Q_heads, latent_rank, nope, rope_width, value, Weight, Scalar>;

}  // namespace headroom::inline HEADROOM_ISA
