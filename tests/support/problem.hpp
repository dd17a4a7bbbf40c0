// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/attention.hpp>
#include <headroom/reference.hpp>

#include "support/error_bound.hpp"
#include "support/poison.hpp"
#include "support/random.hpp"

#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

// Attention problems for tests: random inputs, the exact answer with its bound, and how far a
// result is from it.

namespace headroom_tests {

/// What attention returns.
template <class Scalar>
struct answer {
  tensor<Scalar> out;  // [q_len, Q_heads, v_dim]
  tensor<Scalar> lse;  // [q_len, Q_heads, 1]
};

/// The answer in double, and how far from it an answer in another scalar may be.
struct exact_answer : answer<double> {
  attention_bound bound;
};

/// The same options in double; they read the sinks from `sinks`.
template <class Scalar>
headroom::attention_options<double> in_double(const headroom::attention_options<Scalar>& options,
                                              std::vector<double>& sinks) {
  sinks.assign(options.sinks.begin(), options.sinks.end());
  headroom::attention_options<double> wide;
  if (options.scale) wide.scale = static_cast<double>(*options.scale);
  wide.softcap = static_cast<double>(options.softcap);
  wide.sinks = sinks;
  wide.first_position = options.first_position;
  return wide;
}

/// The definition, evaluated in double, and the bound for a computation in Compute.
template <class Compute, class Query, class Key, class Value, class Mask = headroom::none>
exact_answer exact_attention(
    headroom::view<const Query> q, headroom::view<const Key> k, headroom::view<const Value> v,
    const Mask& mask = {}, const headroom::attention_options<Compute>& options = {},
    double weight_error = 0,
    const operand_rounding& operand = operand_roundoff<Compute, Key, Value>()) {
  std::vector<double> sinks;
  auto wide = in_double(options, sinks);
  exact_answer exact{{{q.tokens(), q.heads(), v.dim()}, {q.tokens(), q.heads(), 1}}, {}};
  exact.bound = attention_error_bound<Compute>(q, k, v, mask, wide, weight_error, operand);
  wide.lse = exact.lse.per_head();
  headroom::reference_attention<double>(q, k, v, exact.out.view(), mask, wide);
  return exact;
}

/// The greatest |got - want| / bound, infinite where got is NaN; equal numbers, infinities
/// included, do not count. A result is right if this is at most 1, and two right results of the
/// same problem are at most 2 apart.
template <class Got, class Want>
double error_ratio(headroom::view<const Got> got, headroom::view<const Want> want,
                   headroom::view<const double> bound) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (got.tokens() != want.tokens() || got.heads() != want.heads() || got.dim() != want.dim())
    return infinity;
  double worst = 0;
  for (Eigen::Index t = 0; t < got.tokens(); ++t)
    for (Eigen::Index h = 0; h < got.heads(); ++h)
      for (Eigen::Index d = 0; d < got.dim(); ++d) {
        const double g = static_cast<double>(got(t, h, d)), w = static_cast<double>(want(t, h, d));
        if (g == w) continue;
        const double ratio = std::abs(g - w) / bound(t, h, d);
        if (!(ratio <= infinity)) return infinity;
        worst = std::max(worst, ratio);
      }
  return worst;
}

/// The same over outputs and log-sum-exps.
template <class Got, class Want>
double error_ratio(const answer<Got>& got, const answer<Want>& want, const attention_bound& bound) {
  return std::max(error_ratio(got.out.view(), want.out.view(), bound.out.view()),
                  error_ratio(got.lse.view(), want.lse.view(), bound.lse.view()));
}
template <class Got>
double error_ratio(const answer<Got>& got, const exact_answer& exact) {
  return error_ratio<Got, double>(got, exact, exact.bound);
}

/// Whether two tensors hold the same bits.
template <class Scalar>
bool same_bits(headroom::view<const Scalar> a, headroom::view<const Scalar> b) {
  if (a.tokens() != b.tokens() || a.heads() != b.heads() || a.dim() != b.dim()) return false;
  for (Eigen::Index t = 0; t < a.tokens(); ++t)
    for (Eigen::Index h = 0; h < a.heads(); ++h)
      if (std::memcmp(a.row(t, h), b.row(t, h), static_cast<std::size_t>(a.dim()) * sizeof(Scalar)))
        return false;
  return true;
}
template <class Scalar>
bool same_bits(const answer<Scalar>& a, const answer<Scalar>& b) {
  return same_bits(a.out.view(), b.out.view()) && same_bits(a.lse.view(), b.lse.view());
}

struct problem_size {
  Eigen::Index q_len, kv_len, Q_heads, KV_groups, qk_dim, v_dim;
};

/// Queries, keys and values of standard normal numbers.
template <class Scalar = float, class Key = Scalar, class Value = Key>
struct problem {
  tensor<Scalar> q;  // [q_len, Q_heads, qk_dim]
  tensor<Key> k;     // [kv_len, KV_groups, qk_dim]
  tensor<Value> v;   // [kv_len, KV_groups, v_dim]

  explicit problem(const problem_size& size, std::uint64_t seed = 1,
                   layout order = layout::tokens_major)
      : q(size.q_len, size.Q_heads, size.qk_dim, order),
        k(size.kv_len, size.KV_groups, size.qk_dim, order),
        v(size.kv_len, size.KV_groups, size.v_dim, order) {
    random_source random(seed);
    random.fill(q.view());
    random.fill(k.view());
    random.fill(v.view());
  }

  headroom::view<const Scalar> queries() const { return q.view(); }
  headroom::view<const Key> keys() const { return k.view(); }
  headroom::view<const Value> values() const { return v.view(); }

  template <class Mask = headroom::none>
  exact_answer exact(
      const Mask& mask = {}, const headroom::attention_options<Scalar>& options = {},
      const operand_rounding& operand = operand_roundoff<Scalar, Key, Value>()) const {
    return exact_attention<Scalar>(queries(), keys(), values(), mask, options, 0, operand);
  }
};

/// Makes numbers such as bfloat16 has.
inline void round_to_bfloat16(headroom::view<float> x) {
  for (Eigen::Index t = 0; t < x.tokens(); ++t)
    for (Eigen::Index h = 0; h < x.heads(); ++h)
      for (Eigen::Index d = 0; d < x.dim(); ++d)
        x(t, h, d) = static_cast<float>(static_cast<Eigen::bfloat16>(x(t, h, d)));
}

using any_attention = headroom::attention<Eigen::Dynamic, Eigen::Dynamic>;

/// attention(q, k, v) with sizes known at run time only, computed in Scalar.
template <class Scalar, class Key, class Value, class Mask = headroom::none,
          class Executor = headroom::serial>
answer<Scalar> attend(headroom::view<const Scalar> q, headroom::view<const Key> k,
                      headroom::view<const Value> v, const Mask& mask = {},
                      headroom::attention_options<Scalar> options = {},
                      const Executor& executor = {}, layout order = layout::tokens_major) {
  answer<Scalar> result{{q.tokens(), q.heads(), v.dim(), order}, {q.tokens(), q.heads(), 1, order}};
  options.lse = result.lse.per_head();
  const any_attention attention(q.heads(), k.heads(), q.dim(), v.dim());
  attention(q, k, v, result.out.view(), mask, options, executor);
  return result;
}
template <class Scalar, class Key, class Value, class Mask = headroom::none,
          class Executor = headroom::serial>
answer<Scalar> attend(const problem<Scalar, Key, Value>& p, const Mask& mask = {},
                      const headroom::attention_options<Scalar>& options = {},
                      const Executor& executor = {}) {
  return attend(p.queries(), p.keys(), p.values(), mask, options, executor);
}

}  // namespace headroom_tests
