// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/codec.hpp>
#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/latent_row.hpp>
#include <headroom/detail/page_array.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/page_stock.hpp>
#include <headroom/paged_tokens.hpp>
#include <headroom/paged_view.hpp>
#include <headroom/view.hpp>

#include <algorithm>
#include <optional>

namespace headroom::inline HEADROOM_ISA {

template <class, int, int, class>
class paged_latents;

/// Memory for the latents of many sequences of one layer of MLA, in pages of a few tokens: what
/// page_pool is for keys and values. Stored [pages, page_tokens, latent_rank + rope], a row [c,
/// k_pe] a token.
///
/// Latents may have a codec, and rotary keys then stand behind them in 16 bits, as in latent_cache.
///
/// \tparam Stored_, latent_rank, rope, StoredRope_  as of latent_cache
template <class Stored_, int latent_rank = Eigen::Dynamic, int rope = Eigen::Dynamic,
          class StoredRope_ = detail::rope_key_storage<Stored_>>
class latent_page_pool : public page_stock {
  using Row = detail::latent_row<Stored_, StoredRope_, latent_rank>;
  static_assert(detail::is_storable<Stored_> && detail::is_storable<StoredRope_>,
                "latent_page_pool<Scalar, ...>: Scalar must be float, double, Eigen::half or "
                "Eigen::bfloat16, or a codec in its place; static_assert(headroom::codec<C>) "
                "says what a struct C lacks to be one");
  static_assert(detail::is_size(latent_rank) && detail::is_size(rope, 0),
                "latent_page_pool<Scalar, latent_rank, rope>: latent_rank must be at least 1 and "
                "rope at least 0, or Eigen::Dynamic");
  static_assert(detail::splits_latent_row<Stored_, StoredRope_, latent_rank>,
                "latent_page_pool<Stored, latent_rank, rope, StoredRope>: latent_rank must be a "
                "number where latents and rotary keys are not stored as one scalar");

 public:
  using KeyCodec = typename Row::KeyCodec;
  using ValueCodec = typename Row::ValueCodec;
  using RopeCodec = typename Row::RopeCodec;
  using Storage = typename Row::Storage;

  /// `pages` pages of `page_tokens` tokens each.
  latent_page_pool(Index pages, Index page_tokens) requires(detail::all_fixed<latent_rank, rope>)
      : latent_page_pool(pages, page_tokens, latent_rank, rope) {}

  /// \throws std::invalid_argument naming the size that is wrong, std::length_error if they
  ///         come to more bytes than an Index counts
  latent_page_pool(Index pages, Index page_tokens, Index rank, Index rope_width)
      : page_stock("latent_page_pool", pages, page_tokens),
        rank_(rank, "latent_page_pool", "latent_rank"),
        rope_(rope_width, "latent_page_pool", "rope", 0),
        rows_(pages, 1, page_tokens, KeyCodec::storage_size(rank + rope_width)) {}

  Index rank() const { return rank_.value(); }
  Index rope_width() const { return rope_.value(); }

  /// Bytes that a token takes.
  Index bytes_per_token() const { return detail::row_bytes<KeyCodec>(rank() + rope_width()); }

  /// Bytes of all pages, what fills them up to whole cache lines included.
  Index bytes() const { return rows_.bytes(); }

  /// Where pages lie; valid while the pool lives.
  const page_memory<Storage>& latent_pages() const { return rows_.memory(); }

 private:
  friend class paged_latents<Stored_, latent_rank, rope, StoredRope_>;

  void copy_token(page_id from, Index from_slot, page_id to, Index to_slot) override {
    rows_.copy_token(from, from_slot, to, to_slot);
  }

  [[no_unique_address]] detail::extent<latent_rank> rank_;
  [[no_unique_address]] detail::extent<rope> rope_;
  detail::page_array<Storage> rows_;
};

/// The latents and rotary keys of the tokens so far, of one sequence and one layer of MLA, in pages
/// of a latent_page_pool. As a source it is what latent_cache is: one group whose key is the row
/// [c, k_pe] and whose value is the same row's prefix c, stored once. As a sequence it is what
/// paged_cache is, forks included.
///
/// The parameters are those of the pool, from which they are deduced.
template <class Stored_, int latent_rank = Eigen::Dynamic, int rope = Eigen::Dynamic,
          class StoredRope_ = detail::rope_key_storage<Stored_>>
class paged_latents : public paged_tokens {
  using Row = detail::latent_row<Stored_, StoredRope_, latent_rank>;

 public:
  using Pool = latent_page_pool<Stored_, latent_rank, rope, StoredRope_>;
  using KeyCodec = typename Pool::KeyCodec;
  using ValueCodec = typename Pool::ValueCodec;
  using RopeCodec = typename Pool::RopeCodec;
  using Storage = typename Pool::Storage;
  static constexpr bool values_in_keys = true;
  static constexpr int fixed_groups = 1, fixed_qk_dim = detail::fixed_sum(latent_rank, rope);
  static constexpr int fixed_v_dim = latent_rank;

  /// An empty sequence.
  ///
  /// \param pool      outlives the sequence
  /// \param capacity  most tokens it may have; all that the pool has room for, if not given
  /// \throws std::invalid_argument if the capacity is negative
  explicit paged_latents(Pool& pool, std::optional<Index> capacity = std::nullopt)
      : paged_tokens("paged_latents", pool, capacity) {}

  paged_latents(paged_latents&&) noexcept = default;
  paged_latents& operator=(paged_latents&&) noexcept = default;

  /// A sequence of the same tokens on the same pages, as of paged_cache.
  paged_latents fork() const { return *this; }

  Index rank() const { return pool().rank(); }
  Index rope_width() const { return pool().rope_width(); }

  // The sizes of the source: absorbed attention is multi-query attention over [c, k_pe].
  Index groups() const { return 1; }
  Index qk_dim() const { return rank() + rope_width(); }
  Index v_dim() const { return rank(); }

  /// Bytes that a token takes, on pages of its own.
  Index bytes_per_token() const { return pool().bytes_per_token(); }

  /// Adds tokens at the end, converting to what is stored, once.
  ///
  /// \param latents    [tokens, 1, latent_rank], after the norm; a view or a row-major matrix
  /// \param rope_keys  [tokens, 1, rope], after the rotation
  /// \throws std::invalid_argument if a shape disagrees, std::length_error if capacity or pool have
  ///         no room; every sequence and the pool are then unchanged
  template <viewable Latents, viewable RopeKeys>
  void append(const Latents& latents, const RopeKeys& rope_keys) {
    const detail::new_latents added("paged_latents", latents, rope_keys, rank(), rope_width());
    auto& rows = pool().rows_;
    append_tokens(added.c.tokens(), [&](Index t, const place& at) {
      Row::encode(added.c.row(t, 0), rank(), added.k_pe.row(t, 0), rope_width(),
                  rows.row(at.page, 0, at.slot));
    });
  }

  /// Adds tokens [begin, end) of another source of latents at the end, as they are stored there, as
  /// paged_cache does.
  template <detail::stored_as<paged_latents> Source>
  void append(const Source& other, Index begin, Index end) {
    detail::require_appended("paged_latents", *this, other, begin, end);
    append_tokens(end - begin, [&](Index t, const place& at) {
      std::copy_n(other.keys(0, begin + t, begin + t + 1).rows, KeyCodec::storage_size(qk_dim()),
                  pool().rows_.row(at.page, 0, at.slot));
    });
  }

  /// Writes rotary keys in place of those from token `first` on, whose latents stay. Forks keep
  /// theirs.
  ///
  /// \param rope_keys  [tokens, 1, rope]
  /// \throws std::invalid_argument if a shape disagrees, or if there are fewer tokens,
  ///         std::length_error as unshare; every sequence and the pool are then unchanged
  template <viewable RopeKeys>
  void write_rope_keys(Index first, const RopeKeys& rope_keys) {
    const auto k_pe = detail::new_rope_keys("paged_latents", rope_keys, rope_width());
    detail::require_written("paged_latents", "rotary keys", first, k_pe.tokens(), tokens());
    write_tokens(first, k_pe.tokens(), [&](Index t, const place& at) {
      RopeCodec::encode(k_pe.row(t, 0),
                        Row::rope_key(pool().rows_.row(at.page, 0, at.slot), rank()), rope_width());
    });
  }

  token_run<Storage> keys(Index, Index begin, Index end) const {
    return run(pool().latent_pages(), 0, begin, end);
  }
  token_run<Storage> values(Index, Index begin, Index end) const { return keys(0, begin, end); }

 private:
  paged_latents(const paged_latents&) = default;

  Pool& pool() const { return static_cast<Pool&>(paged_tokens::pool()); }
};

}  // namespace headroom::inline HEADROOM_ISA
