// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/kept_list.hpp>
#include <headroom/detail/nesting.hpp>
#include <headroom/kept_tokens.hpp>
#include <headroom/page_stock.hpp>

#include <concepts>
#include <utility>

namespace headroom::inline HEADROOM_ISA::detail {

/// What rotated_cache and scaled_cache have in common: they are made as the cache in them is, have
/// its sizes, and tokens leave them as they leave it.
template <class Cache>
class cache_around {
 public:
  /// The sizes of the cache in it.
  template <std::convertible_to<Index>... Sizes>
  requires std::constructible_from<Cache, Sizes...>
  explicit cache_around(Sizes... sizes) : stored_(sizes...) {}

  /// What a ring in it keeps, then the sizes of the cache in that.
  template <std::convertible_to<Index>... Sizes>
  requires std::constructible_from<Cache, const ring_shape&, Sizes...>
  explicit cache_around(const ring_shape& shape, Sizes... sizes) : stored_(shape, sizes...) {}

  /// The pool of a cache on pages, which outlives this, then what else that is made of.
  template <std::derived_from<page_stock> Pool, std::convertible_to<Index>... Sizes>
  requires std::constructible_from<Cache, Pool&, Sizes...>
  explicit cache_around(Pool& pool, Sizes... sizes) : stored_(pool, sizes...) {}
  template <std::derived_from<page_stock> Pool>
  requires std::constructible_from<Cache, const ring_shape&, Pool&> cache_around(
      const ring_shape& shape, Pool& pool)
      : stored_(shape, pool) {}

  Index tokens() const { return stored_.tokens(); }
  Index capacity() const { return stored_.capacity(); }
  Index groups() const { return stored_.groups(); }
  Index qk_dim() const { return stored_.qk_dim(); }
  Index v_dim() const { return stored_.v_dim(); }
  Index bytes_per_token() const { return stored_.bytes_per_token(); }

  /// \throws as that of the cache in it
  void check_room(Index count) const requires(checks_room<Cache>) { stored_.check_room(count); }

  /// The cache in it, of what its keys and values become.
  const Cache& stored() const { return stored_; }

  /// What takes tokens away does so as in the cache in it: all that this one has of it.
  template <integer_list Kept>
  void keep(Index first, const Kept& kept) {
    stored_.keep(first, kept);
  }
  void truncate(Index tokens) { stored_.truncate(tokens); }
  void clear() { stored_.clear(); }
  void erase(Index begin, Index end) requires(erases_tokens<Cache>) { stored_.erase(begin, end); }
  void unshare(Index begin, Index end) requires(shares_pages<Cache>) {
    stored_.unshare(begin, end);
  }
  void erase_and_unshare(Index begin, Index end) requires(shares_pages<Cache>) {
    stored_.erase_and_unshare(begin, end);
  }

 protected:
  // A fork.
  explicit cache_around(Cache&& stored) : stored_(std::move(stored)) {}

  Cache stored_;
};

}  // namespace headroom::inline HEADROOM_ISA::detail
