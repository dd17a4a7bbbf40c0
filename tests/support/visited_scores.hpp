// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/reference.hpp>
#include <headroom/scores.hpp>

#include "support/catch.hpp"
#include "support/poison.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

// Scores as tests of visit_scores look at them: put together from their tiles, and compared with
// those of the definition.

namespace headroom_tests {

inline constexpr headroom::score_stage stages[] = {
    headroom::score_stage::raw, headroom::score_stage::capped, headroom::score_stage::biased,
    headroom::score_stage::softmax};

/// Scores of a stage, [q_len, Q_heads, kv_len], and how often each was visited; one that was not is
/// a NaN.
template <class Scalar>
struct visited_scores {
  tensor<Scalar> scores;
  std::vector<int> visits;

  /// \param run  calls visit_scores with the visit that it is given
  template <class Run>
  visited_scores(Eigen::Index q_len, Eigen::Index heads, Eigen::Index kv_len, const Run& run)
      : scores(q_len, heads, kv_len), visits(static_cast<std::size_t>(q_len * heads * kv_len)) {
    run([&](const headroom::score_tile<Scalar>& tile) {
      for (Eigen::Index i = 0; i < tile.scores.rows(); ++i)
        for (Eigen::Index j = 0; j < tile.scores.cols(); ++j) {
          const Eigen::Index t = tile.first_query + i, key = tile.first_key + j;
          scores(t, tile.head, key) = tile.scores(i, j);
          ++visits[at(t, tile.head, key)];
        }
    });
  }

  int of(Eigen::Index t, Eigen::Index h, Eigen::Index j) const { return visits[at(t, h, j)]; }

  /// Whether each was visited once.
  bool all_once() const { return visits == std::vector<int>(visits.size(), 1); }

 private:
  std::size_t at(Eigen::Index t, Eigen::Index h, Eigen::Index j) const {
    return static_cast<std::size_t>((t * scores.heads() + h) * scores.dim() + j);
  }
};

/// Has reference_attention write the scores of one stage.
inline headroom::reference_scores<double> reference_of(headroom::score_stage stage,
                                                       headroom::view<double> scores) {
  using headroom::score_stage;
  headroom::reference_scores<double> to;
  (stage == score_stage::raw      ? to.raw
   : stage == score_stage::capped ? to.capped
   : stage == score_stage::biased ? to.biased
                                  : to.softmax) = scores;
  return to;
}

/// Of numbers of unit size, sums of `products`: a few roundings of the largest partial sum.
template <class Scalar>
void check_equal(const tensor<Scalar>& got, const tensor<double>& want, Eigen::Index products) {
  const double unit =
      std::numeric_limits<Scalar>::epsilon() * static_cast<double>(products + 20) * 10;
  for (Eigen::Index t = 0; t < got.tokens(); ++t)
    for (Eigen::Index h = 0; h < got.heads(); ++h)
      for (Eigen::Index j = 0; j < got.dim(); ++j) {
        const double g = static_cast<double>(got(t, h, j)), w = want(t, h, j);
        if (g != w) REQUIRE(std::abs(g - w) <= unit * std::max(1., std::abs(w)));
      }
}

}  // namespace headroom_tests
