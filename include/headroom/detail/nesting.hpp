// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/view.hpp>

#include <type_traits>

// Which cache goes into which, and what is said where one does not.

namespace headroom::inline HEADROOM_ISA::detail {

/// The source in a cache around others, or the cache itself.
template <class C>
struct source_in : source_in<stored_in<C>> {};
template <kv_source C>
struct source_in<C> : std::type_identity<C> {};

/// Whether a cache, or a cache in it, holds latents, rows that are keys and values at once.
template <class C>
consteval bool holds_latents() {
  if constexpr (wrapping_cache<C>)
    return holds_latents<stored_in<C>>();
  else
    return has_values_in_keys<C>;
}

/// A cache that chooses what is read: ring_cache.
template <class C>
concept keeps_some = wrapping_cache<C> && requires(const C& cache, Index q_len) {
  { cache.kept(q_len) } -> kv_source;
};

/// Whether a cache is a sequence on the pages of a pool, made on that and not of sizes.
template <class C>
consteval bool is_on_pages() {
  return requires(const C& cache) {
    cache.fork();
  };
}

/// Whether a cache, or a cache in it, gives up tokens as its window moves on.
template <class C>
consteval bool drops_tokens() {
  if constexpr (wrapping_cache<C> && !keeps_some<C>)
    return drops_tokens<stored_in<C>>();
  else
    return keeps_some<C>;
}

/// Caches whose keys are written in place of others, or the rotary ones of rows of MLA; those from
/// which any tokens are erased; and those whose pages forks may hold.
template <class Cache>
concept writes_keys = requires(Cache& cache, Index t, const view<const float>& keys) {
  cache.write_keys(t, keys);
};
template <class Cache>
concept writes_rope_keys = requires(Cache& cache, Index t, const view<const float>& keys) {
  cache.write_rope_keys(t, keys);
};
template <class Cache>
concept checks_room = requires(const Cache& cache, Index count) {
  cache.check_room(count);
};
template <class Cache>
concept erases_tokens = requires(Cache& cache, Index t) {
  cache.erase(t, t);
};
template <class Cache>
concept shares_pages = requires(Cache& cache, Index t) {
  cache.unshare(t, t);
  cache.erase_and_unshare(t, t);
};

template <class Cache>
consteval bool check_ring() {
  constexpr bool keeps_tokens = kv_source<Cache>;  // not named below: gcc would explain it
  static_assert(keeps_tokens,
                "ring_cache<Cache>: Cache must be a kv_cache or a latent_cache, or one of them on "
                "pages; a rotated_cache goes around the ring: "
                "rotated_cache<ring_cache<kv_cache<...>>>");
  return true;
}

template <class Cache>
consteval bool check_rotated() {
  static_assert(!holds_latents<Cache>(),
                "rotated_cache<Cache>: Cache must hold keys and values, each rotated by itself; "
                "latents are both in one row, and are not rotated");
  return true;
}

template <class Cache>
consteval bool check_scaled() {
  constexpr bool keeps_tokens = kv_source<Cache> || keeps_some<Cache>;
  if constexpr (!keeps_tokens)
    static_assert(
        keeps_tokens,
        "scaled_cache<Cache>: Cache must be a kv_cache, a paged_cache, or a ring_cache of "
        "one; a rotated_cache goes around the scales: "
        "rotated_cache<scaled_cache<kv_cache<...>>>");
  else
    static_assert(!holds_latents<Cache>(),
                  "scaled_cache<Cache>: Cache must hold keys and values, each with its scales; "
                  "latents are both in one row, and have none");
  return true;
}

}  // namespace headroom::inline HEADROOM_ISA::detail
