// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/codec.hpp>
#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/page_stock.hpp>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <span>

namespace headroom::inline HEADROOM_ISA {

/// Where the rows of pages lie: that of slot s of group g of page p is
/// data + p * page_stride + g * group_stride + s * token_stride. Strides are in Storage elements.
template <class Storage>
struct page_memory {
  const Storage* data;
  Index page_stride;
  Index group_stride;
  Index token_stride;

  const Storage* row(page_id page, Index group, Index slot) const {
    return data + page * page_stride + group * group_stride + slot * token_stride;
  }
};

/// Dense pages [pages, KV_groups, page_tokens, row_size]. A row of dim numbers has `dim` elements
/// where they are stored as scalars, KeyCodec::storage_size(dim) in general.
template <class Storage>
page_memory<Storage> heads_major_pages(const Storage* data, Index KV_groups, Index page_tokens,
                                       Index row_size) {
  return {data, KV_groups * page_tokens * row_size, page_tokens * row_size, row_size};
}

/// Dense pages [pages, page_tokens, KV_groups, row_size].
template <class Storage>
page_memory<Storage> tokens_major_pages(const Storage* data, Index KV_groups, Index page_tokens,
                                        Index row_size) {
  return {data, page_tokens * KV_groups * row_size, row_size, KV_groups * row_size};
}

/// Sizes of pages that paged_view reads.
struct page_sizes {
  Index pages;        ///< that exist
  Index page_tokens;  ///< tokens of a page, at least 1
  Index KV_groups;    ///< key/value heads
  Index qk_dim;       ///< width of a key
  Index v_dim;        ///< width of a value
};

namespace detail {

// The tokens of a group from `begin` to the end of their page, or to `end`.
template <class Storage>
token_run<Storage> page_run(const page_memory<Storage>& memory, const page_id* table,
                            Index page_tokens, Index group, Index begin, Index end) {
  const Index entry = begin / page_tokens, slot = begin - entry * page_tokens;
  return {memory.row(table[entry], group, slot), memory.token_stride,
          std::min(end - begin, page_tokens - slot)};
}

}  // namespace detail

/// Keys and values of one sequence in pages of somebody else's, as a source: token t is slot
/// t % page_tokens of page table[t / page_tokens]. It is for those who have an allocator of pages
/// already; page_pool is one. Latents are pages of one group whose values are the keys' memory,
/// read to a smaller v_dim.
///
/// A view owns nothing: memory and table must outlive it. It reads no slot behind the last token
/// and no entry of the table behind the last token's page. Whose pages a table lists it cannot
/// know: a number of another pool's is refused only if there is no such page here.
///
/// \tparam Stored_, StoredValue_  as of kv_cache
template <class Stored_, class StoredValue_ = Stored_>
class paged_view {
  static_assert(detail::is_storable<Stored_> && detail::is_storable<StoredValue_>,
                "paged_view<Scalar>: Scalar must be float, double, Eigen::half or Eigen::bfloat16, "
                "or a codec in its place; static_assert(headroom::codec<C>) says what a struct C "
                "lacks to be one");

 public:
  using KeyCodec = typename detail::codec_of<Stored_>::type;
  using ValueCodec = typename detail::codec_of<StoredValue_>::type;
  using Key = typename KeyCodec::Storage;
  using Value = typename ValueCodec::Storage;

  /// \param key_pages    where the keys of pages lie, of all that exist
  /// \param value_pages  where values lie; of latents, where keys do
  /// \param sizes        of pages and of what they hold
  /// \param table        pages of the tokens in order; it may be longer than `tokens` need
  /// \param tokens       of the sequence, 0 or more
  /// \throws std::invalid_argument naming the size that is wrong, if the table is too short, or if
  ///         it lists a page that does not exist
  paged_view(const page_memory<Key>& key_pages, const page_memory<Value>& value_pages,
             const page_sizes& sizes, std::span<const page_id> table, Index tokens)
      : keys_(key_pages), values_(value_pages), sizes_(sizes), table_(table), tokens_(tokens) {
    detail::require_at_least("paged_view", "pages", sizes.pages, 0);
    detail::require_at_least("paged_view", "page_tokens", sizes.page_tokens, 1);
    detail::require_at_least("paged_view", "KV_groups", sizes.KV_groups, 1);
    detail::require_at_least("paged_view", "qk_dim", sizes.qk_dim, 1);
    detail::require_at_least("paged_view", "v_dim", sizes.v_dim, 1);
    detail::require_at_least("paged_view", "tokens", tokens, 0);
    const Index used = detail::parts(tokens, sizes.page_tokens);
    detail::require(used <= std::ssize(table), "paged_view: the block table lists ",
                    std::ssize(table), " pages, expected at least ", used, " for ", tokens,
                    " tokens in pages of ", sizes.page_tokens);
    for (Index i = 0; i < used; ++i) {
      const page_id page = table[static_cast<std::size_t>(i)];
      detail::require(0 <= page && page < sizes.pages, "paged_view: the block table lists page ",
                      page, " at ", i, ", expected 0 to pages - 1 = ", sizes.pages - 1);
    }
  }

  Index tokens() const { return tokens_; }
  Index groups() const { return sizes_.KV_groups; }
  Index qk_dim() const { return sizes_.qk_dim; }
  Index v_dim() const { return sizes_.v_dim; }
  Index page_tokens() const { return sizes_.page_tokens; }
  std::span<const page_id> block_table() const { return table_; }

  token_run<Key> keys(Index g, Index begin, Index end) const {
    return detail::page_run(keys_, table_.data(), sizes_.page_tokens, g, begin, end);
  }
  token_run<Value> values(Index g, Index begin, Index end) const {
    return detail::page_run(values_, table_.data(), sizes_.page_tokens, g, begin, end);
  }

 private:
  page_memory<Key> keys_;
  page_memory<Value> values_;
  page_sizes sizes_;
  std::span<const page_id> table_;
  Index tokens_;
};

}  // namespace headroom::inline HEADROOM_ISA
