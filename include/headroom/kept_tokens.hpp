// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/mask.hpp>
#include <headroom/selected_mask.hpp>

#include <algorithm>
#include <limits>
#include <utility>

namespace headroom::inline HEADROOM_ISA {

/// What a ring_cache keeps, in tokens.
struct ring_shape {
  Index window;      ///< keys that a query sees, its own position included; at least 1
  Index prefix = 0;  ///< first tokens of the context that every query sees beside its window
  Index chunk = 1;   ///< most tokens that are appended at once; at least 1
};

namespace detail {

inline const ring_shape& checked_ring(const ring_shape& shape) {
  // Of which sums do not overflow.
  static constexpr Index most = std::numeric_limits<Index>::max() / 8;
  const auto in_range = [](const char* name, Index value, Index least) {
    require_at_least("ring_cache", name, value, least);
    require(value <= most, "ring_cache: ", name, " = ", value, ", expected at most ", most);
  };
  in_range("window", shape.window, 1);
  in_range("prefix", shape.prefix, 0);
  in_range("chunk", shape.chunk, 1);
  return shape;
}

// Where the tokens of a ring lie.
struct ring_places {
  Index prefix;       // tokens that stay in the first slots
  Index turn;         // slots that the others use in turn
  Index page = 1;     // tokens that are kept or given up together, in slots beside each other
  Index dropped = 0;  // tokens behind the prefix whose slots are gone, not used again

  Index slot(Index t) const { return t < prefix ? t : prefix + (t - prefix - dropped) % turn; }

  // The first token of a token's page.
  Index page_of(Index t) const { return t - t % page; }
};

}  // namespace detail

/// What a call over a ring_cache reads: the prefix, and the tokens from the first query's window
/// on; of a ring on pages, all pages that have any of these. A source of these alone, in their
/// order, whose runs end where the ring begins again; its mask is masked(...). Refers to the ring,
/// and is good until that changes.
template <kv_source Cache>
class kept_tokens {
 public:
  using KeyCodec = typename Cache::KeyCodec;
  using ValueCodec = typename Cache::ValueCodec;
  static constexpr bool values_in_keys = detail::has_values_in_keys<Cache>;

  /// \param slots     the ring's memory
  /// \param shape     of the ring
  /// \param places    where in it tokens lie
  /// \param seen      tokens of the whole context
  /// \param position  of the first query among these
  kept_tokens(const Cache& slots, const ring_shape& shape, const detail::ring_places& places,
              Index seen, Index position)
      : slots_(&slots),
        shape_(shape),
        places_(places),
        seen_(seen),
        position_(position),
        prefix_(std::min(places.prefix, seen)),
        first_(std::clamp(places.page_of(std::max<Index>(position - shape.window + 1, 0)), prefix_,
                          seen)) {}

  Index tokens() const { return prefix_ + seen_ - first_; }
  Index groups() const { return slots_->groups(); }
  Index qk_dim() const { return slots_->qk_dim(); }
  Index v_dim() const { return slots_->v_dim(); }

  /// The i-th of these tokens among all, as of any kv_selection.
  Index token(Index i) const { return i < prefix_ ? i : first_ + i - prefix_; }
  /// How many of them come before token t.
  Index place(Index t) const {
    return std::clamp<Index>(t, 0, prefix_) + std::clamp(t, first_, seen_) - first_;
  }
  /// Tokens there are to select from.
  Index all_tokens() const { return seen_; }

  auto keys(Index g, Index begin, Index end) const {
    const Index slot = places_.slot(token(begin));
    return slots_->keys(g, slot, slot + run(slot, begin, end));
  }
  auto values(Index g, Index begin, Index end) const {
    const Index slot = places_.slot(token(begin));
    return slots_->values(g, slot, slot + run(slot, begin, end));
  }

  /// Where the first query stands among these tokens: first_position of a call over them.
  Index first_position() const { return position_ - (first_ - prefix_); }

  /// A mask over the whole context, for a call over these tokens, that hides as well what is
  /// neither in the window nor in the prefix. Of a cascade it shows all that is shared.
  template <attention_mask Mask>
  auto masked(Mask mask) const {
    // Among those kept the window is as wide as in the whole context.
    return selected_mask<Mask, kept_tokens>(std::move(mask), *this, position_) &
           (sliding_window(shape_.window) | prefix(shape_.prefix));
  }

 private:
  // How many tokens from the one at `begin`, in `slot`, are in slots that follow.
  Index run(Index slot, Index begin, Index end) const {
    const bool to_the_end = begin >= prefix_ || places_.slot(first_) == prefix_;
    return std::min(end - begin, (to_the_end ? slots_->tokens() : prefix_) - slot);
  }

  const Cache* slots_;
  ring_shape shape_;
  detail::ring_places places_;
  Index seen_;
  Index position_;
  Index prefix_;  // tokens kept of the beginning
  Index first_;   // token after these
};

}  // namespace headroom::inline HEADROOM_ISA
