// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <concepts>
#include <cstdint>
#include <headroom/mask.hpp>
#include <headroom/reference.hpp>
#include <headroom/view.hpp>
#include <optional>
#include <set>
#include <sstream>
#include <stdexcept>

namespace headroom_bench {

using headroom::Index;

template <class Scalar>
using row_major = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using matrix = row_major<float>;

/// The same numbers in every run, uniform in [-1, 1). A hundred million of them are made at times,
/// so the generator is one multiplication.
class numbers {
 public:
  float operator()() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<float>(static_cast<std::int32_t>(state_ >> 32)) * 0x1p-31f;
  }

  matrix operator()(Index rows, Index cols) {
    return matrix::NullaryExpr(rows, cols, [this] { return (*this)(); });
  }

 private:
  std::uint64_t state_ = 1;
};

/// The size of queries that lets a few keys take most of a row's weight: an answer then depends on
/// which keys they are, and is not the mean of all values, whatever they are.
inline constexpr float selective = 8;

inline matrix queries(numbers& random, Index q_len, Index width, float size = selective) {
  return size * random(q_len, width);
}

/// Fills a cache by appending pairs of rows of these widths, never holding a second copy of all.
template <class Cache>
void fill(Cache& cache, numbers& random, Index first_width, Index second_width) {
  constexpr Index at_once = 128;
  while (cache.tokens() < cache.capacity()) {
    const Index tokens = std::min(at_once, cache.capacity() - cache.tokens());
    const matrix first = random(tokens, first_width);
    cache.append(first, random(tokens, second_width));
  }
}

/// The first, the middle and the last of `count` things.
inline std::set<Index> spots(Index count) {
  return {0, count / 2, count - 1};
}

/// How far answers may lie apart where queries, weights or sums are rounded to a scalar of unit
/// roundoff `rounding`, and values are of size 1: a score of these inputs is then off by some 1.5
/// roundings, the largest of a million by six times that, and an answer by as much again. A wrong
/// key leaves far more.
constexpr double rounded_apart(double rounding) {
  return 20 * rounding;
}

/// How far an answer of the library may be from that in double. Rounding in float leaves some 1e-6;
/// beside keys and values of bfloat16, queries and weights may be rounded to it too.
template <class KV>
inline constexpr double allowed_error = std::same_as<KV, Eigen::bfloat16> ? rounded_apart(0x1p-8)
                                                                          : 1e-4;

/// Compares row t of head h of an answer with the same in double.
///
/// \throws std::runtime_error if they differ by more than is allowed
inline void check_near(const Eigen::RowVectorXf& actual, const Eigen::RowVectorXd& expected,
                       Index t, Index h, double allowed = allowed_error<float>) {
  const double error = (actual.cast<double>() - expected).lpNorm<Eigen::Infinity>();
  if (!(error <= allowed)) {
    std::ostringstream message;
    message << "wrong answer: query " << t << ", head " << h << " is off by " << error
            << ", allowed " << allowed;
    throw std::runtime_error(message.str());
  }
}

/// Compares row t of head h of an answer with the reference, in double.
///
/// \param q    [q_len, Q_heads, qk_dim]
/// \param out  [q_len, Q_heads, v_dim]
/// \param k    [kv_len, 1, qk_dim], the keys of that head
/// \param v    [kv_len, 1, v_dim]
/// \param scale  of the scores; 1 / sqrt(qk_dim) if not given
/// \param mask   causal unless given
/// \throws std::runtime_error as check_near
template <class KV, headroom::attention_mask Mask = headroom::causal>
void check_row(headroom::view<const float> q, headroom::view<const float> out, Index t, Index h,
               headroom::view<const KV> k, headroom::view<const KV> v,
               double allowed = allowed_error<KV>, std::optional<double> scale = std::nullopt,
               const Mask& mask = {}) {
  Eigen::RowVectorXd expected(v.dim());
  headroom::reference_attention(q.slice_tokens(t, t + 1).slice_heads(h, h + 1), k, v,
                                headroom::as_view(expected, 1), mask,
                                {.scale = scale, .first_position = k.tokens() - q.tokens() + t});
  check_near(Eigen::Map<const Eigen::RowVectorXf>(out.row(t, h), out.dim()), expected, t, h,
             allowed);
}

}  // namespace headroom_bench
