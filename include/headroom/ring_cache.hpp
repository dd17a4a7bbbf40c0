// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/cost.hpp>
#include <headroom/detail/cache_checks.hpp>
#include <headroom/detail/checked_call.hpp>
#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/kept_list.hpp>
#include <headroom/detail/memory.hpp>
#include <headroom/detail/nesting.hpp>
#include <headroom/kept_tokens.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/mask.hpp>
#include <headroom/options.hpp>
#include <headroom/page_stock.hpp>
#include <headroom/parallel.hpp>
#include <headroom/view.hpp>

#include <algorithm>
#include <concepts>
#include <limits>
#include <optional>
#include <stdexcept>
#include <utility>

// Sliding windows over a context without end, in memory that does not grow with it.

namespace headroom::inline HEADROOM_ISA {

/// A cache of the last tokens, and of the first few: its memory is the window, not the context.
///
///   ring_cache<kv_cache<Eigen::bfloat16, 8, 128>> cache({.window = 4096, .prefix = 4,
///                                                        .chunk = 512});
///   cache.append(k, v);                // at most a chunk of 512 at once, which is 1 if not given
///   attend(q, cache, out, causal{});
///
/// is attention over all tokens so far under `causal{} & (sliding_window{4096} | prefix{4})`: a
/// mask speaks of the whole context, kv_len is tokens(), and the ring adds its window to it. Layers
/// take it as any cache; a ring_cache<latent_cache<...>> is the same for MLA.
///
/// Keys have the positions of the whole context, and so have rotated keys, prefix included; what
/// queries see of a window is right for models trained with it. StreamingLLM counts positions among
/// the kept tokens instead, so that the prefix never is further away than the model was trained
/// for. Distances within the window are the same; the prefix follows it, its keys written anew
/// before each query, or each chunk, whose own tokens are counted (a layer appends them itself):
///
///   const Index dropped = std::max<Index>(0, tokens_with_these - (window + prefix));
///   rotary(sinks, rotated, dropped);   // the prefix's keys, kept from before their rotation
///   cache.write_keys(0, rotated);
///
/// Memory is that of ring_tokens(window, prefix, chunk) tokens: a chunk's last tokens must not
/// overwrite what its first query sees. Going back `chunk` tokens from the most there were is
/// always exact, and results do not depend on what was taken back, nor on the chunks that tokens
/// came in.
///
/// On the pages of a pool a ring takes pages as it grows, and gives up those that left its window;
/// forks share what they hold:
///
///   ring_cache<paged_cache<Eigen::bfloat16, 8, 128>> cache({.window = 4096}, pool);
///
/// It reads whole pages, so that results differ from those of a ring in one piece by rounding.
///
/// A rotated_cache goes around a ring, not into it: rotated_cache<ring_cache<kv_cache<...>>>.
///
/// Not to be written while it is read; reading from several threads is fine.
///
/// \tparam Cache  what the tokens are kept in: a kv_cache or latent_cache, or one of these on pages
/// \source the prefix: StreamingLLM, arXiv 2309.17453, section 3.2
template <detail::attended Cache>
class ring_cache {
  static_assert(detail::check_ring<Cache>());
  static constexpr bool on_pages = detail::is_on_pages<Cache>();

 public:
  /// \param sizes  of the cache that the tokens are kept in, after its capacity
  /// \throws std::invalid_argument naming the size that is wrong, or as the cache in it
  template <std::convertible_to<Index>... Sizes>
  requires std::constructible_from<Cache, Index, Sizes...>
  explicit ring_cache(const ring_shape& shape, Sizes... sizes)
      : shape_(detail::checked_ring(shape)),
        places_{.prefix = shape.prefix, .turn = ring_tokens(shape.window, 0, shape.chunk)},
        slots_(ring_tokens(shape.window, shape.prefix, shape.chunk), sizes...) {}

  /// On pages.
  ///
  /// \param pool  of the cache's kind; outlives the ring
  /// \throws std::invalid_argument naming the size that is wrong, or as the cache in it
  template <std::derived_from<page_stock> Pool>
  requires std::constructible_from<Cache, Pool&, Index> ring_cache(const ring_shape& shape,
                                                                   Pool& pool)
      : shape_(detail::checked_ring(shape)),
        places_(on_pages_of(pool, shape)),
        // Tokens are given up after those that take their place are there, by whole pages.
        slots_(pool, places_.prefix + ring_tokens(shape.window, 0, 2 * shape.chunk) +
                         pool.page_tokens() - 1) {}

  ring_cache(ring_cache&&) noexcept = default;
  ring_cache& operator=(ring_cache&&) noexcept = default;

  /// On pages: a ring of the same tokens on the same pages, see paged_cache.
  ring_cache fork() const requires(on_pages) { return ring_cache(*this, slots_.fork()); }

  /// Tokens so far, those that were dropped included.
  Index tokens() const { return seen_; }
  /// Tokens that there is memory for, or of a ring on pages: that it has at most.
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
    check_chunk(count);
    if constexpr (on_pages)
      slots_.append(keys, values);
    else
      in_pieces(tokens(), count, [&](Index slot, Index begin, Index end) {
        slots_.write(slot, keys.slice_tokens(begin, end), values.slice_tokens(begin, end));
      });
    seen_ += count;
    oldest_ = std::max<Index>(oldest_, tokens() - ring_tokens(shape_.window, 0, shape_.chunk));
    if constexpr (on_pages) drop_pages();
  }

  /// \throws std::length_error if `count` more tokens are more than `chunk`, or a pool has no room
  ///         for them, as append would
  void check_room(Index count) const {
    check_chunk(count);
    if constexpr (on_pages) slots_.check_room(count);
  }

  /// Writes keys in place of those from token `first` on, whose values stay.
  ///
  /// \param k  [tokens, KV_groups, qk_dim], which does not overlap the keys written
  /// \throws std::invalid_argument if a shape disagrees, if there are fewer tokens, or if one of
  ///         these was overwritten; on pages std::length_error if the pool has none for copies of
  ///         those that forks hold too; the ring is then unchanged
  template <viewable Keys>
  void write_keys(Index first, const Keys& k) requires(detail::writes_keys<Cache>) {
    const auto keys = detail::view_argument("ring_cache", "k", k, groups());
    require_written("keys", first, keys.tokens());
    in_pieces(first, keys.tokens(), [&](Index slot, Index begin, Index end) {
      slots_.write_keys(slot, keys.slice_tokens(begin, end));
    });
  }

  /// The same of rows of MLA: their rotary keys, while latents stay.
  ///
  /// \param rope_keys  [tokens, 1, rope]
  /// \throws as write_keys
  template <viewable RopeKeys>
  void write_rope_keys(Index first,
                       const RopeKeys& rope_keys) requires(detail::writes_rope_keys<Cache>) {
    const auto k_pe = detail::view_argument("ring_cache", "rope_keys", rope_keys, 1);
    require_written("rotary keys", first, k_pe.tokens());
    in_pieces(first, k_pe.tokens(), [&](Index slot, Index begin, Index end) {
      slots_.write_rope_keys(slot, k_pe.slice_tokens(begin, end));
    });
  }

  /// Keeps the first `tokens` tokens of the context; exact, whatever came after them.
  ///
  /// \throws std::invalid_argument if there are fewer, or if the next query would see a token that
  ///         was overwritten, or stand in a page that was given up; the ring is then unchanged
  void truncate(Index tokens) {
    detail::require(0 <= tokens && tokens <= seen_, "ring_cache: truncate to ", tokens,
                    " tokens, expected 0 to size = ", Index(seen_));
    require_next(tokens);
    seen_ = tokens;
    oldest_ = std::min<Index>(oldest_, tokens);
    if constexpr (on_pages) {
      if (tokens <= places_.prefix) dropped_ = 0;
      slots_.truncate(places().slot(tokens));
    }
  }

  /// Of the tokens from `first` on keeps those listed, as kv_cache does.
  ///
  /// \throws std::invalid_argument naming what is wrong, if one of these tokens was overwritten, or
  ///         as truncate; on pages as paged_cache does; the ring is then unchanged
  template <detail::integer_list Kept>
  void keep(Index first, const Kept& kept) {
    const detail::kept_list list("ring_cache", first, kept, tokens());
    detail::require(has_all_from(first), "ring_cache: keeping of the tokens from ", first,
                    " on, expected from ", Index(oldest_), ", the oldest that is kept");
    require_next(list.end());
    if constexpr (on_pages)
      slots_.keep(places().slot(first), kept);
    else
      list.for_each_moved([this](Index from, Index to) {
        slots_.copy_token(places().slot(from), places().slot(to));
      });
    truncate(list.end());
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
  /// \throws std::invalid_argument if a query would see a token that was overwritten, q_len is
  ///         negative, or first_position is none that attention_options may have
  auto kept(Index q_len, std::optional<Index> first_position = std::nullopt) const {
    detail::require(q_len >= 0, "ring_cache: kept for q_len = ", q_len, ", expected at least 0");
    detail::check_position("ring_cache", first_position);
    const Index position = first_position.value_or(tokens() - q_len);
    require_kept("the first query", position);
    return kept_tokens<Cache>(slots_, shape_, places(), tokens(), position);
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
  void check_chunk(Index count) const {
    if (count > shape_.chunk)
      throw std::length_error("ring_cache: appending " + detail::text(count) +
                              " tokens at once exceeds the chunk of " + detail::text(shape_.chunk));
  }

  // What the query after so many tokens sees is there, and on pages where it stands.
  void require_next(Index tokens) const {
    const bool meets_the_ring = (shape_.window > 1 || on_pages) && tokens > shape_.prefix;
    if (meets_the_ring) require_kept("truncate: the next query", tokens);
  }

  void require_kept(const char* what, Index position) const {
    const Index first = std::max(position - shape_.window + 1, shape_.prefix);
    detail::require(first >= oldest_, "ring_cache: ", what, " at position ", position,
                    " sees token ", first, ", expected at least ", Index(oldest_),
                    ", the oldest that is kept");
  }

  // Whether no token from `first` on was overwritten.
  bool has_all_from(Index first) const { return first >= oldest_ || oldest_ <= shape_.prefix; }

  void require_written(const char* what, Index first, Index count) const {
    detail::require_written("ring_cache", what, first, count, tokens());
    detail::require(count == 0 || has_all_from(first) || first + count <= shape_.prefix,
                    "ring_cache: writing ", what, " of ", count, " tokens from ", first,
                    " on, expected some of the prefix, or from ", Index(oldest_),
                    " on, the oldest that is kept");
  }

  // Calls put(slot, begin, end) for the parts of `count` tokens from `first` on that lie in slots
  // which follow; for none once, for what it checks.
  template <class Put>
  void in_pieces(Index first, Index count, const Put& put) const {
    if (count == 0) return put(0, 0, 0);
    if constexpr (on_pages) {
      put(places().slot(first), 0, count);
    } else {
      for (Index done = 0; done < count;) {
        const Index slot = places().slot(first + done);
        const Index end = std::min(done + places_.prefix + places_.turn - slot, count);
        put(slot, done, end);
        done = end;
      }
    }
  }

  // A fork.
  ring_cache(const ring_cache& other, Cache&& slots)
      : shape_(other.shape_),
        places_(other.places_),
        slots_(std::move(slots)),
        seen_(other.seen_),
        oldest_(other.oldest_),
        dropped_(other.dropped_) {}

  // On pages the prefix has whole ones, which stay; slots behind it go on without end.
  static detail::ring_places on_pages_of(const page_stock& pool, const ring_shape& shape) {
    const Index page = pool.page_tokens();
    return {.prefix = detail::parts(shape.prefix, page) * page,
            .turn = std::numeric_limits<Index>::max(),
            .page = page};
  }

  detail::ring_places places() const {
    detail::ring_places result = places_;
    result.dropped = dropped_;
    return result;
  }

  // Gives up the pages whose tokens all are older than the oldest that is kept.
  void drop_pages() {
    const Index old = places_.page_of(oldest_) - places_.prefix - dropped_;
    if (old <= 0) return;
    slots_.erase(places_.prefix, places_.prefix + old);
    dropped_ += old;
  }

  ring_shape shape_;
  detail::ring_places places_;
  Cache slots_;                 // the prefix, then the ring
  detail::held_count seen_;     // tokens of the whole context
  detail::held_count oldest_;   // of those behind the prefix, the first that is kept
  detail::held_count dropped_;  // tokens whose pages were given up
};

}  // namespace headroom::inline HEADROOM_ISA
