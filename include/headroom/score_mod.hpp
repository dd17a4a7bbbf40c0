// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/owner.hpp>
#include <headroom/mask.hpp>

#include <cmath>
#include <concepts>
#include <span>
#include <utility>
#include <vector>

// What is added to scores by formula (ALiBi), and the user's own masks and score modifications.

namespace headroom::inline HEADROOM_ISA {

/// Adds -slopes[h] * |p - j| for a query at position p (Press et al., arXiv 2108.12409). The
/// distance is absolute, so lse is the true one, not shifted by a constant of the row.
struct alibi : mask_defaults {
  static constexpr bool modifies_scores = true;

  std::span<const float> slopes;  ///< [Q_heads]; read, not copied

  /// The slopes must outlive the call, so a temporary std::vector of them is refused.
  explicit alibi(std::span<const float> head_slopes) : slopes(head_slopes) {}
  template <detail::owning_vector Slopes>
  requires std::same_as<typename Slopes::Scalar, float>
  explicit alibi(const Slopes& head_slopes)
      : slopes(head_slopes.data(), static_cast<std::size_t>(head_slopes.size())) {}
  template <detail::owning_range Slopes>
  explicit alibi(const Slopes&&) = delete;  // a temporary: name the slopes first

  template <class Score>
  Score modify(Score score, const query_row& row, Index key) const {
    const Index distance = row.position < key ? key - row.position : row.position - key;
    return score - static_cast<Score>(slopes[static_cast<std::size_t>(row.head)]) *
                       static_cast<Score>(distance);
  }
  void check(const mask_shape& shape) const {
    detail::require(static_cast<Index>(slopes.size()) == shape.Q_heads, "alibi: ", slopes.size(),
                    " slopes were given, expected Q_heads = ", shape.Q_heads);
  }
};

/// The published slopes: for n = 2^floor(log2 heads), head h < n gets 2^(-8 (h + 1) / n), and the
/// others the odd members of the sequence for 2n heads.
inline std::vector<float> alibi_slopes(Index heads) {
  Index n = 1;
  while (2 * n <= heads) n *= 2;
  std::vector<float> slopes;
  for (Index h = 0; h < heads; ++h) {
    const double exponent =
        h < n ? -8.0 * static_cast<double>(h + 1) / static_cast<double>(n)
              : -4.0 * static_cast<double>(2 * (h - n) + 1) / static_cast<double>(n);
    slopes.push_back(static_cast<float>(std::exp2(exponent)));
  }
  return slopes;
}

namespace detail {

// A user's function may take (head, query, key), or (query_row, key) when it needs positions.
template <class F>
concept of_indices = std::invocable<const F&, Index, Index, Index>;
template <class F>
concept of_row = std::invocable<const F&, const query_row&, Index>;
template <class F>
concept score_of_indices = std::invocable<const F&, float, Index, Index, Index>;
template <class F>
concept score_of_row = std::invocable<const F&, float, const query_row&, Index>;

template <class F>
struct user_mask : mask_defaults {
  F function;

  explicit user_mask(F f) : function(std::move(f)) {}
  key_range keys(const query_row& row) const { return {0, row.kv_len, false}; }
  bool visible(const query_row& row, Index key) const {
    if constexpr (of_row<F>)
      return static_cast<bool>(function(row, key));
    else
      return static_cast<bool>(function(row.head, row.query, key));
  }
};

template <class F>
struct user_score_mod : mask_defaults {
  static constexpr bool modifies_scores = true;
  F function;

  explicit user_score_mod(F f) : function(std::move(f)) {}
  template <class Score>
  Score modify(Score score, const query_row& row, Index key) const {
    if constexpr (score_of_row<F>)
      return static_cast<Score>(function(score, row, key));
    else
      return static_cast<Score>(function(score, row.head, row.query, key));
  }
};

}  // namespace detail

/// A mask of one's own: f(head, query, key) or f(query_row, key) says whether the query sees the
/// key. `query` is the row of q in this call, `key` a place in the sequence, and so is
/// query_row::position: with a cache, or in a later chunk of a prompt, query 0 does not stand at 0.
/// What is indexed by token, such as the document of each, goes by position:
///
///   mask([&](const query_row& row, Index key) { return document[row.position] == document[key]; })
///
/// Inlined into the kernel; called from the executor's threads, several at once, so it must not
/// write shared state, nor throw unless the executor passes that on: see parallel.hpp.
template <class F>
requires(detail::of_indices<F> || detail::of_row<F>) auto mask(F f) {
  return detail::user_mask<F>(std::move(f));
}

/// A score modification of one's own: f(score, head, query, key) or f(score, query_row, key)
/// returns the new score of a visible key; `score` is scaled and capped. As in mask, `query` is the
/// row of q in this call: distances, and what is indexed by token, go by query_row::position.
/// Returning minus infinity gives the key no weight but does not hide its value's NaN; use mask for
/// that.
template <class F>
requires(detail::score_of_indices<F> || detail::score_of_row<F>) auto score_mod(F f) {
  return detail::user_score_mod<F>(std::move(f));
}

}  // namespace headroom::inline HEADROOM_ISA
