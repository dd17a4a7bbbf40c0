// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/codec.hpp>
#include <headroom/detail/matmul.hpp>
#include <headroom/detail/packet_bfloat16.hpp>
#include <headroom/detail/packet_int16.hpp>
#include <headroom/mask.hpp>
#include <headroom/options.hpp>
#include <headroom/view.hpp>

#include "support/poison.hpp"

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <limits>
#include <vector>

// How far attention computed in floating point may be from attention. Derived, not tuned; in double
// and plain loops, so that no bug of a kernel can hide in it. Inputs count as exact as they are
// stored (a half is the number it holds), so only the errors of computing remain.
//
// Let u be the unit roundoff and gamma(n) = n u / (1 - n u), which bounds n roundings in a row
// (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., lemma 3.1). One row of queries:
//
// 1. Scores. A dot product of n terms in any order errs by gamma(n) sum |q_d k_d| (Higham,
// eq. 3.5).
//    Five more roundings: q and k to the computing scalar, the scale (a root and a quotient), times
//    q. tanh has a derivative of at most 1, so the cap passes that error on and adds its own: a
//    quotient, tanh, a product. A bias or score modification is taken to be of slope at most 1 in
//    the score and to add one number, itself a rounded product: u (2 |added| + |result|).
//    Together |computed s_j - s_j| <= delta_j.
// 2. Weights e^(s_j - m), for whatever m. Each comes out as the exact weight times e^theta_j with
//      |theta_j| <= delta_j + u (distance of s_j from the maximum) + (1 + R) (elementary + 2 u),
//    R the number of times that a running maximum rescales it; the roundings of the differences
//    s - m add up along the way to the maximum, whatever the steps. A weight, or a partial result,
//    below the smallest normal number may be lost: that is lambda, an absolute error.
// 3. Their mean. Let p_j be the exact weights, of sum 1, and o = sum p_j v_j. Since
//    sum p_j (v_j - o) = 0, the mean under weights p_j e^theta_j differs from o by
//      sum p_j (e^theta_j - 1) (v_j - o) / sum p_j e^theta_j,
//    which is how well the softmax is conditioned: where all values agree, weights do not matter.
//    Accumulating N visible keys and R rescalings in numerator and denominator, and dividing,
//    errs by gamma(2 (N + R) + 6) times the weighted mean of |v_j|.
// 4. lse = m + log sum: the sum is off by e^theta and gamma(N + R), then come log and one addition.
//    (Blanchard, Higham and Higham, IMA J. Numer. Anal. 41, 2021, analyse this step alone.)
// 5. A sink z scales the row by 1 / (1 + x), x = e^(z - lse): a relative error in x counts
//    x / (1 + x) times.
// 6. Keys and values that are both bfloat16 may be multiplied as such: q and the weights are then
//    rounded to bfloat16, of unit roundoff w, each once. Scores err by w sum |q_d k_d| more, unless
//    q is bfloat16, which a power of two leaves what it is; and the numerator of 3 by w times the
//    weighted mean of |v_j|; the sum of weights is of those unrounded.
// 7. Keys and values that are whole numbers n of 8 bits, times a factor f for each row or each
//    block of one, may be multiplied as such: rows of q, and the w_j f_j of 32 keys j at a time,
//    are rounded to units of 1 / 32767 of their largest, each by half a unit and, since the
//    quotient is rounded, 3 u of the largest: let h be both as a share of it. Scores err by h max
//    |q_d| sum |k_d| more, and the numerator of 3 by h max w_i f_i sum |n_j| <= h sum w_i f_i 32
//    max |n_j| for each 32 keys, in all by 32 h max |v| times the sum of weights.

namespace headroom_tests {

/// Half a unit in the last place of 1.
template <class Compute>
inline constexpr double unit_roundoff =
    static_cast<double>(std::numeric_limits<Compute>::epsilon()) / 2;

/// Relative error of exp, log and tanh: 4 units in the last place. Eigen's packet tanh is good to
/// "a couple of ulps" (MathFunctionsImpl.h), its exp and the C library's functions are better; the
/// test of softmax_state measures what it uses.
template <class Compute>
inline constexpr double elementary_error = 8 * unit_roundoff<Compute>;

/// Bounds n roundings in a row, as a relative error.
inline double gamma_bound(double n, double u) {
  return n * u / (1 - n * u);
}

/// Bounds of |computed - exact|, number by number.
struct attention_bound {
  tensor<double> out;  // [q_len, Q_heads, v_dim]
  tensor<double> lse;  // [q_len, Q_heads, 1]
};

/// What the operands of products are rounded to, by steps 6 and 7.
struct operand_rounding {
  double relative = 0;  // w
  double query = 0;     // h
  double weights = 0;   // 32 h

  constexpr operand_rounding(double each = 0) : relative(each) {}

  static constexpr operand_rounding whole_numbers() {
    operand_rounding rounding;
    rounding.query = 0.5 / 32767 + 3 * unit_roundoff<float>;
    rounding.weights = 32 * rounding.query;
    return rounding;
  }
};

/// Step 6's w.
inline constexpr double bfloat16_roundoff = 1. / 256;

/// Where the library multiplies such keys and values as they are stored, by their codecs. Whole
/// numbers are multiplied in some widths only.
template <class Compute, headroom::codec KeyCodec, headroom::codec ValueCodec>
constexpr operand_rounding rounding_of_codecs() {
  using namespace headroom::detail;
  using number = headroom::scalar_codec<Eigen::bfloat16>;
  if constexpr (!has_kernels<Compute>)
    return 0;
  else if constexpr (has_fast_int16_dots && whole_number_codec<KeyCodec> &&
                     whole_number_codec<ValueCodec>)
    return operand_rounding::whole_numbers();
  else if constexpr (has_fast_bfloat16_dots && std::same_as<KeyCodec, number> &&
                     std::same_as<ValueCodec, number>)
    return bfloat16_roundoff;
  else
    return 0;
}

/// The same of numbers that are stored one by one.
template <class Compute, class Key, class Value>
constexpr operand_rounding operand_roundoff() {
  return rounding_of_codecs<Compute, headroom::scalar_codec<Key>, headroom::scalar_codec<Value>>();
}

namespace bound_detail {

/// What one row of the bound needs to know of a visible key.
struct weighed_key {
  Eigen::Index key;
  double score;   // s_j
  double error;   // delta_j, then the bound of theta_j
  double weight;  // p_j
};

/// Step 1.
template <class Query, class Key, class Mask>
std::vector<weighed_key> scores(const headroom::view<const Query>& q,
                                const headroom::view<const Key>& k, const Mask& mask,
                                const headroom::query_row& row, Eigen::Index g, double scale,
                                double softcap, double u, double elementary,
                                const operand_rounding& operand) {
  std::vector<weighed_key> keys;
  for (Eigen::Index j = 0; j < k.tokens(); ++j) {
    if (!headroom::sees(mask, row, j)) continue;
    double dot = 0, magnitude = 0, largest = 0, sum = 0;
    for (Eigen::Index d = 0; d < q.dim(); ++d) {
      const double product =
          static_cast<double>(q(row.query, row.head, d)) * static_cast<double>(k(j, g, d));
      dot += product;
      magnitude += std::abs(product);
      largest = std::max(largest, std::abs(static_cast<double>(q(row.query, row.head, d))));
      sum += std::abs(static_cast<double>(k(j, g, d)));
    }
    double s = scale * dot;
    const double gamma = gamma_bound(static_cast<double>(q.dim()) + 5, u);
    const double rounded = std::same_as<Query, Eigen::bfloat16> ? 0 : operand.relative;
    double error = std::abs(scale) * ((gamma + rounded * (1 + gamma)) * magnitude +
                                      operand.query * (1 + gamma) * largest * sum);
    if (softcap > 0) {
      const double capped = softcap * std::tanh(s / softcap);
      error += u * std::abs(s) + (elementary + u) * std::abs(capped);
      s = capped;
    }
    const double modified = mask.modify(s, row, j);
    if (Mask::modifies_scores) error += u * (2 * std::abs(modified - s) + std::abs(modified));
    keys.push_back({j, modified, error, 0});
  }
  return keys;
}

/// Step 2. Returns the exact log-sum-exp.
inline double weigh(std::vector<weighed_key>& keys, double rescalings, double u, double elementary,
                    double weight_error) {
  double max = -std::numeric_limits<double>::infinity(), worst = 0, sum = 0;
  for (const auto& key : keys) {
    max = std::max(max, key.score);
    worst = std::max(worst, key.error);
  }
  for (auto& key : keys) {
    key.weight = std::exp(key.score - max);
    key.error += u * (max - key.score + key.error + worst) +
                 (1 + rescalings) * (elementary + 2 * u) + weight_error;
    sum += key.weight;
  }
  for (auto& key : keys) key.weight /= sum;
  return max + std::log(sum);
}

}  // namespace bound_detail

/// The bound for attention computed in Compute, compared with attention computed in double.
///
/// \param q, k, v, mask, options  the call, as for headroom::attention
/// \param weight_error            further relative error of a weight, where parts were merged
/// \param operand                 what q and weights are rounded to
template <class Compute, class Query, class Key, class Value, class Mask>
attention_bound attention_error_bound(
    headroom::view<const Query> q, headroom::view<const Key> k, headroom::view<const Value> v,
    const Mask& mask, const headroom::attention_options<double>& options = {},
    double weight_error = 0,
    const operand_rounding& operand = operand_roundoff<Compute, Key, Value>()) {
  using Eigen::Index;
  // The double computation that it is compared with has errors too, and bounds add up.
  const double u = unit_roundoff<Compute> + unit_roundoff<double>;
  const double elementary = elementary_error<Compute> + elementary_error<double>;
  const double lambda = static_cast<double>(std::numeric_limits<Compute>::min());
  const double scale = options.scale.value_or(1 / std::sqrt(static_cast<double>(q.dim())));
  // A tile is at least 16 keys, a packet of floats; every tile may move the maximum.
  const double rescalings = std::floor(static_cast<double>(k.tokens()) / 16) + 1;

  attention_bound bound{{q.tokens(), q.heads(), v.dim()}, {q.tokens(), q.heads(), 1}};
  for (Index t = 0; t < q.tokens(); ++t)
    for (Index h = 0; h < q.heads(); ++h) {
      const Index g = h / (q.heads() / k.heads());
      const Index first = options.first_position.value_or(k.tokens() - q.tokens());
      const headroom::query_row row{h, t, first + t, k.tokens()};
      auto keys =
          bound_detail::scores(q, k, mask, row, g, scale, options.softcap, u, elementary, operand);
      const double lse = bound_detail::weigh(keys, rescalings, u, elementary, weight_error);
      const double count = static_cast<double>(keys.size()), steps = count + rescalings;

      // Step 4, and the least that the perturbed sum can be.
      double growth = 0, least = 0;
      for (const auto& key : keys) {
        growth += key.weight * std::expm1(key.error);
        least += key.weight * std::exp(-key.error);
      }
      const double lse_bound = std::log1p(growth) + gamma_bound(steps + 1, u) +
                               elementary * (std::log(count) + 1) + 2 * u * std::abs(lse);
      bound.lse(t, h, 0) = keys.empty() ? 0 : lse_bound;

      // Step 5.
      double share = 1, share_error = 0;
      if (!options.sinks.empty() && !keys.empty()) {
        const double z = options.sinks[static_cast<std::size_t>(h)], x = std::exp(z - lse);
        const double x_error = lse_bound + u * (std::abs(z - lse) + lse_bound) + elementary;
        share = 1 / (1 + x);
        share_error = (1 - share) * std::expm1(x_error) + 2 * u;
      }

      // Step 3.
      for (Index d = 0; d < v.dim(); ++d) {
        const auto value = [&](Index j) { return static_cast<double>(v(j, g, d)); };
        double mean = 0, shift = 0, mass = 0, lost = 0, largest = 0;
        for (const auto& key : keys) mean += key.weight * value(key.key);
        for (const auto& key : keys) {
          shift += key.weight * std::expm1(key.error) * std::abs(value(key.key) - mean);
          mass += key.weight * std::exp(key.error) * std::abs(value(key.key));
          lost += lambda * (2 + std::abs(value(key.key)) + std::abs(mean));
          for (Index i = 0; operand.weights > 0 && i < v.dim(); ++i)
            largest = std::max(largest, std::abs(static_cast<double>(v(key.key, g, i))));
        }
        const double gamma = gamma_bound(2 * steps + 6, u);
        const double error = (shift + (gamma + operand.relative * (1 + gamma)) * mass +
                              operand.weights * (1 + gamma) * largest + 2 * lost) /
                             least;
        bound.out(t, h, d) = keys.empty() ? 0
                                          : share * (1 + share_error) * error +
                                                std::abs(mean) * share * share_error + 2 * lost;
      }
    }
  return bound;
}

}  // namespace headroom_tests
