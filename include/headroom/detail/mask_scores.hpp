// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/mask.hpp>
#include <headroom/softmax_state.hpp>

#include <algorithm>

namespace headroom::inline HEADROOM_ISA::detail {

/// Keys first, first + next, and so on.
struct key_run {
  Index first;
  Index next;
  Index count;

  Index operator()(Index k) const { return first + k * next; }
  key_run from(Index k) const { return {(*this)(k), next, count - k}; }
};

// Scores are taken out of where they lie, some at a time, so that compilers can make packets of a
// mask's formula.
inline constexpr Index most_masked_together = 64;

// Whether a mask is asked about every key of [first, last]: the range holds all, and shows and
// hides none.
inline bool asks_about_all(const key_range& range, Index first, Index last) {
  const auto apart = [&](Index begin, Index end) { return last < begin || end <= first; };
  return range.begin <= first && last < range.end && !range.full &&
         apart(range.full_begin, range.full_end) && apart(range.hidden_begin, range.hidden_end);
}

/// mask_scores of so few keys.
template <class Scalar, attention_mask Mask, class Score>
bool mask_few_scores(const Mask& mask, const query_row& row, const key_range& range,
                     const key_run& keys, bool all_seen, Scalar unit, const Score& score) {
  bool seen[most_masked_together];
  Index seen_count = keys.count;
  if (!all_seen) {
    seen_count = 0;
    if (asks_about_all(range, keys(0), keys(keys.count - 1)))
      for (Index k = 0; k < keys.count; ++k) seen_count += seen[k] = mask.visible(row, keys(k));
    else
      for (Index k = 0; k < keys.count; ++k)
        seen_count += seen[k] = sees_within(range, mask, row, keys(k));
  }
  const bool hides = seen_count < keys.count;
  if constexpr (Mask::modifies_scores) {
    Scalar scores[most_masked_together];
    for (Index k = 0; k < keys.count; ++k) scores[k] = unit * score(k);
    if (hides) {
      for (Index k = 0; k < keys.count; ++k)
        if (seen[k]) scores[k] = mask.modify(scores[k], row, keys(k));
    } else {
      for (Index k = 0; k < keys.count; ++k) scores[k] = mask.modify(scores[k], row, keys(k));
    }
    for (Index k = 0; k < keys.count; ++k) score(k) = scores[k];
  }
  if (hides)
    for (Index k = 0; k < keys.count; ++k)
      if (!seen[k]) score(k) = softmax_state<Scalar>::minus_infinity;
  return hides;
}

/// Adds a mask's biases to scores of one row, and hides those of keys that the row does not see;
/// returns whether there is such a key.
///
/// \param range     what the row may see
/// \param all_seen  whether it sees all of `keys`
/// \param unit      what scores are multiplied by before biases are added
/// \param score     k -> the score of key keys(k)
template <class Scalar, attention_mask Mask, class Score>
bool mask_scores(const Mask& mask, const query_row& row, const key_range& range,
                 const key_run& keys, bool all_seen, Scalar unit, const Score& score) {
  bool hides = false;
  for (Index first = 0; first < keys.count; first += most_masked_together) {
    key_run few = keys.from(first);
    few.count = std::min(few.count, most_masked_together);
    hides |= mask_few_scores(mask, row, range, few, all_seen, unit,
                             [&, first](Index k) -> Scalar& { return score(first + k); });
  }
  return hides;
}

}  // namespace headroom::inline HEADROOM_ISA::detail
