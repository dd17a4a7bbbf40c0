// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/mask.hpp>
#include <headroom/view.hpp>

#include <algorithm>
#include <array>
#include <bitset>
#include <concepts>
#include <ranges>

namespace headroom::inline HEADROOM_ISA {

/// A tree of drafts, for speculative decoding: the last `drafts()` keys are guesses, each the
/// continuation of another or of the text so far, and a draft sees the text, its ancestors and
/// itself. Verifying all of them is one call over the cache; each result is what causal attention
/// gives over the text and the draft's path alone.
///
///   const int parents[] = {-1, 0, 0, 1};           // the drafts: a root, its two children, ...
///   cache.append(k, v);                            // the keys and values of all four
///   gqa(q, cache, out, headroom::tree_mask<>(parents));
///
/// The drafts are the last tokens of the cache, so they are appended before the call. No check sees
/// where that was forgotten: the end of the text would be taken for them.
///
/// The queries are those of the drafts, or of the last of them, where those before had their turn:
/// a tree may grow level by level, each a call under the mask of all drafts so far. Positions, as
/// in every mask, are places in the cache: the draft at place i stands at kv_len - drafts() + i,
/// whatever its depth. (RoPE wants depths.) So what goes by distance, a window of the mask's or of
/// a ring_cache, or ALiBi, counts a draft's elder cousins as text: near its far end a window shows
/// a draft fewer tokens than it would see along its path alone. Where that matters, let the drafts
/// of one call be a chain.
/// Queries before the drafts are causal. Keys before the drafts are never asked for one by one, so
/// a tree costs what a causal chunk does.
///
/// \tparam most_drafts  room for drafts; the mask holds most_drafts^2 bits and no memory besides
/// \source Miao et al., SpecInfer, arXiv 2305.09781, section 4.1
template <int most_drafts = 64>
class tree_mask : public mask_defaults {
  static_assert(most_drafts >= 1, "tree_mask<most_drafts>: most_drafts must be at least 1");

 public:
  /// Draft i continues draft parents[i], which comes before it, or, if that is -1, the text.
  ///
  /// \param parents  integers in memory: an array, a std::vector, a std::span
  /// \throws std::invalid_argument if a parent does not precede its child, or there are too many
  template <std::ranges::contiguous_range Parents>
  requires std::signed_integral<std::ranges::range_value_t<const Parents>>
  explicit tree_mask(const Parents& parents)
      : tree_mask(static_cast<Index>(std::ranges::size(parents))) {
    for (Index i = 0; i < drafts_; ++i) {
      const auto parent = static_cast<Index>(std::ranges::data(parents)[i]);
      detail::require(-1 <= parent && parent < i, "tree_mask: parents[", i, "] = ", parent,
                      ", expected -1 to ", i - 1, ": a parent precedes its child");
      if (parent >= 0) of(i) = of(parent);
      of(i).set(static_cast<std::size_t>(i));
    }
  }

  /// Draft i sees draft j iff sees(i, j): the bits of another program's tree.
  ///
  /// \param sees  [drafts, drafts], an Eigen row-major matrix or a view with one head
  /// \throws std::invalid_argument unless each draft sees itself and none that comes after it
  template <viewable Flags>
  static tree_mask from_ancestors(const Flags& sees) {
    const auto flags = as_view(sees, 1);
    detail::require(flags.heads() == 1 && flags.dim() == flags.tokens(),
                    "tree_mask: ancestors are [", flags.tokens(), ", ", flags.heads(), ", ",
                    flags.dim(), "], expected [", flags.tokens(), ", 1, ", flags.tokens(), "]");
    tree_mask mask(flags.tokens());
    for (Index i = 0; i < mask.drafts_; ++i)
      for (Index j = 0; j < mask.drafts_; ++j) {
        const auto seen = static_cast<bool>(flags(i, 0, j));
        detail::require(j < i || seen == (j == i), "tree_mask: draft ", i,
                        seen ? " sees draft " : " does not see draft ", j,
                        ", expected to see itself and ancestors, which precede it");
        mask.of(i).set(static_cast<std::size_t>(j), seen);
      }
    return mask;
  }

  Index drafts() const { return drafts_; }

  key_range keys(const query_row& row) const {
    // Up to its own place there is every ancestor; the text is all visible.
    const Index text = row.kv_len - drafts_, end = std::min(row.position + 1, row.kv_len);
    return {.begin = 0, .end = end, .full = end <= text, .full_end = std::min(text, end)};
  }
  bool visible(const query_row& row, Index key) const {
    const Index text = row.kv_len - drafts_, draft = row.position - text;
    if (key < text) return true;
    return draft < drafts_ &&
           ancestors_[static_cast<std::size_t>(draft)].test(static_cast<std::size_t>(key - text));
  }

  void check(const mask_shape& shape) const {
    detail::require(drafts_ <= shape.kv_len, "tree_mask: ", drafts_,
                    " drafts, expected at most kv_len = ", shape.kv_len,
                    ": they are the last keys");
  }

 private:
  using bits = std::bitset<static_cast<std::size_t>(most_drafts)>;

  explicit tree_mask(Index drafts) : drafts_(drafts) {
    detail::require(drafts <= most_drafts, "tree_mask<", most_drafts, ">: ", drafts,
                    " drafts were given, expected at most ", most_drafts);
  }

  bits& of(Index draft) { return ancestors_[static_cast<std::size_t>(draft)]; }

  Index drafts_;
  std::array<bits, static_cast<std::size_t>(most_drafts)> ancestors_;  // and itself
};

}  // namespace headroom::inline HEADROOM_ISA
