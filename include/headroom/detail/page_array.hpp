// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/key_parts.hpp>
#include <headroom/detail/memory.hpp>
#include <headroom/page_stock.hpp>
#include <headroom/paged_view.hpp>

#include <algorithm>

namespace headroom::inline HEADROOM_ISA::detail {

/// Owns the rows of a pool's pages, uninitialised, each group's part of a page on a cache line.
/// They lie as kernels read them, in pieces as long as can be:
///
///   [pages, KV_groups, row_size]               pages of one token, whose groups share lines
///   [pages, KV_groups, page_tokens, row_size]  pages that pages_in_turn reads whole
///   [KV_groups, pages, page_tokens, row_size]  others, of which each group is read on its own
template <class Storage>
class page_array {
 public:
  page_array(Index pages, Index groups, Index page_tokens, Index row_size)
      : groups_(groups), row_size_(row_size) {
    // With a line beside each row, so that whole lines have room for it, too; and one page at
    // least, of which sizes are computed where there is none.
    array_size<Storage>("a pool of pages", {std::max<Index>(pages, 1), groups, page_tokens,
                                            row_size + elements_of_line<Storage>});
    const Index piece = whole_lines(page_tokens * row_size);
    const Index token = whole_lines(groups * row_size);
    if (page_tokens == 1)
      memory_ = {nullptr, token, row_size, token};
    else if (page_tokens == page_keys)
      memory_ = {nullptr, groups * piece, piece, row_size};
    else
      memory_ = {nullptr, piece, pages * piece, row_size};
    size_ = pages * (page_tokens == 1 ? token : groups * piece);
    rows_ = uninitialised<Storage>(size_);
    memory_.data = rows_.get();
  }

  const page_memory<Storage>& memory() const { return memory_; }

  Storage* row(page_id id, Index group, Index slot) {
    return const_cast<Storage*>(memory_.row(id, group, slot));  // of rows_
  }

  /// Copies a token, from a slot of a page to one of another or the same.
  void copy_token(page_id from, Index from_slot, page_id to, Index to_slot) {
    for (Index g = 0; g < groups_; ++g)
      std::copy_n(memory_.row(from, g, from_slot), row_size_, row(to, g, to_slot));
  }

  Index bytes() const { return size_ * static_cast<Index>(sizeof(Storage)); }

 private:
  // So many elements, filled up to cache lines.
  static constexpr Index whole_lines(Index size) {
    constexpr Index line = elements_of_line<Storage>;
    return (size + line - 1) / line * line;
  }

  Index groups_;
  Index row_size_;
  Index size_;
  page_memory<Storage> memory_;
  aligned_array<Storage> rows_;
};

}  // namespace headroom::inline HEADROOM_ISA::detail
