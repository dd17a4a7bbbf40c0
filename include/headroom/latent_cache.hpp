// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/codec.hpp>
#include <headroom/detail/cache_checks.hpp>
#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/kept_list.hpp>
#include <headroom/detail/latent_row.hpp>
#include <headroom/detail/memory.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/view.hpp>

#include <algorithm>

namespace headroom::inline HEADROOM_ISA {

/// What multi-head latent attention keeps of a token: its latent c (normalised) and its rotary key
/// k_pe (rotated), latent_rank + rope numbers that serve all heads. As a source it is one group
/// whose key is the row [c, k_pe] and whose value is the same row's prefix c.
///
/// Latents may be stored by a codec, such as int8_blocks. Rotary keys are then stored beside them
/// in 16 bits, since they serve all heads and are few.
///
/// Not to be written while it is read; reading from several threads is fine. It moves as a kv_cache
/// does.
///
/// \tparam Stored_      what latents are stored as: float, double, Eigen::half, Eigen::bfloat16, or
///                      a codec
/// \tparam latent_rank  width of a latent, or Eigen::Dynamic where both parts are of one scalar
/// \tparam rope         width of a rotary key, or Eigen::Dynamic
/// \tparam StoredRope_  what rotary keys are stored as; unless given, as latents, or as bfloat16
///                      where those have a codec
/// \source DeepSeek-V2, arXiv 2405.04434, section 2.1.2 and 2.1.3
template <class Stored_, int latent_rank = Eigen::Dynamic, int rope = Eigen::Dynamic,
          class StoredRope_ = detail::rope_key_storage<Stored_>>
class latent_cache {
  using Row = detail::latent_row<Stored_, StoredRope_, latent_rank>;
  static_assert(detail::is_storable<Stored_> && detail::is_storable<StoredRope_>,
                "latent_cache<Scalar, ...>: Scalar must be float, double, Eigen::half or "
                "Eigen::bfloat16, or a codec in its place; static_assert(headroom::codec<C>) "
                "says what a struct C lacks to be one");
  static_assert(detail::is_size(latent_rank) && detail::is_size(rope, 0),
                "latent_cache<Scalar, latent_rank, rope>: latent_rank must be at least 1 and rope "
                "at least 0, or Eigen::Dynamic");
  static_assert(detail::splits_latent_row<Stored_, StoredRope_, latent_rank>,
                "latent_cache<Stored, latent_rank, rope, StoredRope>: latent_rank must be a number "
                "where latents and rotary keys are not stored as one scalar");

 public:
  using KeyCodec = typename Row::KeyCodec;
  using ValueCodec = typename Row::ValueCodec;
  using RopeCodec = typename Row::RopeCodec;
  static constexpr bool one_run = true;
  static constexpr bool values_in_keys = true;
  static constexpr int fixed_groups = 1, fixed_qk_dim = detail::fixed_sum(latent_rank, rope);
  static constexpr int fixed_v_dim = latent_rank;
  using Storage = typename Row::Storage;

  /// Room for `capacity` tokens; nothing is allocated later.
  explicit latent_cache(Index capacity) requires(detail::all_fixed<latent_rank, rope>)
      : latent_cache(capacity, latent_rank, rope) {}

  /// \throws std::invalid_argument naming the size that is wrong, std::length_error if they come
  ///         to more bytes than an Index counts
  latent_cache(Index capacity, Index rank, Index rope_width)
      : rank_(rank, "latent_cache", "latent_rank"),
        rope_(rope_width, "latent_cache", "rope", 0),
        capacity_(capacity) {
    detail::require(capacity >= 0, "latent_cache: capacity = ", capacity, ", expected at least 0");
    rows_ = detail::uninitialised<Storage>("latent_cache", {capacity, row_size()});
  }

  Index tokens() const { return size_; }
  Index capacity() const { return capacity_; }
  Index rank() const { return rank_.value(); }
  Index rope_width() const { return rope_.value(); }

  // The sizes of the source: absorbed attention is multi-query attention over [c, k_pe].
  Index groups() const { return 1; }
  Index qk_dim() const { return rank() + rope_width(); }
  Index v_dim() const { return rank(); }

  /// Bytes that a token takes.
  Index bytes_per_token() const { return detail::row_bytes<KeyCodec>(qk_dim()); }

  /// Adds tokens at the end, converting to what is stored, once.
  ///
  /// \param latents    [tokens, 1, latent_rank], after the norm; a view or a row-major matrix
  /// \param rope_keys  [tokens, 1, rope], after the rotation
  /// \throws std::invalid_argument if a shape disagrees, std::length_error if there is no room;
  ///         the cache is then unchanged
  template <viewable Latent, viewable RopeKey>
  void append(const Latent& latents, const RopeKey& rope_keys) {
    write(size_, latents, rope_keys);
  }

  /// \throws std::length_error if `count` more tokens have no room, as append would
  void check_room(Index count) const {
    detail::require_room("latent_cache", count, size_, capacity_);
  }

  /// Adds tokens [begin, end) of another source of latents at the end, as they are stored there, as
  /// kv_cache does.
  ///
  /// \param other  of the same codecs and sizes; may be this cache
  /// \throws std::invalid_argument if a size disagrees or there are no such tokens,
  ///         std::length_error if there is no room; the cache is then unchanged
  template <detail::stored_as<latent_cache> Source>
  void append(const Source& other, Index begin, Index end) {
    detail::require_appended("latent_cache", *this, other, begin, end);
    for (Index t = begin; t < end; ++t)
      std::copy_n(other.keys(0, t, t + 1).rows, row_size(), row(size_ + t - begin));
    size_ += end - begin;
  }

  /// Writes tokens in place of those from `first` on; what is more than these, it appends.
  ///
  /// \param first               0 to tokens()
  /// \param latents, rope_keys  as for append; they do not overlap the tokens written
  /// \throws as append, and std::invalid_argument where `first` is out of range
  template <viewable Latent, viewable RopeKey>
  void write(Index first, const Latent& latents, const RopeKey& rope_keys) {
    const auto [c, k_pe] =
        detail::new_latents("latent_cache", latents, rope_keys, rank(), rope_width());
    detail::require_tokens("latent_cache", "writing after", 0, first, size_);
    detail::require_room("latent_cache", c.tokens(), first, capacity_);
    for (Index t = 0; t < c.tokens(); ++t)
      Row::encode(c.row(t, 0), rank(), k_pe.row(t, 0), rope_width(), row(first + t));
    size_ = std::max<Index>(size_, first + c.tokens());
  }

  /// Writes rotary keys in place of those from token `first` on, whose latents stay.
  ///
  /// \param rope_keys  [tokens, 1, rope]
  /// \throws std::invalid_argument if a shape disagrees, or if there are fewer tokens
  template <viewable RopeKey>
  void write_rope_keys(Index first, const RopeKey& rope_keys) {
    const auto k_pe = detail::new_rope_keys("latent_cache", rope_keys, rope_width());
    detail::require_written("latent_cache", "rotary keys", first, k_pe.tokens(), size_);
    for (Index t = 0; t < k_pe.tokens(); ++t)
      Row::RopeCodec::encode(k_pe.row(t, 0), Row::rope_key(row(first + t), rank()), rope_width());
  }

  /// Removes tokens [begin, end); those behind move up as they are stored. Where keys are rotated
  /// by their positions see context_shift.hpp.
  ///
  /// \throws std::invalid_argument if there are no such tokens
  void erase(Index begin, Index end) {
    detail::require_tokens("latent_cache", "erasing", begin, end, size_);
    std::copy(row(end), row(size_), row(begin));
    size_ -= end - begin;
  }

  /// Of the tokens from `first` on keeps those listed, as kv_cache does.
  template <detail::integer_list Kept>
  void keep(Index first, const Kept& kept) {
    const detail::kept_list list("latent_cache", first, kept, size_);
    list.for_each_moved([this](Index from, Index to) { copy_token(from, to); });
    size_ = list.end();
  }

  /// Copies what is stored of a token over another.
  ///
  /// \throws std::invalid_argument if there are no such tokens
  void copy_token(Index from, Index to) {
    detail::require_token("latent_cache", from, size_);
    detail::require_token("latent_cache", to, size_);
    std::copy_n(row(from), row_size(), row(to));
  }

  /// Keeps the first `tokens` tokens; exact, whatever came after them.
  ///
  /// \throws std::invalid_argument if there are fewer
  void truncate(Index tokens) {
    detail::require_truncation("latent_cache", tokens, size_);
    size_ = tokens;
  }

  /// Forgets every token.
  void clear() { size_ = 0; }

  /// The latents so far, [tokens, 1, latent_rank], where they are stored as scalars; valid while
  /// the cache lives.
  view<const Storage> latent_view() const requires(detail::storage_scalar<Stored_>) {
    return {rows_.get(), size_, 1, rank(), row_size(), 0};
  }
  /// The rotary keys so far, [tokens, 1, rope].
  view<const StoredRope_> rope_key_view() const requires(detail::storage_scalar<StoredRope_>) {
    return {Row::rope_key(rows_.get(), rank()),
            size_,
            1,
            rope_width(),
            bytes_per_token() / static_cast<Index>(sizeof(StoredRope_)),
            0};
  }

  token_run<Storage> keys(Index, Index begin, Index end) const {
    return {row(begin), row_size(), end - begin};
  }
  token_run<Storage> values(Index, Index begin, Index end) const {
    return {row(begin), row_size(), end - begin};
  }

 private:
  // Numbers as stored that a token takes.
  Index row_size() const { return KeyCodec::storage_size(qk_dim()); }
  Storage* row(Index t) const { return rows_.get() + t * row_size(); }

  [[no_unique_address]] detail::extent<latent_rank> rank_;
  [[no_unique_address]] detail::extent<rope> rope_;
  detail::held_count capacity_;
  detail::held_count size_;
  detail::aligned_array<Storage> rows_;  // [capacity, row_size]
};

}  // namespace headroom::inline HEADROOM_ISA
