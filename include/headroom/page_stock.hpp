// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

namespace headroom::inline HEADROOM_ISA {

/// A page of a pool, from 0 on: what block tables list.
using page_id = std::int32_t;

/// What every pool of pages knows: how many pages there are, and how many sequences hold each. It
/// is the base of page_pool and latent_page_pool, and stays where it was made, because sequences
/// point to it: pools of several layers go into a std::deque, not a std::vector. It must outlive
/// them; where it does not, its destructor fails an eigen_assert.
///
/// Threads: these numbers change whenever a sequence of the pool is made, moved, forked, written,
/// cut or destroyed, so one thread at a time may do any of that, or ask for them. Meanwhile other
/// sequences may be read: what is written lies in pages that their tokens do not.
class page_stock {
 public:
  page_stock(const page_stock&) = delete;
  page_stock& operator=(const page_stock&) = delete;

  /// Tokens of a page.
  Index page_tokens() const { return page_tokens_; }

  Index pages() const { return static_cast<Index>(holders_.size()); }
  Index pages_free() const { return static_cast<Index>(free_.size()); }
  Index pages_in_use() const { return pages() - pages_free(); }

  /// Pages that more than one sequence holds.
  Index pages_shared() const { return shared_; }

  /// Sequences that live, empty ones included.
  Index sequences() const { return sequences_; }

 protected:
  /// \throws std::invalid_argument naming the size that is wrong
  page_stock(const char* who, Index pages, Index page_tokens) : page_tokens_(page_tokens) {
    constexpr Index most = std::numeric_limits<page_id>::max();
    detail::require(0 <= pages && pages <= most, who, ": pages = ", pages, ", expected 0 to ",
                    most);
    detail::require(page_tokens >= 1, who, ": page_tokens = ", page_tokens,
                    ", expected at least 1");
    detail::require(page_tokens <= most, who, ": page_tokens = ", page_tokens,
                    ", expected at most ", most);
    holders_.resize(static_cast<std::size_t>(pages), 0);
    free_.resize(holders_.size());
    // Taken from the end: a new pool hands its pages out in the order of memory.
    std::iota(free_.rbegin(), free_.rend(), page_id(0));
  }

  virtual ~page_stock() { check_sequences(); }

 private:
  friend class paged_tokens;

  // Copies a token, whatever a page holds, from a slot of a page to one of another or the same.
  virtual void copy_token(page_id from, Index from_slot, page_id to, Index to_slot) = 0;

  // Not in the destructor itself: an assertion that throws would be warned of there.
  void check_sequences() const { eigen_assert(sequences_ == 0 && "a pool outlives its sequences"); }

  Index& holders(page_id page) { return holders_[static_cast<std::size_t>(page)]; }

  // A free page, for one holder; there must be one.
  page_id take() {
    const page_id page = free_.back();
    free_.pop_back();
    holders(page) = 1;
    return page;
  }

  bool is_shared(page_id page) { return holders(page) > 1; }

  void share(page_id page) {
    if (++holders(page) == 2) ++shared_;
  }

  void release(page_id page) {
    const Index left = --holders(page);
    if (left == 1) --shared_;
    if (left == 0) free_.push_back(page);  // into memory that it has had before
  }

  Index page_tokens_;
  Index shared_ = 0;
  Index sequences_ = 0;
  std::vector<Index> holders_;  // of each page
  std::vector<page_id> free_;   // the next to be taken is the last
};

}  // namespace headroom::inline HEADROOM_ISA
