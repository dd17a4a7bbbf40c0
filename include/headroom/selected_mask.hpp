// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/mask.hpp>

#include <concepts>
#include <utility>

// Attention to some of a source's tokens is attention to another source, which holds these alone.
// What it needs besides is a mask that knows where they came from.

namespace headroom::inline HEADROOM_ISA {

/// A source of some tokens of another one, in their order: selected_tokens, selected_blocks.
///
///   token(i)      the i-th of them among all, 0 <= i < tokens()
///   place(t)      how many of them come before token t
///   all_tokens()  tokens there are to select from
template <class S>
concept kv_selection = kv_source<S> && requires(const S& s, Index i) {
  { s.token(i) } -> std::same_as<Index>;
  { s.place(i) } -> std::same_as<Index>;
  { s.all_tokens() } -> std::same_as<Index>;
};

/// A mask over all tokens, for a call over some of them: positions, keys and kv_len are what they
/// are among all, so that causal and windows hide what they would hide without the selection.
template <attention_mask Mask, kv_selection Selection>
struct selected_mask {
  static constexpr bool modifies_scores = Mask::modifies_scores;

  Mask mask;
  Selection selection;
  Index first_position;   ///< of the first query, among all tokens
  Index first_query = 0;  ///< row of the mask's q that is the call's first

  selected_mask(Mask of_all, const Selection& selected, Index position_of_first, Index query = 0)
      : mask(std::move(of_all)),
        selection(selected),
        first_position(position_of_first),
        first_query(query) {}

  /// The row that the mask over all tokens is asked about.
  query_row among_all(const query_row& row) const {
    return {row.head, first_query + row.query, first_position + row.query, selection.all_tokens()};
  }

  key_range keys(const query_row& row) const {
    const key_range all = mask.keys(among_all(row));
    return {selection.place(all.begin),
            selection.place(all.end),
            all.full,
            selection.place(all.full_begin),
            selection.place(all.full_end),
            selection.place(all.hidden_begin),
            selection.place(all.hidden_end)};
  }
  bool visible(const query_row& row, Index key) const {
    return mask.visible(among_all(row), selection.token(key));
  }
  template <class Score>
  Score modify(Score score, const query_row& row, Index key) const {
    return mask.modify(score, among_all(row), selection.token(key));
  }
  void check(const mask_shape& shape) const {
    mask.check({shape.Q_heads, first_query + shape.q_len, selection.all_tokens()});
  }
};

namespace detail {

// Another mask, which outlives it: masks may be large, or own memory.
template <attention_mask Mask>
struct mask_reference {
  static constexpr bool modifies_scores = Mask::modifies_scores;

  const Mask* mask;

  key_range keys(const query_row& row) const { return mask->keys(row); }
  bool visible(const query_row& row, Index key) const { return mask->visible(row, key); }
  template <class Score>
  Score modify(Score score, const query_row& row, Index key) const {
    return mask->modify(score, row, key);
  }
  void check(const mask_shape& shape) const { mask->check(shape); }
};

}  // namespace detail

}  // namespace headroom::inline HEADROOM_ISA
