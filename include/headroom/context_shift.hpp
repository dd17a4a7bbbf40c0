// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/cache_checks.hpp>
#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/latent_cache.hpp>
#include <headroom/rope.hpp>
#include <headroom/view.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <type_traits>

// Moving cached keys along the sequence, so that a context that is full goes on: its middle is
// dropped, and the tokens behind close the gap. llama.cpp calls it context shift, or K-shift.
//
// It makes room without computing the rest anew, and it is not the same: the tokens that stay were
// computed when those that went were still there.

namespace headroom::inline HEADROOM_ISA {

namespace detail {

// Tokens whose keys are decoded at a time.
inline constexpr Index tokens_turned_at_once = 32;

/// Turns channels [begin, end) of stored keys on by `distance` positions; write(t, rows) stores
/// those of the tokens from t on.
///
/// \tparam Stored  what those channels are stored as
template <class Stored, class Cache, class Write>
void turn_keys(const Cache& cache, Index first, Index last, Index begin, Index end,
               const rope& rotary, Index distance, const Write& write) {
  using Codec = typename Cache::KeyCodec;
  using Real = std::conditional_t<std::same_as<Stored, double>, double, float>;
  const Index groups = cache.groups(), dim = cache.qk_dim();
  scratch memory;
  Real* const numbers = memory.take<Real>(tokens_turned_at_once * groups * dim);
  for (Index t = first; t < last; t += tokens_turned_at_once) {
    const Index count = std::min(tokens_turned_at_once, last - t);
    const auto keys = tokens_major(numbers, count, groups, dim);
    for (Index j = 0; j < count; ++j)
      for (Index g = 0; g < groups; ++g)
        Codec::decode(cache.keys(g, t + j, t + j + 1).rows, keys.row(j, g), dim);
    // All turn alike, as the heads of one token do. Their amplitude they have already.
    const auto alike = tokens_major(numbers, 1, count * groups, dim).slice_dim(begin, end);
    rotate(alike, alike, rotary.rotary_dim(), rotary.pairing(), distance,
           [&](Index position, Index k, Real& cosine, Real& sine) {
             const double angle = static_cast<double>(position) *
                                  rotary.inverse_frequencies()[static_cast<std::size_t>(k)];
             cosine = static_cast<Real>(std::cos(angle));
             sine = static_cast<Real>(std::sin(angle));
           });
    write(t, keys.slice_dim(begin, end));
  }
}

inline void check_turn(const char* name, Index width, Index first, Index last, Index size,
                       const rope& rotary) {
  require_tokens("rotate_cached_keys", "rotating", first, last, size);
  require(rotary.rotary_dim() <= width, "rotate_cached_keys: rotary turns ", rotary.rotary_dim(),
          " channels, expected at most ", name, " = ", width);
}

}  // namespace detail

/// Turns the cached keys of tokens [begin, end) on by `distance` positions, in place.
///
/// A key that was rotated to position p is then rotated to p + distance: R(d) R(p) = R(p + d). That
/// needs one angle per position, so `rotary` must be the rope that all keys were rotated with;
/// where frequencies follow the length of the context (dynamic NTK, LongRoPE's short and long
/// lists) there is no such rope once they have changed. Its amplitude, which the keys have already,
/// is not applied again.
///
/// \param distance  of any sign; nothing is written where it is 0
/// \throws std::invalid_argument if there are no such tokens, or if the rope turns more channels
///         than a key has; the cache is then unchanged
/// \error  each key is decoded, rotated in float (in double where it is stored so) and encoded
///         again: rounding of the rotation, 4 u (|x1| + |x2|) for a pair, and once more the
///         error of the codec. With blocks of few bits that is a quantisation more at each call
template <class Stored, int KV_groups, int qk_dim, int v_dim, class StoredValue>
void rotate_cached_keys(kv_cache<Stored, KV_groups, qk_dim, v_dim, StoredValue>& cache, Index begin,
                        Index end, const rope& rotary, Index distance) {
  detail::check_turn("qk_dim", cache.qk_dim(), begin, end, cache.tokens(), rotary);
  if (distance == 0) return;
  detail::turn_keys<Stored>(cache, begin, end, 0, cache.qk_dim(), rotary, distance,
                            [&](Index t, const auto& keys) { cache.write_keys(t, keys); });
}

/// The same for the rotary keys of MLA; latents have no position and stay.
template <class Stored, int latent_rank, int rope_width, class StoredRope>
void rotate_cached_keys(latent_cache<Stored, latent_rank, rope_width, StoredRope>& cache,
                        Index begin, Index end, const rope& rotary, Index distance) {
  detail::check_turn("rope", cache.rope_width(), begin, end, cache.tokens(), rotary);
  if (distance == 0) return;
  detail::turn_keys<StoredRope>(cache, begin, end, cache.rank(), cache.qk_dim(), rotary, distance,
                                [&](Index t, const auto& keys) { cache.write_rope_keys(t, keys); });
}

namespace detail {

// Whether keys of a cache are turned, and tokens removed, in place.
template <class Cache>
inline constexpr bool shifts = requires(Cache& cache, Index t, const rope& rotary) {
  rotate_cached_keys(cache, t, t, rotary, t);
  cache.erase(t, t);
};

}  // namespace detail

/// Removes `drop` tokens of a cache after its first `keep`, and turns the keys behind them back by
/// as many positions: the cache is then as if its tokens had come at the positions 0 to tokens(),
/// and the next one takes position tokens().
///
///   if (cache.tokens() == cache.capacity())
///     headroom::shift_context(cache, 4, cache.tokens() / 2, rotary);   // StreamingLLM's positions
///
/// \param cache   a kv_cache or a latent_cache whose keys are rotated to the positions 0 to
///                tokens()
/// \param rotary  the rope that they were rotated with; see rotate_cached_keys
/// \throws std::invalid_argument if there are no such tokens, or as rotate_cached_keys; the cache
///         is then unchanged
/// \error  as rotate_cached_keys; values, and keys before the gap, stay as they are
/// \source StreamingLLM, arXiv 2309.17453, section 3.2: positions are those within the cache
template <class Cache>
void shift_context(Cache& cache, Index keep, Index drop, const rope& rotary) {
  constexpr bool shifts = detail::shifts<Cache>;
  static_assert(shifts,
                "shift_context: cache must be a kv_cache or a latent_cache, whose keys turn in "
                "place; pages may be shared by forks, a ring_cache needs no shift, and what a "
                "rotated_cache or scaled_cache holds is no longer as the rope left it");
  if constexpr (shifts) {
    detail::require(keep >= 0 && drop >= 0 && drop <= cache.tokens() - keep,
                    "shift_context: keep = ", keep, " and drop = ", drop,
                    ", expected at least 0 each, and in all at most size = ", cache.tokens());
    rotate_cached_keys(cache, keep + drop, cache.tokens(), rotary, -drop);
    cache.erase(keep, keep + drop);
  }
}

}  // namespace headroom::inline HEADROOM_ISA
