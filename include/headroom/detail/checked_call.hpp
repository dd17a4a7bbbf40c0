// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/attention_path.hpp>
#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/dispatch.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/mask.hpp>
#include <headroom/options.hpp>
#include <headroom/view.hpp>

#include <cmath>
#include <concepts>
#include <optional>
#include <stdexcept>

// What every entry point does before it computes: check what it was given against its sizes, and
// make of it the call that the kernels get.

namespace headroom::inline HEADROOM_ISA::detail {

/// The sizes of a call, and what the caller's template calls its widths.
struct call_sizes {
  caller who;
  Index Q_heads;
  Index KV_groups;
  Index qk_dim;
  Index v_dim;
  const char* qk_name = "qk_dim";
  const char* v_name = "v_dim";

  static constexpr known_sizes known = known_sizes();
};

/// The same where the compiler knows some of them, and with them that no source of others may fit.
template <known_sizes sizes, int groups = Eigen::Dynamic, int qk_width = Eigen::Dynamic,
          int v_width = Eigen::Dynamic>
struct fixed_call_sizes : call_sizes {
  static constexpr known_sizes known = sizes;

  template <class Source>
  static constexpr bool may_fit = may_have_sizes<Source>(groups, qk_width, v_width);
};

/// Whether attention computes with queries and outputs of these types; an error says why not.
template <viewable Query, viewable Out>
consteval bool check_scalars() {
  constexpr bool computed_in = compute_scalar<scalar_of<Out>>;
  constexpr bool stored_in = storage_scalar<scalar_of<Query>>;
  static_assert(computed_in,
                "attention: out must be of float or double, the scalars that are computed in");
  static_assert(stored_in, "attention: q must be of float, double, Eigen::half or Eigen::bfloat16");
  return computed_in && stored_in;
}

/// The same of latent attention.
template <viewable Query, viewable Out>
consteval bool check_latent_scalars() {
  constexpr bool same =
      compute_scalar<scalar_of<Out>> && std::same_as<scalar_of<Query>, scalar_of<Out>>;
  static_assert(same, "mla: q and out must both be of float or both be of double");
  return same;
}

/// The queries that an entry point of these sizes is given.
template <viewable Query>
view<const scalar_of<Query>> queries_of(const call_sizes& sizes, const Query& q) {
  return view_argument(sizes.who.name, "q", q, sizes.Q_heads);
}

/// Where it writes.
template <viewable Out>
view<scalar_of<Out>> output_of(const call_sizes& sizes, Out& out) {
  return output_argument<scalar_of<Out>>(sizes.who.name, "out", out, sizes.Q_heads);
}

/// What a mask says of one sequence of many.
template <attention_mask Mask>
void check_mask(const caller& who, const Mask& mask, const mask_shape& shape) {
  try {
    mask.check(shape);
  } catch (const std::invalid_argument& refused) {
    throw std::invalid_argument(text(who) + ": " + refused.what());
  }
}

/// Masks add windows to positions: sums do not overflow.
inline void check_position(const caller& who, const std::optional<Index>& first_position) {
  static constexpr Index most = sliding_window::unlimited;
  const Index position = first_position.value_or(0);
  require(-most <= position && position <= most, who, ": first_position = ", position,
          ", expected ", -most, " to ", most);
}

template <class Scalar>
void check_scale(const caller& who, const std::optional<Scalar>& scale) {
  require(!scale || std::isfinite(*scale), who, ": scale = ", scale.value_or(Scalar(1)),
          ", expected a finite number");
}

template <class Scalar>
void check_softcap(const caller& who, Scalar softcap) {
  require(softcap >= Scalar(0) && std::isfinite(softcap), who, ": softcap = ", softcap,
          ", expected 0 (off) or a positive number");
}

/// Queries, output and options fit together.
template <class Query, class Scalar>
void check_arguments(const call_sizes& sizes, view<const Query> q, view<Scalar> out,
                     const attention_options<Scalar>& options) {
  const caller who = sizes.who;
  const Index Q_heads = sizes.Q_heads;
  require(q.heads() == Q_heads, who, ": q has ", q.heads(), " heads, expected Q_heads = ", Q_heads);
  require(q.dim() == sizes.qk_dim, who, ": q has width ", q.dim(), ", expected ", sizes.qk_name,
          " = ", sizes.qk_dim);
  require(out.tokens() == q.tokens(), who, ": out has ", out.tokens(),
          " tokens, expected q_len = ", q.tokens());
  require(out.heads() == Q_heads, who, ": out has ", out.heads(),
          " heads, expected Q_heads = ", Q_heads);
  require(out.dim() == sizes.v_dim, who, ": out has width ", out.dim(), ", expected ", sizes.v_name,
          " = ", sizes.v_dim);
  require(q.tokens() == 0 || static_cast<const void*>(q.data()) != out.data(), who,
          ": out begins where q does, expected memory that overlaps no input");
  check_scale(who, options.scale);
  check_position(who, options.first_position);
  check_softcap(who, options.softcap);
  require(options.sinks.empty() || static_cast<Index>(options.sinks.size()) == Q_heads, who, ": ",
          options.sinks.size(), " sinks were given, expected Q_heads = ", Q_heads);
  require(!options.lse || (options.lse.tokens() == q.tokens() && options.lse.heads() == Q_heads),
          who, ": lse is [", options.lse.tokens(), ", ", options.lse.heads(),
          "], expected [q_len, Q_heads] = [", q.tokens(), ", ", Q_heads, "]");
}

/// A source has the heads and widths of the call.
template <std::derived_from<call_sizes> Sizes, kv_source Source>
void check_source(const Sizes& sizes, const Source& source) {
  static_assert(Sizes::template may_fit<Source>,
                "attention: the cache has other KV_groups, qk_dim or v_dim than the attention");
  const Index groups = source.groups(), qk_dim = source.qk_dim(), v_dim = source.v_dim();
  require(groups == sizes.KV_groups, sizes.who, ": k has ", groups,
          " heads, expected KV_groups = ", sizes.KV_groups);
  require(qk_dim == sizes.qk_dim, sizes.who, ": k has width ", qk_dim,
          ", expected qk_dim = ", sizes.qk_dim);
  require(v_dim == sizes.v_dim, sizes.who, ": v has width ", v_dim,
          ", expected v_dim = ", sizes.v_dim);
}

/// The call that the kernels get, of arguments that have been checked.
template <class Query, class Scalar, attention_mask Mask, class Sizes = call_sizes>
attention_call<Scalar, Query, Mask, Sizes::known> call_of(
    const Sizes& sizes, view<const Query> q, view<Scalar> out, Index kv_len, const Mask& mask,
    const attention_options<Scalar>& options) {
  return {q,
          out,
          mask,
          kv_len,
          sizes.Q_heads / sizes.KV_groups,
          options.first_position.value_or(kv_len - q.tokens()),
          options.scale.value_or(Scalar(1) / std::sqrt(static_cast<Scalar>(sizes.qk_dim))),
          options.softcap,
          options.sinks,
          options.lse};
}

/// The checks that attention and mla share, and the call.
template <class Query, class Scalar, attention_mask Mask, class Sizes = call_sizes>
attention_call<Scalar, Query, Mask, Sizes::known> checked_call(
    const Sizes& sizes, view<const Query> q, view<Scalar> out, Index kv_len, const Mask& mask,
    const attention_options<Scalar>& options) {
  check_arguments(sizes, q, out, options);
  mask.check({sizes.Q_heads, q.tokens(), kv_len});
  return call_of(sizes, q, out, kv_len, mask, options);
}

/// How a call of q_len queries over a source of its sizes is computed.
template <class Scalar, class Sizes, kv_source Source>
attention_path path_of(const Sizes& sizes, Index q_len, const Source& source) {
  require(q_len >= 0, sizes.who, ": path_for q_len = ", q_len, ", expected at least 0");
  const view<Scalar> q(nullptr, q_len, sizes.Q_heads, sizes.qk_dim, 0, 0);
  const view<Scalar> out(nullptr, q_len, sizes.Q_heads, sizes.v_dim, 0, 0);
  return described_path(call_of<Scalar, Scalar>(sizes, q, out, Index(source.tokens()), none(), {}),
                        source);
}

}  // namespace headroom::inline HEADROOM_ISA::detail
