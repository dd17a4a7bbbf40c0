// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/memory.hpp>
#include <headroom/page_stock.hpp>
#include <headroom/paged_view.hpp>

#include <algorithm>

namespace headroom::inline HEADROOM_ISA::detail {

/// Owns the rows of a pool's pages, [pages, KV_groups, page_tokens, row_size], uninitialised. A
/// page starts on a cache line.
template <class Storage>
class page_array {
 public:
  page_array(Index pages, Index groups, Index page_tokens, Index row_size)
      : pages_(pages),
        groups_(groups),
        row_size_(row_size),
        memory_(strides(groups, page_tokens, row_size)),
        rows_(uninitialised<Storage>(pages * memory_.page_stride)) {
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

  Index bytes() const { return pages_ * memory_.page_stride * static_cast<Index>(sizeof(Storage)); }

 private:
  static page_memory<Storage> strides(Index groups, Index page_tokens, Index row_size) {
    constexpr Index line = std::max(Index(1), Index(alignment / sizeof(Storage)));
    page_memory<Storage> dense = heads_major_pages<Storage>(nullptr, groups, page_tokens, row_size);
    dense.page_stride = (dense.page_stride + line - 1) / line * line;
    return dense;
  }

  Index pages_;
  Index groups_;
  Index row_size_;
  page_memory<Storage> memory_;
  aligned_array<Storage> rows_;
};

}  // namespace headroom::inline HEADROOM_ISA::detail
