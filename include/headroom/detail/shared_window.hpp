// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/batch_sequence.hpp>
#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/packed_offsets.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/mask.hpp>
#include <headroom/selected_mask.hpp>

#include <algorithm>
#include <ranges>
#include <type_traits>

// Windows and chunks of sequences that share what stands before their own keys, at -1, -2 and so
// on. A mask speaks of own keys alone, and what it hides is behind some key, save for these: they
// go on before key 0.

namespace headroom::inline HEADROOM_ISA::detail {

/// How far a mask's windows reach: begin(mask, row) is the first key that `row` may see, below 0
/// where that is a shared one. `bounded` tells whether there is a window at all, and check refuses
/// one that counts from the first of other shared tokens than the `shared` that there are.
template <attention_mask Mask>
struct window_reach {
  static constexpr bool bounded = false;
  static Index begin(const Mask&, const query_row&) { return -sliding_window::unlimited; }
  static void check(const Mask&, const caller&, Index) {}
};

// Of a batch_sequence whose mask is const.
template <attention_mask Mask>
struct window_reach<const Mask> : window_reach<Mask> {};

template <>
struct window_reach<sliding_window> {
  static constexpr bool bounded = true;
  static Index begin(const sliding_window& mask, const query_row& row) {
    return mask.keys(row).begin;
  }
  static void check(const sliding_window&, const caller&, Index) {}
};

template <>
struct window_reach<local_chunk> {
  static constexpr bool bounded = true;
  static Index begin(const local_chunk& mask, const query_row& row) { return mask.keys(row).begin; }
  static void check(const local_chunk& mask, const caller& who, Index shared) {
    require(mask.before == shared, who, ": local_chunk counts ", mask.before,
            " tokens before key 0, expected the ", shared, " that are shared");
  }
};

/// Of two masks joined.
template <attention_mask First, attention_mask Second>
struct joined_reach {
  template <class Joined>
  static void check(const Joined& mask, const caller& who, Index shared) {
    window_reach<First>::check(mask.first, who, shared);
    window_reach<Second>::check(mask.second, who, shared);
  }
};

template <attention_mask First, attention_mask Second>
struct window_reach<both_masks<First, Second>> : joined_reach<First, Second> {
  static constexpr bool bounded = window_reach<First>::bounded || window_reach<Second>::bounded;
  static Index begin(const both_masks<First, Second>& mask, const query_row& row) {
    return std::max(window_reach<First>::begin(mask.first, row),
                    window_reach<Second>::begin(mask.second, row));
  }
};

template <attention_mask First, attention_mask Second>
struct window_reach<either_mask<First, Second>> : joined_reach<First, Second> {
  static constexpr bool bounded = window_reach<First>::bounded && window_reach<Second>::bounded;
  static Index begin(const either_mask<First, Second>& mask, const query_row& row) {
    return std::min(window_reach<First>::begin(mask.first, row),
                    window_reach<Second>::begin(mask.second, row));
  }
};

template <attention_mask Mask, kv_selection Selection>
struct window_reach<selected_mask<Mask, Selection>> {
  static constexpr bool bounded = window_reach<Mask>::bounded;
  static Index begin(const selected_mask<Mask, Selection>& mask, const query_row& row) {
    return window_reach<Mask>::begin(mask.mask, mask.among_all(row));
  }
  static void check(const selected_mask<Mask, Selection>& mask, const caller& who, Index shared) {
    window_reach<Mask>::check(mask.mask, who, shared);
  }
};

/// What rows of several sequences see of keys that these share: all from one on.
struct shared_window : mask_defaults {
  const Index* first;  ///< [rows]

  explicit shared_window(const Index* first_keys) : first(first_keys) {}
  key_range keys(const query_row& row) const { return {first[row.query], row.kv_len, true}; }
};

/// The mask over shared keys of sequences that have such a one over their own.
template <attention_mask Mask>
using mask_over_shared = std::conditional_t<window_reach<Mask>::bounded, shared_window, none>;

/// Whether a sequence begins with a prefix.
template <class Prefix>
bool has_sequence(const Prefix& prefix, Index sequence) {
  return prefix.begin() <= sequence && sequence < prefix.end();
}

/// Tokens of the prefixes from the i-th on that a sequence begins with.
template <class Prefixes>
Index tokens_shared(Index sequence, const Prefixes& prefixes, Index i = 0) {
  Index tokens = 0;
  for (; i < length(prefixes); ++i)
    if (has_sequence(at(prefixes, i), sequence)) tokens += at(prefixes, i).source().tokens();
  return tokens;
}

/// That over prefix i of a cascade, whose prefixes stand one after another.
template <offset_range Offsets, class Prefixes, sequence_range Sequences>
auto windows_over(Index i, const Offsets& offsets, const Prefixes& prefixes,
                  const Sequences& sequences, scratch& memory) {
  using Mask = typename std::ranges::range_value_t<const Sequences>::Mask;
  if constexpr (!window_reach<Mask>::bounded) {
    return none();
  } else {
    const Index begin = at(prefixes, i).begin(), end = at(prefixes, i).end();
    auto* const first = memory.take<Index>(offset(offsets, end) - offset(offsets, begin));
    Index* next = first;
    for (Index s = begin; s < end; ++s) {
      const auto& sequence = at(sequences, s);
      const Index q_len = offset(offsets, s + 1) - offset(offsets, s);
      const Index kv_len = sequence.source().tokens();
      const Index position = sequence.first_position().value_or(kv_len - q_len);
      const Index shared = tokens_shared(s, prefixes, i);  // from the prefix's first to the own
      for (Index t = 0; t < q_len; ++t)
        *next++ = shared + window_reach<Mask>::begin(sequence.mask(), {0, t, position + t, kv_len});
    }
    return shared_window(first);
  }
}

}  // namespace headroom::inline HEADROOM_ISA::detail
