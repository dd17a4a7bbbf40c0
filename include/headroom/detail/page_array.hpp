// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/memory.hpp>
#include <headroom/page_stock.hpp>
#include <headroom/paged_view.hpp>

#include <algorithm>

namespace headroom::inline HEADROOM_ISA::detail {

/// Owns the rows of a pool's pages, uninitialised: [KV_groups, pages, page_tokens, row_size], a
/// group's part of a page on a cache line. A group is read page after page; were all of a page in
/// one place, it would be read in short pieces far apart, each behind an address translation of its
/// own (decode from 16 tokens of 128 bfloat16 a page takes 1.3 times as long).
///
/// A token alone is too short a piece for that: pages of one are [pages, KV_groups, row_size],
/// which lets kernels take several groups together.
template <class Storage>
class page_array {
 public:
  page_array(Index pages, Index groups, Index page_tokens, Index row_size)
      : groups_(groups), row_size_(row_size) {
    const Index piece = whole_lines(page_tokens * row_size);
    const Index token = whole_lines(groups * row_size);
    memory_ = page_tokens == 1 ? page_memory<Storage>{nullptr, token, row_size, token}
                               : page_memory<Storage>{nullptr, piece, pages * piece, row_size};
    size_ = pages * (page_tokens == 1 ? token : groups * piece);
    rows_ = uninitialised<Storage>(size_);
    memory_.data = rows_.get();
  }

  const page_memory<Storage>& memory() const { return memory_; }

  Storage* row(page_id id, Index group, Index slot) {
    return const_cast<Storage*>(memory_.row(id, group, slot));  // of rows_
  }

  /// Copies the first `slots` tokens of a page to another.
  void copy(page_id from, page_id to, Index slots) {
    for (Index g = 0; g < groups_; ++g)
      for (Index s = 0; s < slots; ++s)
        std::copy_n(memory_.row(from, g, s), row_size_, row(to, g, s));
  }

  Index bytes() const { return size_ * static_cast<Index>(sizeof(Storage)); }

 private:
  // So many elements, filled up to cache lines.
  static Index whole_lines(Index size) {
    constexpr Index line = std::max(Index(1), Index(alignment / sizeof(Storage)));
    return (size + line - 1) / line * line;
  }

  Index groups_;
  Index row_size_;
  Index size_;
  page_memory<Storage> memory_;
  aligned_array<Storage> rows_;
};

}  // namespace headroom::inline HEADROOM_ISA::detail
