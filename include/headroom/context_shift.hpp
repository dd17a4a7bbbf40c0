// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/cache_checks.hpp>
#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/nesting.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/rope.hpp>
#include <headroom/view.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <type_traits>

// Moving cached keys along the sequence, so that a context that is full goes on: its middle is
// dropped, and the tokens behind close the gap. llama.cpp calls it context shift, or K-shift.
//
// It makes room without computing the rest anew, and it is not the same: the tokens that stay were
// computed when those that went were still there.

namespace headroom::inline HEADROOM_ISA {

namespace detail {

// Caches whose keys turn in place: all of a key, or the rotary one of a row of MLA.
template <class Cache>
concept turns_keys = !drops_tokens<Cache>() && (writes_keys<Cache> || writes_rope_keys<Cache>);

// What the channels that turn are stored by.
template <turns_keys Cache>
struct turned_codec : std::type_identity<typename source_in<Cache>::type::KeyCodec> {};
template <turns_keys Cache>
requires writes_rope_keys<Cache>
struct turned_codec<Cache> : std::type_identity<typename Cache::RopeCodec> {
};

// Keys of tokens from `first` on, [tokens, KV_groups, qk_dim], as they were appended but for what
// storing them rounded.
template <kv_source Cache, class Real>
void read_keys(const Cache& cache, Index first, const view<Real>& keys) {
  for (Index t = 0; t < keys.tokens(); ++t)
    for (Index g = 0; g < keys.heads(); ++g)
      Cache::KeyCodec::decode(cache.keys(g, first + t, first + t + 1).rows, keys.row(t, g),
                              keys.dim());
}
template <wrapping_cache Cache, class Real>
void read_keys(const Cache& cache, Index first, const view<Real>& keys) {
  read_keys(cache.stored(), first, keys);
  for (Index g = 0; g < keys.heads(); ++g) cache.restore_keys(keys, g);
}

/// Turns keys of a cache, on pages that no fork holds. It checks and takes memory when it is made,
/// so that a cache that has changed since does not meet what that throws.
template <turns_keys Cache>
class key_turn {
  using Stored = typename turned_codec<Cache>::type::Storage;
  using Real = std::conditional_t<std::same_as<Stored, double>, double, float>;
  static constexpr Index tokens_at_once = 32;

 public:
  key_turn(Cache& cache, const rope& rotary) : cache_(cache), rotary_(rotary) {
    const char* name = "qk_dim";
    if constexpr (writes_rope_keys<Cache>) {
      name = "rope";
      begin_ = cache.rank();
    }
    const Index width = cache.qk_dim() - begin_;
    require(rotary.rotary_dim() <= width, "rotate_cached_keys: rotary turns ", rotary.rotary_dim(),
            " channels, expected at most ", name, " = ", width);
    const Index numbers = tokens_at_once * cache.groups() * cache.qk_dim();
    numbers_ = memory_.template take<Real>(numbers);
    // A cache around another, or two, takes as much to write; what has been taken once is there.
    if constexpr (wrapping_cache<Cache>) scratch().template take<Real>(2 * numbers);
  }

  /// Tokens [first, last), on by `distance` positions.
  void operator()(Index first, Index last, Index distance) const {
    const Index groups = cache_.groups(), dim = cache_.qk_dim();
    for (Index t = first; t < last; t += tokens_at_once) {
      const Index count = std::min(tokens_at_once, last - t);
      const auto keys = tokens_major(numbers_, count, groups, dim);
      read_keys(cache_, t, keys);
      // All turn alike, as the heads of one token do. Their amplitude they have already.
      const auto alike = tokens_major(numbers_, 1, count * groups, dim).slice_dim(begin_, dim);
      rotate(alike, alike, rotary_.rotary_dim(), rotary_.pairing(),
             [&](Index, Index k, Real& cosine, Real& sine) {
               const double angle = static_cast<double>(distance) *
                                    rotary_.inverse_frequencies()[static_cast<std::size_t>(k)];
               cosine = static_cast<Real>(std::cos(angle));
               sine = static_cast<Real>(std::sin(angle));
             });
      if constexpr (writes_rope_keys<Cache>)
        cache_.write_rope_keys(t, keys.slice_dim(begin_, dim));
      else
        cache_.write_keys(t, keys);
    }
  }

 private:
  Cache& cache_;
  const rope& rotary_;
  Index begin_ = 0;  // of the channels that have a position; latents before them have none
  scratch memory_;
  Real* numbers_;
};

}  // namespace detail

/// Turns the cached keys of tokens [begin, end) on by `distance` positions, in place; of MLA the
/// rotary keys, for latents have no position and stay.
///
/// A key that was rotated to position p is then rotated to p + distance: R(d) R(p) = R(p + d). That
/// needs one angle per position, so `rotary` must be the rope that all keys were rotated with;
/// where frequencies follow the length of the context (dynamic NTK, LongRoPE's short and long
/// lists) there is no such rope once they have changed. Its amplitude, which the keys have already,
/// is not applied again.
///
/// \param cache     a kv_cache or latent_cache, or one of these on pages: forks keep their keys; or
///                  a rotated_cache or scaled_cache of one, whose keys turn as they were appended
/// \param distance  of any sign; nothing is written where it is 0
/// \throws std::invalid_argument if there are no such tokens, or if the rope turns more channels
///         than a key has, std::length_error if a pool has no pages for copies of shared ones; the
///         cache and the pool are then unchanged. A codec that throws leaves some keys turned
/// \error  each key is decoded, rotated in float (in double where it is stored so) and encoded
///         again: rounding of the rotation, 4 u (|x1| + |x2|) for a pair, and once more the
///         error of the codec. With blocks of few bits that is a quantisation more at each call; in
///         a scaled_cache the codec's error is that under the scales there are, and a codec that
///         clips, clips what turns beyond those of its channel
template <detail::turns_keys Cache>
void rotate_cached_keys(Cache& cache, Index begin, Index end, const rope& rotary, Index distance) {
  detail::require_tokens("rotate_cached_keys", "rotating", begin, end, cache.tokens());
  const detail::key_turn turn(cache, rotary);
  if (distance == 0) return;
  if constexpr (detail::shares_pages<Cache>) cache.unshare(begin, end);
  turn(begin, end, distance);
}

/// Removes `drop` tokens of a cache after its first `keep`, and turns the keys behind them back by
/// as many positions: the cache is then as if its tokens had come at the positions 0 to tokens(),
/// and the next one takes position tokens().
///
///   if (cache.tokens() == cache.capacity())
///     headroom::shift_context(cache, 4, cache.tokens() / 2, rotary);   // StreamingLLM's positions
///
/// On pages forks keep what they have: they share what comes before the gap, and pages behind it
/// are copied where they share those. Where `drop` is a multiple of page_tokens(), whole pages go
/// and no token moves but the few before the gap on its first page.
///
/// \param cache   as in rotate_cached_keys, its keys rotated to the positions 0 to tokens()
/// \param rotary  the rope that they were rotated with; see rotate_cached_keys
/// \throws std::invalid_argument if there are no such tokens, or as rotate_cached_keys,
///         std::length_error if a pool has no pages for copies, those that the gap gives up not
///         counted; the cache and the pool are then unchanged
/// \error  as rotate_cached_keys; values, and keys before the gap, stay as they are
/// \source StreamingLLM, arXiv 2309.17453, section 3.2: positions are those within the cache
template <class Cache>
void shift_context(Cache& cache, Index keep, Index drop, const rope& rotary) {
  // gcc would explain a concept
  constexpr bool shifts = detail::turns_keys<Cache> && detail::erases_tokens<Cache>;
  static_assert(
      shifts,
      "shift_context: cache must be a kv_cache, a latent_cache, one of these on pages, or "
      "a rotated_cache or scaled_cache of one, whose keys turn in place; of a ring_cache "
      "the keys of its prefix are written anew");
  if constexpr (shifts) {
    detail::require(keep >= 0 && drop >= 0 && drop <= cache.tokens() - keep,
                    "shift_context: keep = ", keep, " and drop = ", drop,
                    ", expected at least 0 each, and in all at most size = ", cache.tokens());
    const detail::key_turn turn(cache, rotary);
    if (drop == 0) return;
    // Erasing goes first: it may find the pool without pages, and turning then takes none.
    if constexpr (detail::shares_pages<Cache>)
      cache.erase_and_unshare(keep, keep + drop);
    else
      cache.erase(keep, keep + drop);
    turn(keep, cache.tokens(), -drop);
  }
}

}  // namespace headroom::inline HEADROOM_ISA
