// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/cost.hpp>
#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/nesting.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/mask.hpp>
#include <headroom/options.hpp>
#include <headroom/parallel.hpp>
#include <headroom/selected_mask.hpp>
#include <headroom/view.hpp>

#include <algorithm>
#include <concepts>
#include <optional>
#include <stdexcept>
#include <utility>

// Sliding windows over a context without end, in memory that does not grow with it.

namespace headroom::inline HEADROOM_ISA {

/// What a ring_cache keeps, in tokens.
struct ring_shape {
  Index window;      ///< keys that a query sees, its own position included; at least 1
  Index prefix = 0;  ///< first tokens of the context that every query sees beside its window
  Index chunk = 1;   ///< most tokens that are appended at once; at least 1
};

namespace detail {

// Where token t lies: the prefix stays in the first slots, the others are used in turn.
inline Index ring_slot(const ring_shape& shape, Index t) {
  return t < shape.prefix
             ? t
             : shape.prefix + (t - shape.prefix) % ring_tokens(shape.window, 0, shape.chunk);
}

}  // namespace detail

/// What a call over a ring_cache reads: the prefix, and the tokens from the first query's window
/// on. A source of these alone, in their order, whose runs end where the ring begins again; its
/// mask is masked(...). Refers to the ring, and is good until that changes.
template <kv_source Cache>
class kept_tokens {
 public:
  using KeyCodec = typename Cache::KeyCodec;
  using ValueCodec = typename Cache::ValueCodec;
  static constexpr bool values_in_keys = detail::has_values_in_keys<Cache>;

  /// \param slots     the ring's memory
  /// \param seen      tokens of the whole context
  /// \param position  of the first query among these
  kept_tokens(const Cache& slots, const ring_shape& shape, Index seen, Index position)
      : slots_(&slots),
        shape_(shape),
        seen_(seen),
        position_(position),
        prefix_(std::min(shape.prefix, seen)),
        first_(std::clamp(position - shape.window + 1, prefix_, seen)) {}

  Index tokens() const { return prefix_ + seen_ - first_; }
  Index groups() const { return slots_->groups(); }
  Index qk_dim() const { return slots_->qk_dim(); }
  Index v_dim() const { return slots_->v_dim(); }

  Index token(Index i) const { return i < prefix_ ? i : first_ + i - prefix_; }
  Index place(Index t) const {
    return std::clamp<Index>(t, 0, prefix_) + std::clamp(t, first_, seen_) - first_;
  }
  Index all_tokens() const { return seen_; }

  auto keys(Index g, Index begin, Index end) const {
    const Index slot = detail::ring_slot(shape_, token(begin));
    return slots_->keys(g, slot, slot + run(slot, begin, end));
  }
  auto values(Index g, Index begin, Index end) const {
    const Index slot = detail::ring_slot(shape_, token(begin));
    return slots_->values(g, slot, slot + run(slot, begin, end));
  }

  /// Where the first query stands among these tokens: first_position of a call over them.
  Index first_position() const { return position_ - (first_ - prefix_); }

  /// A mask over the whole context, for a call over these tokens, that hides as well what is
  /// neither in the window nor in the prefix.
  template <attention_mask Mask>
  auto masked(Mask mask) const {
    // Among those kept the window is as wide as in the whole context.
    return selected_mask<Mask, kept_tokens>(std::move(mask), *this, position_) &
           (sliding_window(shape_.window) | prefix(shape_.prefix));
  }

 private:
  // How many tokens from the one at `begin`, in `slot`, follow one another in memory.
  Index run(Index slot, Index begin, Index end) const {
    const bool to_the_end = begin >= prefix_ || detail::ring_slot(shape_, first_) == prefix_;
    return std::min(end - begin, (to_the_end ? slots_->capacity() : prefix_) - slot);
  }

  const Cache* slots_;
  ring_shape shape_;
  Index seen_;
  Index position_;
  Index prefix_;  // tokens kept of the beginning
  Index first_;   // token after these
};

/// A cache of the last tokens, and of the first few: its memory is the window, not the context.
///
///   ring_cache<kv_cache<Eigen::bfloat16, 8, 128>> cache({.window = 4096, .prefix = 4,
///                                                        .chunk = 512});
///   cache.append(k, v);                // at most 512 tokens at once, any number in all
///   attend(q, cache, out, causal{});
///
/// is attention over all tokens so far under `causal{} & (sliding_window{4096} | prefix{4})`: a
/// mask speaks of the whole context, kv_len is tokens(), and the ring adds its window to it. Layers
/// take it as any cache; a ring_cache<latent_cache<...>> is the same for MLA.
///
/// Keys have the positions of the whole context, and so have rotated keys, prefix included; what
/// queries see of a window is right for models trained with it. StreamingLLM counts positions among
/// the kept tokens instead, so that the prefix never is further away than the model was trained
/// for: a kv_cache and shift_context do that.
///
/// Memory is that of ring_tokens(window, prefix, chunk) tokens: a chunk's last tokens must not
/// overwrite what its first query sees. Going back `chunk` tokens from the most there were is
/// always exact, and results do not depend on what was taken back, nor on the chunks that tokens
/// came in.
///
/// A rotated_cache goes around a ring, not into it: rotated_cache<ring_cache<kv_cache<...>>>.
///
/// Not to be written while it is read; reading from several threads is fine.
///
/// \tparam Cache  a kv_cache or a latent_cache: what the tokens are kept in
/// \source the prefix: StreamingLLM, arXiv 2309.17453, section 3.2
template <class Cache>
requires(kv_source<Cache> || wrapping_cache<Cache>) class ring_cache {
  static_assert(detail::check_ring<Cache>());

 public:
  /// \param sizes  of the cache that the tokens are kept in, after its capacity
  /// \throws std::invalid_argument naming the size that is wrong
  template <std::convertible_to<Index>... Sizes>
  requires std::constructible_from<Cache, Index, Sizes...>
  explicit ring_cache(const ring_shape& shape, Sizes... sizes)
      : shape_(checked(shape)),
        slots_(ring_tokens(shape.window, shape.prefix, shape.chunk), sizes...) {}

  /// Tokens so far, those that were dropped included.
  Index tokens() const { return seen_; }
  /// Tokens that there is memory for.
  Index capacity() const { return slots_.capacity(); }
  const ring_shape& shape() const { return shape_; }
  Index groups() const { return slots_.groups(); }
  Index qk_dim() const { return slots_.qk_dim(); }
  Index v_dim() const { return slots_.v_dim(); }
  Index bytes_per_token() const { return slots_.bytes_per_token(); }

  /// The cache in it, of tokens in the order of their slots.
  const Cache& stored() const { return slots_; }

  /// Adds tokens at the end, in place of the oldest where there is no other room.
  ///
  /// \param k, v  as for the cache in it; of a latent_cache the latents and rotary keys
  /// \throws std::length_error if there are more than `chunk`, and as the cache in it does where a
  ///         shape disagrees; the ring is then unchanged
  template <viewable Keys, viewable Values>
  void append(const Keys& k, const Values& v) {
    const auto keys = detail::view_argument("ring_cache", "k", k, groups());
    const auto values = detail::view_argument("ring_cache", "v", v, groups());
    const Index count = keys.tokens();
    detail::require(values.tokens() == count, "ring_cache: ", count, " and ", values.tokens(),
                    " tokens were given, expected as many of both");
    if (count > shape_.chunk)
      throw std::length_error("ring_cache: appending " + detail::text(count) +
                              " tokens at once exceeds the chunk of " + detail::text(shape_.chunk));
    Index done = 0;
    do {  // even without a token, for its checks
      const Index slot = detail::ring_slot(shape_, seen_ + done);
      const Index end = std::min(done + capacity() - slot, count);
      slots_.write(slot, keys.slice_tokens(done, end), values.slice_tokens(done, end));
      done = end;
    } while (done < count);
    seen_ += count;
    oldest_ = std::max(oldest_, seen_ - ring_tokens(shape_.window, 0, shape_.chunk));
  }

  /// Keeps the first `tokens` tokens of the context; exact, whatever came after them.
  ///
  /// \throws std::invalid_argument if there are fewer, or if the next query would see a token that
  ///         was overwritten; the ring is then unchanged
  void truncate(Index tokens) {
    detail::require(0 <= tokens && tokens <= seen_, "ring_cache: truncate to ", tokens,
                    " tokens, expected 0 to size = ", seen_);
    const bool sees_the_ring = shape_.window > 1 && tokens > shape_.prefix;
    if (sees_the_ring) require_kept("truncate: the next query", tokens);
    seen_ = tokens;
    oldest_ = std::min(oldest_, tokens);
  }

  /// Forgets every token.
  void clear() { truncate(0); }

  /// The tokens that a call of q_len queries reads, for entry points that take a source and a mask,
  /// such as attend_batch:
  ///
  ///   const auto kept = cache.kept(q_len);
  ///   sequences.emplace_back(kept, kept.masked(causal{}), kept.first_position());
  ///
  /// \param first_position  of the first query in the whole context; tokens() - q_len if not given
  /// \return kept_tokens<Cache>
  /// \throws std::invalid_argument if a query would see a token that was overwritten
  auto kept(Index q_len, std::optional<Index> first_position = std::nullopt) const {
    const Index position = first_position.value_or(seen_ - q_len);
    require_kept("the first query", position);
    return kept_tokens<Cache>(slots_, shape_, seen_, position);
  }

  /// What attention does with this cache in place of a source: calls itself over the kept tokens.
  template <class Attention, viewable Query, viewable Out, attention_mask Mask, executor Executor>
  void attend(const Attention& attention, const Query& q, Out&& out, const Mask& mask,
              const attention_options<scalar_of<Out>>& options, const Executor& executor) const {
    const auto kept = this->kept(as_view(q, 1).tokens(), options.first_position);
    auto among_kept = options;
    among_kept.first_position = kept.first_position();
    attention(q, kept, out, kept.masked(detail::mask_reference<Mask>{&mask}), among_kept, executor);
  }

 private:
  static const ring_shape& checked(const ring_shape& shape) {
    const auto at_least = [](const char* name, Index value, Index least) {
      detail::require(value >= least, "ring_cache: ", name, " = ", value, ", expected at least ",
                      least);
    };
    at_least("window", shape.window, 1);
    at_least("prefix", shape.prefix, 0);
    at_least("chunk", shape.chunk, 1);
    return shape;
  }

  void require_kept(const char* what, Index position) const {
    const Index first = std::max(position - shape_.window + 1, shape_.prefix);
    detail::require(first >= oldest_, "ring_cache: ", what, " at position ", position,
                    " sees token ", first, ", expected at least ", oldest_,
                    ", the oldest that is kept");
  }

  ring_shape shape_;
  Cache slots_;       // the prefix, then the ring
  Index seen_ = 0;    // tokens of the whole context
  Index oldest_ = 0;  // of those behind the prefix, the first that was not overwritten
};

}  // namespace headroom::inline HEADROOM_ISA
