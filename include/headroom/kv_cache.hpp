// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/codec.hpp>
#include <headroom/detail/cache_checks.hpp>
#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/kept_list.hpp>
#include <headroom/detail/memory.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/view.hpp>

#include <algorithm>

namespace headroom::inline HEADROOM_ISA {

/// The keys and values of the tokens so far, of one sequence and one layer, in one block of memory
/// of fixed capacity. It is a source: `gqa(q, cache, out, causal{})` attends to all of it.
///
/// Stored [KV_groups, capacity, dim]: the tokens of a group lie one after another, the order in
/// which they are read. Not to be written while it is read; reading from several threads is fine.
///
/// A cache moves, which leaves one without tokens or room. It is not copied as a whole, which would
/// be gigabytes by accident: append takes tokens of another.
///
/// \tparam Stored_    what keys are stored as: float, double, Eigen::half, Eigen::bfloat16, or a
///                    codec such as int8_blocks
/// \tparam KV_groups  key/value heads, or Eigen::Dynamic
/// \tparam qk_dim     width of a key, or Eigen::Dynamic
/// \tparam v_dim      width of a value, or Eigen::Dynamic; qk_dim unless given
/// \tparam StoredValue_  what values are stored as; as keys unless given
template <class Stored_, int KV_groups = Eigen::Dynamic, int qk_dim_ = Eigen::Dynamic,
          int v_dim_ = qk_dim_, class StoredValue_ = Stored_>
class kv_cache {
  static_assert(detail::is_storable<Stored_> && detail::is_storable<StoredValue_>,
                "kv_cache<Scalar, ...>: Scalar must be float, double, Eigen::half or "
                "Eigen::bfloat16, or a codec in its place; static_assert(headroom::codec<C>) "
                "says what a struct C lacks to be one");
  static_assert(detail::is_size(KV_groups) && detail::is_size(qk_dim_) && detail::is_size(v_dim_),
                "kv_cache<Scalar, KV_groups, qk_dim, v_dim>: sizes must be at least 1 or "
                "Eigen::Dynamic");

 public:
  using KeyCodec = typename detail::codec_of<Stored_>::type;
  using ValueCodec = typename detail::codec_of<StoredValue_>::type;
  static constexpr bool one_run = true;
  using Key = typename KeyCodec::Storage;
  using Value = typename ValueCodec::Storage;
  static constexpr int fixed_groups = KV_groups, fixed_qk_dim = qk_dim_, fixed_v_dim = v_dim_;

  /// Room for `capacity` tokens; nothing is allocated later.
  explicit kv_cache(Index capacity) requires(detail::all_fixed<KV_groups, qk_dim_, v_dim_>)
      : kv_cache(capacity, KV_groups, qk_dim_, v_dim_) {}

  /// Values are as wide as the template says, or as keys.
  kv_cache(Index capacity, Index groups, Index qk_width)
      : kv_cache(capacity, groups, qk_width, v_dim_ > 0 ? v_dim_ : qk_width) {}

  /// \throws std::invalid_argument naming the size that is wrong, std::length_error if they come
  ///         to more bytes than an Index counts
  kv_cache(Index capacity, Index groups, Index qk_width, Index v_width)
      : groups_(groups, "kv_cache", "KV_groups"),
        key_width_(qk_width, "kv_cache", "qk_dim"),
        value_width_(v_width, "kv_cache", "v_dim"),
        capacity_(capacity) {
    detail::require(capacity >= 0, "kv_cache: capacity = ", capacity, ", expected at least 0");
    keys_ = detail::uninitialised<Key>("kv_cache", {groups, capacity, key_size()});
    values_ = detail::uninitialised<Value>("kv_cache", {groups, capacity, value_size()});
  }

  Index tokens() const { return size_; }
  Index capacity() const { return capacity_; }
  Index groups() const { return groups_.value(); }
  Index qk_dim() const { return key_width_.value(); }
  Index v_dim() const { return value_width_.value(); }

  /// Bytes that a token takes.
  Index bytes_per_token() const {
    return groups() *
           (detail::row_bytes<KeyCodec>(qk_dim()) + detail::row_bytes<ValueCodec>(v_dim()));
  }

  /// Adds tokens at the end, converting to what is stored, once.
  ///
  /// \param k  [tokens, KV_groups, qk_dim], a view or an Eigen row-major matrix
  /// \param v  [tokens, KV_groups, v_dim]
  /// \throws std::invalid_argument if a shape disagrees, std::length_error if there is no room;
  ///         the cache is then unchanged
  template <viewable Keys, viewable Values>
  void append(const Keys& k, const Values& v) {
    write(size_, k, v);
  }

  /// \throws std::length_error if `count` more tokens have no room, as append would
  void check_room(Index count) const { detail::require_room("kv_cache", count, size_, capacity_); }

  /// Adds tokens [begin, end) of another source at the end, as they are stored there: the same
  /// bits, whatever the codec. So several answers begin with one prompt, beams go on from the best,
  /// a sequence leaves its pool and comes back, and a cache is read from where it was saved:
  ///
  ///   answer.append(prompt, 0, prompt.tokens());
  ///
  /// Keys stay rotated to the positions that they had, see context_shift.hpp.
  ///
  /// \param other  a source of the same codecs and sizes, such as a paged_cache, a paged_view or
  ///               one of your own; may be this cache: what is written lies behind what is read
  /// \throws std::invalid_argument if a size disagrees or there are no such tokens,
  ///         std::length_error if there is no room; the cache is then unchanged
  template <detail::stored_as<kv_cache> Source>
  void append(const Source& other, Index begin, Index end) {
    detail::require_appended("kv_cache", *this, other, begin, end);
    for (Index g = 0; g < groups(); ++g)
      for (Index t = begin; t < end; ++t) {
        const Index to = size_ + t - begin;
        std::copy_n(other.keys(g, t, t + 1).rows, key_size(), key_row(g, to));
        std::copy_n(other.values(g, t, t + 1).rows, value_size(), value_row(g, to));
      }
    size_ += end - begin;
  }

  /// Writes tokens in place of those from `first` on; what is more than these, it appends.
  ///
  /// \param first  0 to tokens()
  /// \param k, v   as for append; they do not overlap the tokens written
  /// \throws as append, and std::invalid_argument where `first` is out of range
  template <viewable Keys, viewable Values>
  void write(Index first, const Keys& k, const Values& v) {
    const auto [keys, values] =
        detail::new_keys_and_values("kv_cache", k, v, groups(), qk_dim(), v_dim());
    detail::require_tokens("kv_cache", "writing after", 0, first, size_);
    detail::require_room("kv_cache", keys.tokens(), first, capacity_);
    for (Index t = 0; t < keys.tokens(); ++t)
      for (Index g = 0; g < groups(); ++g) {
        KeyCodec::encode(keys.row(t, g), key_row(g, first + t), qk_dim());
        ValueCodec::encode(values.row(t, g), value_row(g, first + t), v_dim());
      }
    size_ = std::max<Index>(size_, first + keys.tokens());
  }

  /// Writes keys in place of those from token `first` on, whose values stay.
  ///
  /// \param k  [tokens, KV_groups, qk_dim], which does not overlap the keys written
  /// \throws std::invalid_argument if a shape disagrees, or if there are fewer tokens
  template <viewable Keys>
  void write_keys(Index first, const Keys& k) {
    const auto keys = detail::new_rows("kv_cache", "k", k, groups(), qk_dim());
    detail::require_written("kv_cache", "keys", first, keys.tokens(), size_);
    for (Index t = 0; t < keys.tokens(); ++t)
      for (Index g = 0; g < groups(); ++g)
        KeyCodec::encode(keys.row(t, g), key_row(g, first + t), qk_dim());
  }

  /// Removes tokens [begin, end); those behind move up as they are stored. Where keys are rotated
  /// by their positions see context_shift.hpp.
  ///
  /// \throws std::invalid_argument if there are no such tokens
  void erase(Index begin, Index end) {
    detail::require_tokens("kv_cache", "erasing", begin, end, size_);
    for (Index g = 0; g < groups(); ++g) {
      std::copy(key_row(g, end), key_row(g, size_), key_row(g, begin));
      std::copy(value_row(g, end), value_row(g, size_), value_row(g, begin));
    }
    size_ -= end - begin;
  }

  /// Of the tokens from `first` on keeps those listed, moved together as they are stored, such as
  /// the accepted drafts of a tree:
  ///
  ///   cache.keep(cache.tokens() - tree.drafts(), std::array{0, 1, 4});
  ///
  /// \param kept  integers in memory, counted from `first`, ascending
  /// \throws std::invalid_argument naming what is wrong; the cache is then unchanged
  template <detail::integer_list Kept>
  void keep(Index first, const Kept& kept) {
    const detail::kept_list list("kv_cache", first, kept, size_);
    list.for_each_moved([this](Index from, Index to) { copy_token(from, to); });
    size_ = list.end();
  }

  /// Copies what is stored of a token over another.
  ///
  /// \throws std::invalid_argument if there are no such tokens
  void copy_token(Index from, Index to) {
    detail::require_token("kv_cache", from, size_);
    detail::require_token("kv_cache", to, size_);
    for (Index g = 0; g < groups(); ++g) {
      std::copy_n(key_row(g, from), key_size(), key_row(g, to));
      std::copy_n(value_row(g, from), value_size(), value_row(g, to));
    }
  }

  /// Keeps the first `tokens` tokens; exact, whatever came after them.
  ///
  /// \throws std::invalid_argument if there are fewer
  void truncate(Index tokens) {
    detail::require_truncation("kv_cache", tokens, size_);
    size_ = tokens;
  }

  /// Forgets every token.
  void clear() { size_ = 0; }

  /// The keys so far, [tokens, KV_groups, qk_dim], where they are stored as scalars; valid while
  /// the cache lives.
  view<const Key> key_view() const requires(detail::storage_scalar<Stored_>) {
    return {keys_.get(), size_, groups(), qk_dim(), key_size(), capacity_ * key_size()};
  }
  /// The values so far, [tokens, KV_groups, v_dim].
  view<const Value> value_view() const requires(detail::storage_scalar<StoredValue_>) {
    return {values_.get(), size_, groups(), v_dim(), value_size(), capacity_ * value_size()};
  }

  token_run<Key> keys(Index g, Index begin, Index end) const {
    return {key_row(g, begin), key_size(), end - begin};
  }
  token_run<Value> values(Index g, Index begin, Index end) const {
    return {value_row(g, begin), value_size(), end - begin};
  }

 private:
  // Numbers as stored that a row takes.
  Index key_size() const { return KeyCodec::storage_size(qk_dim()); }
  Index value_size() const { return ValueCodec::storage_size(v_dim()); }

  Key* key_row(Index g, Index t) const { return keys_.get() + (g * capacity_ + t) * key_size(); }
  Value* value_row(Index g, Index t) const {
    return values_.get() + (g * capacity_ + t) * value_size();
  }

  [[no_unique_address]] detail::extent<KV_groups> groups_;
  [[no_unique_address]] detail::extent<qk_dim_> key_width_;
  [[no_unique_address]] detail::extent<v_dim_> value_width_;
  detail::held_count capacity_;
  detail::held_count size_;
  detail::aligned_array<Key> keys_;      // [KV_groups, capacity, key_size]
  detail::aligned_array<Value> values_;  // [KV_groups, capacity, value_size]
};

}  // namespace headroom::inline HEADROOM_ISA
