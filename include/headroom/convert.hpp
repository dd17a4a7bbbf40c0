// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>

#include <cmath>
#include <cstdint>
#include <iterator>
#include <random>
#include <span>
#include <vector>

// Fewer key/value heads for a trained checkpoint: multi-head to grouped-query or multi-query, or to
// fewer groups. The key and the value projection (and their biases, where there are any) are
// converted one by one, with the same function and the same arguments; the query and output
// projections stay. Groups are runs: new group g takes the place of heads
// [g * heads / groups, (g + 1) * heads / groups), the very heads whose queries will read it.
//
// The paper that proposes this (Ainslie et al. 2023, arXiv 2305.13245) compares three ways and
// finds the mean best: mean_pool_heads; select_heads with first_heads; and heads drawn afresh, here
// redraw_heads. A converted model is meant to be trained for a few per cent of its original steps.

namespace headroom::inline HEADROOM_ISA {

namespace detail {

/// What a conversion returns: a row-major matrix, or a vector where it was given one (a bias).
template <class Derived>
using converted =
    Eigen::Matrix<typename Derived::Scalar, Eigen::Dynamic, Derived::ColsAtCompileTime,
                  Derived::ColsAtCompileTime == 1 ? Eigen::ColMajor : Eigen::RowMajor>;

/// Rows of one head. \throws std::invalid_argument if the rows are not whole heads
inline Index rows_per_head(const char* who, Index rows, Index heads) {
  require(heads >= 1, who, ": heads is ", heads, ", expected at least 1");
  require(rows % heads == 0, who, ": the projection has ", rows,
          " rows, expected a multiple of heads = ", heads);
  return rows / heads;
}

/// Old heads of one new group. \throws std::invalid_argument if groups does not divide heads
inline Index heads_in_group(const char* who, Index heads, Index groups) {
  require(heads >= 1, who, ": heads is ", heads, ", expected at least 1");
  require(groups >= 1 && heads % groups == 0, who, ": groups is ", groups,
          ", expected a divisor of heads = ", heads);
  return heads / groups;
}

}  // namespace detail

/// Mean pooling: new group g is the mean of the heads it replaces,
///
///   out[g * dim + d] = mean of projection[h * dim + d] over the run of heads h of group g.
///
/// \param projection  [heads * dim, hidden]: key or value weights as checkpoints have them,
///                    [out, in]; or a bias, [heads * dim]. Any Eigen matrix, map or block of
///                    double, float, half or bfloat16
/// \param heads       key/value heads that it has
/// \param groups      key/value heads that it shall have; divides heads
/// \return [groups * dim, hidden], row-major, in the projection's scalar; a bias gives a vector
/// \throws std::invalid_argument naming the number that does not fit
/// \post Identical heads of finite numbers come out as they are, exactly.
/// \error Summed in double, then rounded as scalar_codec does; differences between heads, and their
///        sum, must be numbers of double.
/// \source Ainslie et al. 2023, arXiv 2305.13245, section 2.1 and figure 1.
template <class Derived>
detail::converted<Derived> mean_pool_heads(const Eigen::MatrixBase<Derived>& projection,
                                           Index heads, Index groups) {
  const Index dim = detail::rows_per_head("mean_pool_heads", projection.rows(), heads);
  const Index pooled = detail::heads_in_group("mean_pool_heads", heads, groups);
  detail::converted<Derived> out(groups * dim, projection.cols());
  for (Index g = 0; g < groups; ++g)
    for (Index d = 0; d < dim; ++d)
      for (Index c = 0; c < projection.cols(); ++c) {
        const auto entry = [&](Index head) {
          return static_cast<double>(projection.derived().coeff((g * pooled + head) * dim + d, c));
        };
        // The first head plus the mean distance from it: exact for identical heads, which a sum of
        // three doubles divided by three is not.
        double distance = 0;
        for (Index head = 1; head < pooled; ++head) distance += entry(head) - entry(0);
        out(g * dim + d, c) = static_cast<typename Derived::Scalar>(
            entry(0) + distance / static_cast<double>(pooled));
      }
  return out;
}

/// Takes whole heads: new group g is a copy, bit for bit, of head sources[g].
///
/// Any list will do: first_heads or random_heads, a choice of one's own, or repetitions, which undo
/// the sharing (0, 0, 1, 1 makes four heads of two groups with the same outputs).
///
/// \param projection  [heads * dim, hidden], [out, in], or a bias [heads * dim]
/// \param heads       key/value heads that it has
/// \param sources     [groups], each in [0, heads)
/// \return [groups * dim, hidden], row-major, in the projection's scalar; a bias gives a vector
/// \throws std::invalid_argument naming the number that does not fit
template <class Derived>
detail::converted<Derived> select_heads(const Eigen::MatrixBase<Derived>& projection, Index heads,
                                        std::span<const Index> sources) {
  const Index dim = detail::rows_per_head("select_heads", projection.rows(), heads);
  const Index groups = std::ssize(sources);
  detail::converted<Derived> out(groups * dim, projection.cols());
  for (Index g = 0; g < groups; ++g) {
    const Index head = sources[static_cast<std::size_t>(g)];
    detail::require(head >= 0 && head < heads, "select_heads: source ", g, " is head ", head,
                    ", expected [0, ", heads, ")");
    out.middleRows(g * dim, dim) = projection.middleRows(head * dim, dim);
  }
  return out;
}

/// Sources for select_heads: the first head of each group's run.
/// \throws std::invalid_argument if groups does not divide heads
inline std::vector<Index> first_heads(Index heads, Index groups) {
  const Index run = detail::heads_in_group("first_heads", heads, groups);
  std::vector<Index> sources;
  for (Index g = 0; g < groups; ++g) sources.push_back(g * run);
  return sources;
}

/// Sources for select_heads: one head of each group's run, at random. Draw the list once and use it
/// for keys, values and biases alike. The same seed gives the same list everywhere.
/// \throws std::invalid_argument if groups does not divide heads
inline std::vector<Index> random_heads(Index heads, Index groups, std::uint64_t seed) {
  const Index run = detail::heads_in_group("random_heads", heads, groups);
  // Not uniform_int_distribution: what that draws is each standard library's own affair.
  std::mt19937_64 engine(seed);
  std::vector<Index> sources;
  for (Index g = 0; g < groups; ++g)
    sources.push_back(g * run + static_cast<Index>(engine() % static_cast<std::uint64_t>(run)));
  return sources;
}

/// Forgets the heads: numbers drawn uniformly, of mean zero and of the projection's own root mean
/// square, in the shape that the other conversions give. What the paper's "random" stands for, and
/// the measure of how much the other two keep. The same seed gives the same numbers everywhere;
/// keys and values want different seeds.
///
/// \param projection  [heads * dim, hidden], [out, in], or a bias [heads * dim]
/// \param heads       key/value heads that it has
/// \param groups      key/value heads that it shall have; divides heads
/// \param seed        of the numbers, any
/// \return [groups * dim, hidden], row-major, in the projection's scalar; a bias gives a vector
/// \throws std::invalid_argument naming the number that does not fit
template <class Derived>
detail::converted<Derived> redraw_heads(const Eigen::MatrixBase<Derived>& projection, Index heads,
                                        Index groups, std::uint64_t seed) {
  const Index dim = detail::rows_per_head("redraw_heads", projection.rows(), heads);
  detail::heads_in_group("redraw_heads", heads, groups);
  const double square = projection.derived().template cast<double>().squaredNorm();
  // Uniform on [-limit, limit) has the root mean square limit / sqrt(3).
  const double limit =
      projection.size() == 0 ? 0 : std::sqrt(3 * square / static_cast<double>(projection.size()));
  std::mt19937_64 engine(seed);
  detail::converted<Derived> out(groups * dim, projection.cols());
  for (Index row = 0; row < out.rows(); ++row)
    for (Index c = 0; c < out.cols(); ++c) {
      const double unit = static_cast<double>(engine() >> 11) * 0x1p-53;  // [0, 1)
      out(row, c) = static_cast<typename Derived::Scalar>(limit * (2 * unit - 1));
    }
  return out;
}

}  // namespace headroom::inline HEADROOM_ISA
