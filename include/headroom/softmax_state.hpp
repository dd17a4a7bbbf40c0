// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/view.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <limits>

namespace headroom::inline HEADROOM_ISA {

namespace detail {

// What a sink leaves of the weight to a row of this lse.
template <class Scalar>
Scalar share_beside(Scalar sink, Scalar lse) {
  if (sink == -std::numeric_limits<Scalar>::infinity()) return Scalar(1);
  return Scalar(1) / (Scalar(1) + std::exp(sink - lse));
}

}  // namespace detail

/// The softmax of a row that has seen only some of its keys. For each query row it keeps
///
///   max   = max_j s_j,    sum = sum_j e^(s_j - max),    value = sum_j e^(s_j - max) v_j
///
/// over the keys seen so far; max may lie a little below theirs, as long as e^(s_j - max) does not
/// overflow. Adding keys or merging two states over different keys gives the state over all of
/// them; merging is associative and commutative up to rounding, and the empty state (minus
/// infinity, 0, 0) is neutral. Attention in tiles, split over the keys, over a shared prefix: all
/// of it is this one idea. The softmax itself is value / sum.
///
/// A plain struct over memory of the caller's. \source Milakov and Gimelshein, arXiv 1805.02867,
/// algorithm 3; merging: Dao et al., arXiv 2205.14135, section 3.1.
template <class Scalar>
struct softmax_state {
  static constexpr Scalar minus_infinity = -std::numeric_limits<Scalar>::infinity();

  Index rows = 0;           ///< query rows
  Index v_dim = 0;          ///< width of a value
  Scalar* max = nullptr;    ///< [rows]
  Scalar* sum = nullptr;    ///< [rows]
  Scalar* value = nullptr;  ///< [rows, v_dim]

  using Row = Eigen::Map<Eigen::Array<Scalar, 1, Eigen::Dynamic>>;

  Row value_row(Index r) const { return Row(value + r * v_dim, v_dim); }

  /// The state over no keys.
  void clear() const {
    std::fill(max, max + rows, minus_infinity);
    std::fill(sum, sum + rows, Scalar(0));
    std::fill(value, value + rows * v_dim, Scalar(0));
  }

  /// Takes the scores of `count` more keys into row r: replaces them by their weights
  /// e^(score - max) and rescales what was there if max moved. The caller then adds
  /// sum_j weight_j v_j to value_row(r). A score of minus infinity gets weight 0 exactly.
  void add_scores(Index r, Scalar* scores, Index count) const {
    if (count == 0) return;
    Row weights(scores, count);
    const Scalar new_max = std::max(max[r], weights.maxCoeff());
    // Where every score so far is minus infinity, (-inf) - (-inf) would be NaN; any shift is right.
    const Scalar shift = new_max == minus_infinity ? Scalar(0) : new_max;
    if (max[r] != minus_infinity && max[r] != new_max) rescale(r, std::exp(max[r] - new_max));
    max[r] = new_max;
    weights -= shift;
    const bool some_hidden = weights.minCoeff() == minus_infinity;
    // A vectorised exp may stop at the smallest normal number instead of 0.
    if (some_hidden)
      weights =
          weights.unaryExpr([](Scalar s) { return s == minus_infinity ? Scalar(0) : std::exp(s); });
    else
      weights = weights.exp();
    sum[r] += weights.sum();
  }

  /// Takes in the keys that `other`, of the same shape, has seen.
  void merge(const softmax_state& other) const {
    for (Index r = 0; r < rows; ++r) {
      const Scalar new_max = std::max(max[r], other.max[r]);
      const Scalar mine = weight(max[r], new_max);
      const Scalar theirs = weight(other.max[r], new_max);
      sum[r] = mine * sum[r] + theirs * other.sum[r];
      value_row(r) = mine * value_row(r) + theirs * other.value_row(r);
      max[r] = new_max;
    }
  }

  /// log(sum_j e^s_j) of row r; minus infinity if it has seen no key.
  Scalar lse(Index r) const {
    return sum[r] == Scalar(0) ? minus_infinity : max[r] + std::log(sum[r]);
  }

  /// Writes the softmax-weighted mean of the values, [v_dim], to `out`: zeros if the row has seen
  /// no key. `sink` is a logit that joins the denominator only; minus infinity is none.
  void finish(Index r, Scalar* out, Scalar sink = minus_infinity) const {
    Row result(out, v_dim);
    if (sum[r] == Scalar(0)) {
      result.setZero();
      return;
    }
    result = value_row(r) * (detail::share_beside(sink, lse(r)) / sum[r]);
  }

 private:
  void rescale(Index r, Scalar factor) const {
    sum[r] *= factor;
    value_row(r) *= factor;
  }

  static Scalar weight(Scalar part_max, Scalar new_max) {
    return part_max == new_max ? Scalar(1) : std::exp(part_max - new_max);
  }
};

namespace detail {

// merge_attention of one row, [dim]; returns the merged lse. `out` may be `first`.
template <class Scalar>
Scalar merge_rows(const Scalar* first, Scalar first_lse, const Scalar* second, Scalar second_lse,
                  Scalar* out, Index dim) {
  using Row = Eigen::Map<Eigen::Array<Scalar, 1, Eigen::Dynamic>>;
  using ConstRow = Eigen::Map<const Eigen::Array<Scalar, 1, Eigen::Dynamic>>;
  constexpr Scalar minus_infinity = -std::numeric_limits<Scalar>::infinity();
  const ConstRow row1(first, dim), row2(second, dim);
  Row merged(out, dim);
  // An empty part leaves the other as it is, NaN included.
  if (second_lse == minus_infinity) {
    if (first_lse == minus_infinity)
      merged.setZero();
    else
      merged = row1;
    return first_lse;
  }
  if (first_lse == minus_infinity) {
    merged = row2;
    return second_lse;
  }
  const Scalar m = std::max(first_lse, second_lse);
  const Scalar w1 = std::exp(first_lse - m), w2 = std::exp(second_lse - m);
  merged = (w1 * row1 + w2 * row2) / (w1 + w2);
  return m + std::log(w1 + w2);
}

}  // namespace detail

/// Merges two finished attentions of the same queries over disjoint keys:
///
///   m = max(l1, l2),  w_i = e^(l_i - m),  out = (w1 o1 + w2 o2) / (w1 + w2),  l = m + log(w1 + w2)
///
/// A part that saw no key (lse = minus infinity) leaves the other unchanged; two of them give
/// zeros and minus infinity. Apply sinks once, after the last merge.
///
/// \param first, second          partial outputs [q_len, Q_heads, v_dim], views or Eigen matrices
/// \param first_lse, second_lse  their natural log-sum-exp, [q_len, Q_heads]
/// \param out, out_lse           the merged result; may be `first` and `first_lse` themselves
/// \throws std::invalid_argument if the shapes differ; nothing is written
template <viewable First, viewable Second, viewable Out>
void merge_attention(const First& first, token_head_view<const scalar_of<Out>> first_lse,
                     const Second& second, token_head_view<const scalar_of<Out>> second_lse,
                     Out&& out, token_head_view<scalar_of<Out>> out_lse) {
  using Scalar = scalar_of<Out>;
  static_assert(std::same_as<scalar_of<First>, Scalar> && std::same_as<scalar_of<Second>, Scalar>,
                "merge_attention: first, second and out must be of the same scalar");
  const char* const who = "merge_attention";
  const Index heads_of_all = first_lse.heads();
  const view<const Scalar> o1 = detail::view_argument(who, "first", first, heads_of_all);
  const view<const Scalar> o2 = detail::view_argument(who, "second", second, heads_of_all);
  const view<Scalar> result = detail::output_argument<Scalar>(who, "out", out, heads_of_all);
  const auto check = [&](const char* name, Index t, Index h, Index d) {
    detail::require(t == o1.tokens() && h == o1.heads() && d == o1.dim(), who, ": ", name, " is [",
                    t, ", ", h, ", ", d, "], expected [", o1.tokens(), ", ", o1.heads(), ", ",
                    o1.dim(), "] as first");
  };
  check("first_lse", first_lse.tokens(), first_lse.heads(), o1.dim());
  check("second", o2.tokens(), o2.heads(), o2.dim());
  check("second_lse", second_lse.tokens(), second_lse.heads(), o1.dim());
  check("out", result.tokens(), result.heads(), result.dim());
  check("out_lse", out_lse.tokens(), out_lse.heads(), o1.dim());

  for (Index t = 0; t < o1.tokens(); ++t)
    for (Index h = 0; h < o1.heads(); ++h)
      out_lse(t, h) = detail::merge_rows(o1.row(t, h), first_lse(t, h), o2.row(t, h),
                                         second_lse(t, h), result.row(t, h), o1.dim());
}

}  // namespace headroom::inline HEADROOM_ISA
