// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/codec.hpp>
#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/page_array.hpp>
#include <headroom/page_stock.hpp>
#include <headroom/paged_view.hpp>

namespace headroom::inline HEADROOM_ISA {

template <class, int, int, int, class>
class paged_cache;

/// Memory for the keys and values of many sequences of one layer, in pages of a few tokens. A
/// paged_cache is a sequence on it: it takes pages as it grows, and shares those of a common
/// beginning with its forks. All memory is allocated here; physical memory comes as it is written.
///
/// Keys and values are apart. The tokens of a group that are on a page lie one after another; what
/// follows, the next page of the group or the next group of the page, goes by the size of pages, as
/// kernels read them. key_pages() and value_pages() tell where.
/// Short pages waste less where sequences end and share more where they part (1 is a page for each
/// token), long ones are read faster; 16 to 64 are usual.
///
/// \tparam Stored_, KV_groups, qk_dim, v_dim, StoredValue_  as of kv_cache
/// \source Kwon et al., arXiv 2309.06180, section 4
template <class Stored_, int KV_groups = Eigen::Dynamic, int qk_dim_ = Eigen::Dynamic,
          int v_dim_ = qk_dim_, class StoredValue_ = Stored_>
class page_pool : public page_stock {
  static_assert(detail::is_storable<Stored_> && detail::is_storable<StoredValue_>,
                "page_pool<Scalar, ...>: Scalar must be float, double, Eigen::half or "
                "Eigen::bfloat16, or a codec in its place; static_assert(headroom::codec<C>) "
                "says what a struct C lacks to be one");
  static_assert(detail::is_size(KV_groups) && detail::is_size(qk_dim_) && detail::is_size(v_dim_),
                "page_pool<Scalar, KV_groups, qk_dim, v_dim>: sizes must be at least 1 or "
                "Eigen::Dynamic");

 public:
  using KeyCodec = typename detail::codec_of<Stored_>::type;
  using ValueCodec = typename detail::codec_of<StoredValue_>::type;
  using Key = typename KeyCodec::Storage;
  using Value = typename ValueCodec::Storage;

  /// `pages` pages of `page_tokens` tokens each.
  page_pool(Index pages, Index page_tokens) requires(detail::all_fixed<KV_groups, qk_dim_, v_dim_>)
      : page_pool(pages, page_tokens, KV_groups, qk_dim_, v_dim_) {}

  /// Values are as wide as the template says, or as keys.
  page_pool(Index pages, Index page_tokens, Index groups, Index qk_width)
      : page_pool(pages, page_tokens, groups, qk_width, v_dim_ > 0 ? v_dim_ : qk_width) {}

  /// \throws std::invalid_argument naming the size that is wrong, std::length_error if they
  ///         come to more bytes than an Index counts
  page_pool(Index pages, Index page_tokens, Index groups, Index qk_width, Index v_width)
      : page_stock("page_pool", pages, page_tokens),
        groups_(groups, "page_pool", "KV_groups"),
        key_width_(qk_width, "page_pool", "qk_dim"),
        value_width_(v_width, "page_pool", "v_dim"),
        keys_(pages, groups, page_tokens, KeyCodec::storage_size(qk_width)),
        values_(pages, groups, page_tokens, ValueCodec::storage_size(v_width)) {}

  Index groups() const { return groups_.value(); }
  Index qk_dim() const { return key_width_.value(); }
  Index v_dim() const { return value_width_.value(); }

  /// Bytes that a token takes.
  Index bytes_per_token() const {
    return groups() *
           (detail::row_bytes<KeyCodec>(qk_dim()) + detail::row_bytes<ValueCodec>(v_dim()));
  }

  /// Bytes of all pages, what fills them up to whole cache lines included.
  Index bytes() const { return keys_.bytes() + values_.bytes(); }

  /// Where pages lie, for a paged_view or a kernel of one's own; valid while the pool lives.
  const page_memory<Key>& key_pages() const { return keys_.memory(); }
  const page_memory<Value>& value_pages() const { return values_.memory(); }

 private:
  friend class paged_cache<Stored_, KV_groups, qk_dim_, v_dim_, StoredValue_>;

  void copy_token(page_id from, Index from_slot, page_id to, Index to_slot) override {
    keys_.copy_token(from, from_slot, to, to_slot);
    values_.copy_token(from, from_slot, to, to_slot);
  }

  [[no_unique_address]] detail::extent<KV_groups> groups_;
  [[no_unique_address]] detail::extent<qk_dim_> key_width_;
  [[no_unique_address]] detail::extent<v_dim_> value_width_;
  detail::page_array<Key> keys_;
  detail::page_array<Value> values_;
};

}  // namespace headroom::inline HEADROOM_ISA
