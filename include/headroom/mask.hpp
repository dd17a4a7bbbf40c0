// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/attention_mask.hpp>
#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>

#include <algorithm>
#include <concepts>
#include <limits>
#include <utility>

// Masks that are formulas, and how masks compose: with & (visible to both) and | (visible to
// either).

namespace headroom::inline HEADROOM_ISA {

/// Every query sees every key.
struct none : mask_defaults {};

/// Query at position p sees keys j <= p. With the default positions the last query sees every key
/// (bottom-right alignment), so prefill, chunked prefill and decode over a cache are all right.
/// Where there are more queries than keys the first q_len - kv_len queries see nothing.
struct causal : mask_defaults {
  key_range keys(const query_row& row) const { return {0, row.position + 1, true}; }
};

/// Query row t sees keys j <= t, whatever the positions: the alignment of PyTorch's is_causal.
struct causal_top_left : mask_defaults {
  key_range keys(const query_row& row) const { return {0, row.query + 1, true}; }
};

/// Query at position p sees keys j > p - window: `window` keys, its own position included. Keys
/// after p stay visible up to `ahead` of them (all by default); compose with causal to hide them.
struct sliding_window : mask_defaults {
  static constexpr Index unlimited = std::numeric_limits<Index>::max() / 4;

  Index window;             ///< keys up to and including the own position, at least 1
  Index ahead = unlimited;  ///< keys after the own position, at least 0

  explicit sliding_window(Index window_tokens, Index ahead_tokens = unlimited)
      : window(window_tokens), ahead(ahead_tokens) {}

  /// |p - j| < window: the same reach before and after the own position.
  static sliding_window symmetric(Index window_tokens) {
    return sliding_window(window_tokens, window_tokens - 1);
  }

  key_range keys(const query_row& row) const {
    const Index begin = row.position - std::min(window, unlimited) + 1;
    const Index end = ahead >= unlimited ? row.kv_len : row.position + ahead + 1;
    return {begin, end, true};
  }

  void check(const mask_shape&) const {
    detail::require(window >= 1, "sliding_window: window = ", window,
                    ", expected at least 1 (it counts the own position)");
    detail::require(ahead >= 0, "sliding_window: ahead = ", ahead, ", expected at least 0");
  }
};

/// The context is cut into chunks of `chunk` tokens, and a query sees the keys of the one it stands
/// in; compose with causal to hide those after it, as the local layers of Llama 4 do.
struct local_chunk : mask_defaults {
  Index chunk;       ///< tokens, at least 1
  Index before = 0;  ///< tokens that come before key 0 in the context, those that a sequence of a
                     ///< cascade shares: 0 to sliding_window::unlimited

  explicit local_chunk(Index chunk_tokens, Index tokens_before = 0)
      : chunk(chunk_tokens), before(tokens_before) {}

  key_range keys(const query_row& row) const {
    const Index tokens = std::min(chunk, sliding_window::unlimited);
    const Index place = row.position + before, into = place % tokens;
    const Index begin = place - (into < 0 ? into + tokens : into) - before;
    return {begin, begin + tokens, true};
  }

  void check(const mask_shape&) const {
    detail::require(chunk >= 1, "local_chunk: chunk = ", chunk, ", expected at least 1");
    detail::require(before >= 0 && before <= sliding_window::unlimited,
                    "local_chunk: before = ", before, ", expected 0 to ",
                    sliding_window::unlimited);
  }
};

/// Every query sees the first `tokens` keys. `causal{} | prefix{n}` is the prefix language model,
/// `causal{} & (sliding_window{w} | prefix{n})` keeps the first n tokens beside a window.
struct prefix : mask_defaults {
  Index tokens;

  explicit prefix(Index prefix_tokens) : tokens(prefix_tokens) {}

  key_range keys(const query_row&) const { return {0, tokens, true}; }

  void check(const mask_shape&) const {
    detail::require(tokens >= 0, "prefix: tokens = ", tokens, ", expected at least 0");
  }
};

/// Only the first `length` keys are real; the rest is padding and is never read for a result. It
/// counts where positions do: a prompt that stands at the beginning of a padded buffer is causal if
/// options.first_position says 0, for by default the last query stands at the buffer's end.
struct key_length : mask_defaults {
  Index length;

  explicit key_length(Index real_keys) : length(real_keys) {}

  key_range keys(const query_row&) const { return {0, length, true}; }

  void check(const mask_shape& shape) const {
    detail::require(0 <= length && length <= shape.kv_len, "key_length: length = ", length,
                    ", expected 0 to kv_len = ", shape.kv_len);
  }
};

/// Visible to both; scores are modified by `first`, then by `second`.
template <attention_mask First, attention_mask Second>
struct both_masks {
  static_assert(detail::check_mask<First>() && detail::check_mask<Second>());
  static constexpr bool modifies_scores = First::modifies_scores || Second::modifies_scores;

  First first;
  Second second;

  key_range keys(const query_row& row) const {
    const key_range a = first.keys(row), b = second.keys(row);
    const bool more = b.hidden_end - b.hidden_begin > a.hidden_end - a.hidden_begin;
    return {std::max(a.begin, b.begin),
            std::min(a.end, b.end),
            a.full && b.full,
            std::max(a.full_begin, b.full_begin),
            std::min(a.full_end, b.full_end),
            more ? b.hidden_begin : a.hidden_begin,
            more ? b.hidden_end : a.hidden_end};
  }
  bool visible(const query_row& row, Index key) const {
    // The ranges of both hold what this one's holds. Of a mask that is a range nothing is left to
    // ask, which leaves compilers a loop over the other's answers.
    return detail::sees_held(first.keys(row), first, row, key) &&
           detail::sees_held(second.keys(row), second, row, key);
  }
  template <class Score>
  Score modify(Score score, const query_row& row, Index key) const {
    return second.modify(first.modify(score, row, key), row, key);
  }
  void check(const mask_shape& shape) const {
    first.check(shape);
    second.check(shape);
  }
};

/// Visible to either.
template <attention_mask First, attention_mask Second>
struct either_mask : mask_defaults {
  static_assert(detail::check_mask<First>() && detail::check_mask<Second>());
  First first;
  Second second;

  either_mask(First a, Second b) : first(std::move(a)), second(std::move(b)) {
    static_assert(!First::modifies_scores && !Second::modifies_scores,
                  "headroom: | joins masks that only hide keys; a bias or score modification "
                  "applies to every visible key, so add it with & outside the |");
  }

  key_range keys(const query_row& row) const {
    const key_range a = within(first.keys(row)), b = within(second.keys(row));
    if (a.empty()) return b;
    if (b.empty()) return a;
    const auto [full_begin, full_end] = shown_by_either(a, b);
    const auto [hidden_begin, hidden_end] = hidden_by_both(a, b);
    const Index begin = std::min(a.begin, b.begin), end = std::max(a.end, b.end);
    return {begin,        end,       full_begin <= begin && end <= full_end, full_begin, full_end,
            hidden_begin, hidden_end};
  }
  bool visible(const query_row& row, Index key) const {
    return sees(first, row, key) || sees(second, row, key);
  }
  void check(const mask_shape& shape) const {
    first.check(shape);
    second.check(shape);
  }

 private:
  // The keys between a and b; where these meet, what both hide.
  static std::pair<Index, Index> hidden_by_both(const key_range& a, const key_range& b) {
    if (a.end < b.begin) return {a.end, b.begin};
    if (b.end < a.begin) return {b.end, a.begin};
    return {std::max(a.hidden_begin, b.hidden_begin), std::min(a.hidden_end, b.hidden_end)};
  }

  // What a range shows beyond its end it does not have.
  static key_range within(key_range range) {
    range.full_begin = std::clamp(range.full_begin, range.begin, std::max(range.begin, range.end));
    range.full_end =
        std::clamp(range.full_end, range.full_begin, std::max(range.full_begin, range.end));
    return range;
  }

  // The keys that a and b show without asking, where these are one run; else the longer of the two.
  static std::pair<Index, Index> shown_by_either(const key_range& a, const key_range& b) {
    if (a.full_begin <= b.full_end && b.full_begin <= a.full_end)
      return {std::min(a.full_begin, b.full_begin), std::max(a.full_end, b.full_end)};
    const bool first_is_longer = a.full_end - a.full_begin > b.full_end - b.full_begin;
    const key_range& longer = first_is_longer ? a : b;
    return {longer.full_begin, longer.full_end};
  }
};

/// The keys that both masks show.
template <attention_mask First, attention_mask Second>
both_masks<First, Second> operator&(First first, Second second) {
  return {std::move(first), std::move(second)};
}

/// The keys that either mask shows, of masks that modify no score.
template <attention_mask First, attention_mask Second>
either_mask<First, Second> operator|(First first, Second second) {
  return {std::move(first), std::move(second)};
}

}  // namespace headroom::inline HEADROOM_ISA
