// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/operand.hpp>
#include <headroom/detail/packet.hpp>
#include <headroom/detail/prefetch.hpp>
#include <headroom/view.hpp>

#include <cmath>

// The KV-broadcast layer. heads_per_group query heads share one key/value head. Instead of
// repeating K and V for each of them, their query rows are stacked into one matrix that meets the
// group's keys once: row r of group g is query r / heads_per_group of head
// g * heads_per_group + r % heads_per_group. K and V are never copied, and MHA, GQA, MQA and
// absorbed MLA differ in nothing but the number of rows.

namespace headroom::inline HEADROOM_ISA::detail {

struct stacked_rows {
  Index group;
  Index heads_per_group;
  Index first;  // of the group's q_len * heads_per_group rows
  Index count;

  Index query(Index r) const { return (first + r) / heads_per_group; }
  Index head(Index r) const { return group * heads_per_group + (first + r) % heads_per_group; }

  /// The same rows of the n-th group from here.
  stacked_rows of_group(Index n) const { return {group + n, heads_per_group, first, count}; }
};

/// The scale of a call, in two factors: queries that are rounded to 16 bits take a power of two,
/// so that those that are bfloat16 already stay what they are, and scores the rest.
struct split_scale {
  float of_queries;
  float of_scores;  // more than 0

  /// \tparam Operand  what products multiply
  template <class Operand>
  static split_scale of(float scale) {
    int exponent = 0;
    const float rest = std::abs(std::frexp(scale, &exponent));
    if (!is_pair<Operand> || !(rest > 0)) return {scale, 1};
    return {std::copysign(std::ldexp(1.f, exponent), scale), rest};
  }
};

// Rows that are on the way from memory while one is read or written.
inline constexpr Index rows_ahead = 4;

/// stacked[count, dim] = scale * q, contiguous, rounded to what products multiply. Scaling here is
/// once per query, not once per score.
template <class Query, class Scalar, class Number>
void stack_queries(view<const Query> q, const stacked_rows& rows, Scalar scale, Number* stacked) {
  using Source = Eigen::Map<const Eigen::Array<Query, 1, Eigen::Dynamic>>;
  using Target = Eigen::Map<Eigen::Array<Number, 1, Eigen::Dynamic>>;
  const Index dim = q.dim();
  for (Index r = 0; r < rows.count; ++r) {
    // Heads of a token are short runs of memory far apart, more than a processor foresees.
    if (r + rows_ahead < rows.count)
      prefetch_row(q.row(rows.query(r + rows_ahead), rows.head(r + rows_ahead)), dim);
    Target(stacked + r * dim, dim) =
        (Source(q.row(rows.query(r), rows.head(r)), dim).template cast<Scalar>() * scale)
            .template cast<Number>();
  }
}

}  // namespace headroom::inline HEADROOM_ISA::detail
