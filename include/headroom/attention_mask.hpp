// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>

#include <concepts>

// Which keys a query sees, and what is added to their scores.
//
// A mask answers, for one query row, with the half-open range of keys that the row may see. Most
// masks (causal, a window, a prefix, a length) are such ranges and nothing else: no mask tensor is
// ever built, whole tiles of keys are skipped, and no score is tested one by one. A mask that has
// holes in its range says so, and only then is it asked about single keys; of the largest hole it
// may say where it is, and that is skipped as well.

namespace headroom::inline HEADROOM_ISA {

/// The query a mask is asked about.
struct query_row {
  Index head;      ///< query head, in [0, Q_heads)
  Index query;     ///< row of q in this call, in [0, q_len); no place among the keys
  Index position;  ///< where the query stands among the keys: query + kv_len - q_len, unless
                   ///< attention_options::first_position says otherwise; may be negative
  Index kv_len;    ///< number of keys
};

/// Keys [begin, end); no key where end <= begin. Bounds outside [0, kv_len) are allowed.
struct key_range {
  Index begin;
  Index end;
  bool full;  ///< every key of the range is visible; if false, visible() decides about others than
              ///< those below

  /// Keys [full_begin, full_end) of a range that is not full are all visible: visible() is not
  /// asked about them. None unless given.
  Index full_begin = begin;
  Index full_end = full ? end : begin;

  /// Keys [hidden_begin, hidden_end) are all hidden, without asking, and where every row hides a
  /// key it is not read: what is between a prefix and a window. None unless given.
  Index hidden_begin = begin;
  Index hidden_end = begin;

  bool empty() const { return end <= begin; }

  /// Whether `key` is one of the range.
  bool holds(Index key) const { return begin <= key && key < end; }

  /// Whether `key`, one of the range, is visible without asking.
  bool shows(Index key) const { return full || (full_begin <= key && key < full_end); }

  /// Whether `key`, which the range does not show, is hidden without asking.
  bool hides(Index key) const { return hidden_begin <= key && key < hidden_end; }

  bool operator==(const key_range&) const = default;
};

/// The sizes a mask is checked against before anything is computed.
struct mask_shape {
  Index Q_heads;  ///< query heads
  Index q_len;    ///< queries of the call; of many sequences, of the mask's own
  Index kv_len;   ///< keys, likewise
};

namespace detail {

// False, of a type that tells whether a mask has said so itself.
struct unless_told {
  constexpr operator bool() const { return false; }
};

}  // namespace detail

/// What a mask does unless it says otherwise: every key is visible, scores stay as they are, any
/// shape will do. Inherit from it to write a mask of your own, and replace what differs: visible()
/// together with keys(), which says of which keys it is asked, modify() with modifies_scores.
struct mask_defaults {
  static constexpr detail::unless_told modifies_scores = {};  ///< a bool in yours

  /// The keys that `row` may see.
  key_range keys(const query_row& row) const { return {0, row.kv_len, true}; }

  /// Whether `row` sees `key`; asked only for keys that keys(row) holds and neither shows nor
  /// hides.
  bool visible(const query_row&, Index) const { return true; }

  /// The score that replaces `score` (scaled and capped); called for visible keys only, and only
  /// if modifies_scores.
  template <class Score>
  Score modify(Score score, const query_row&, Index) const {
    return score;
  }

  /// \throws std::invalid_argument if the mask does not fit the call
  void check(const mask_shape&) const {}
};

/// Any type with the members of mask_defaults.
///
/// check is called by the calling thread, before anything is computed. The others are asked by the
/// executor's threads, several at once, and by the calling one, in any order and as often as need
/// be: they write nothing that is shared and answer the same each time. What they throw is left to
/// the executor, see parallel.hpp.
template <class M>
concept attention_mask = requires(const M& m, const query_row& row, const mask_shape& shape,
                                  Index key, float score) {
  { M::modifies_scores } -> std::convertible_to<bool>;
  { m.keys(row) } -> std::same_as<key_range>;
  { m.visible(row, key) } -> std::convertible_to<bool>;
  { m.modify(score, row, key) } -> std::convertible_to<float>;
  m.check(shape);
};

namespace detail {

// What of mask_defaults a mask has as it is.
template <class M>
inline constexpr bool inherits_keys = requires {
  requires std::same_as<decltype(&M::keys), decltype(&mask_defaults::keys)>;
};
template <class M>
inline constexpr bool inherits_visible = requires {
  requires std::same_as<decltype(&M::visible), decltype(&mask_defaults::visible)>;
};
template <class M>
inline constexpr bool inherits_modify = requires {
  requires std::same_as<decltype(&M::template modify<float>),
                        decltype(&mask_defaults::template modify<float>)>;
};
template <class M>
inline constexpr bool inherits_modifies_scores =
    std::same_as<decltype(M::modifies_scores), decltype(mask_defaults::modifies_scores)>;

// Whether all that a mask replaces will be asked for.
template <class M>
constexpr bool check_mask() {
  if constexpr (std::derived_from<M, mask_defaults>) {
    static_assert(inherits_visible<M> || !inherits_keys<M>,
                  "a mask that replaces visible() must replace keys(), too: that of mask_defaults "
                  "says that every key is visible, so that visible() is never asked");
    static_assert(inherits_modify<M> || !inherits_modifies_scores<M>,
                  "a mask that replaces modify() must say so, by "
                  "`static constexpr bool modifies_scores = true`: else modify() is never called");
  }
  return true;
}

// What overloads refuse that say how to make a mask.
template <class M>
concept no_mask = !attention_mask<M>;

// Whether `row`, of which `range` is what the mask says, sees `key`, which the range holds.
template <attention_mask Mask>
bool sees_held(const key_range& range, const Mask& mask, const query_row& row, Index key) {
  return range.shows(key) || (!range.hides(key) && mask.visible(row, key));
}

// The same of any key.
template <attention_mask Mask>
bool sees_within(const key_range& range, const Mask& mask, const query_row& row, Index key) {
  return range.holds(key) && sees_held(range, mask, row, key);
}

}  // namespace detail

/// Whether `row` sees `key` under `mask`: the two answers of a mask in one.
template <attention_mask Mask>
bool sees(const Mask& mask, const query_row& row, Index key) {
  return detail::sees_within(mask.keys(row), mask, row, key);
}

}  // namespace headroom::inline HEADROOM_ISA
