// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/cache_checks.hpp>
#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/page_stock.hpp>
#include <headroom/paged_view.hpp>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

namespace headroom::inline HEADROOM_ISA {

/// What every sequence on pages of a pool does, whatever a page holds: the base of paged_cache and
/// paged_latents. It holds the pages of its tokens until it is destroyed. Token t is slot
/// t % page_tokens of page block_table()[t / page_tokens].
///
/// Forks hold the same pages. Tokens are written to pages that no other sequence holds: one that is
/// shared, such as a last page that is not full, is copied to a page of the sequence's own first.
///
/// A sequence that was moved from is empty. Its threads' rule is that of a cache, not to be written
/// while it is read, and that of its pool, see page_stock.
class paged_tokens {
 public:
  paged_tokens& operator=(const paged_tokens&) = delete;

  Index tokens() const { return tokens_; }

  /// Most tokens that this sequence may have, as long as its pool has the pages.
  Index capacity() const { return capacity_; }

  Index page_tokens() const { return pool_->page_tokens(); }

  /// The pages of the tokens so far, in order; valid until the next change of this sequence.
  std::span<const page_id> block_table() const {
    return std::span(table_).first(static_cast<std::size_t>(pages_for(tokens_)));
  }

  /// Keeps the first `tokens` tokens; exact, whatever came after them. Pages without tokens are
  /// given up, and free if no other sequence holds them.
  ///
  /// \throws std::invalid_argument if there are fewer
  void truncate(Index tokens) {
    detail::require_truncation(who_, tokens, tokens_);
    release_after(tokens);
  }

  /// Forgets every token and gives up every page.
  void clear() { release_after(0); }

 protected:
  // The table is allocated here and when a sequence is forked, never later.
  paged_tokens(const char* who, page_stock& pool, std::optional<Index> most_tokens)
      : who_(who),
        pool_(&pool),
        capacity_(most_tokens.value_or(pool.pages() * pool.page_tokens())) {
    detail::require(capacity_ >= 0, who, ": capacity = ", capacity_, ", expected at least 0");
    reserve();
    ++pool_->sequences_;
  }

  // A fork.
  paged_tokens(const paged_tokens& other)
      : who_(other.who_), pool_(other.pool_), capacity_(other.capacity_), tokens_(other.tokens_) {
    reserve();
    const auto pages = other.block_table();
    table_.assign(pages.begin(), pages.end());
    for (const page_id page : pages) pool_->share(page);
    ++pool_->sequences_;
  }

  paged_tokens(paged_tokens&& other) noexcept
      : who_(other.who_), pool_(other.pool_), capacity_(other.capacity_) {
    take_pages(other);
    ++pool_->sequences_;
  }

  paged_tokens& operator=(paged_tokens&& other) noexcept {
    if (this == &other) return *this;
    clear();
    --pool_->sequences_;
    pool_ = other.pool_;
    ++pool_->sequences_;
    capacity_ = other.capacity_;
    take_pages(other);
    return *this;
  }

  ~paged_tokens() {
    clear();
    --pool_->sequences_;
  }

  page_stock& pool() const { return *pool_; }

  /// A source's answer: the tokens of a group from `begin` to the end of their page, or to `end`.
  template <class Storage>
  token_run<Storage> run(const page_memory<Storage>& memory, Index group, Index begin,
                         Index end) const {
    return detail::page_run(memory, table_.data(), page_tokens(), group, begin, end);
  }

  /// Where a token that is there, or for which room was made, lies.
  struct place {
    page_id page;
    Index slot;
  };
  place place_of(Index token) const {
    return {table_[static_cast<std::size_t>(token / page_tokens())], token % page_tokens()};
  }

  /// Adds `count` tokens after the last: write(t, place) writes the t-th of them.
  ///
  /// \param copy  copy(from, to, slots) copies the first slots of a page to another page
  /// \throws std::length_error if there is no room; nothing has changed then
  template <class Copy, class Write>
  void append_tokens(Index count, const Copy& copy, const Write& write) {
    make_room(count, copy);
    for (Index t = 0; t < count; ++t) write(t, place_of(tokens_ + t));
    tokens_ += count;
  }

  /// Keeps the tokens of a kept_list: move(from, to) copies a token to another place. Pages that
  /// others hold are copied before they are written.
  ///
  /// \param copy  as for append_tokens
  /// \throws std::length_error if the pool has no pages for that; nothing has changed then
  template <class List, class Copy, class Move>
  void keep_tokens(const List& list, const Copy& copy, const Move& move) {
    // Those that are written, if there are any.
    const auto begin = static_cast<std::size_t>(list.first_moved() / page_tokens());
    const auto end =
        list.first_moved() < list.end() ? static_cast<std::size_t>(pages_for(list.end())) : begin;
    own_pages("keeping some of the last tokens", begin, end, copy);
    list.for_each_moved([&](Index from, Index to) { move(place_of(from), place_of(to)); });
    release_after(list.end());
  }

  /// Copies those pages of tokens [begin, end) that others hold.
  ///
  /// \param copy  as for append_tokens
  /// \throws std::length_error if the pool has no pages for that; nothing has changed then
  template <class Copy>
  void unshare_tokens(Index begin, Index end, const Copy& copy) {
    const auto first = static_cast<std::size_t>(begin / page_tokens());
    own_pages("writing tokens", first,
              begin < end ? static_cast<std::size_t>(pages_for(end)) : first, copy);
  }

  /// Writes in place of `count` tokens from `first` on: write(t, place) writes the t-th of them.
  ///
  /// \param copy  as for append_tokens
  /// \throws std::length_error as unshare_tokens
  template <class Copy, class Write>
  void write_tokens(Index first, Index count, const Copy& copy, const Write& write) {
    unshare_tokens(first, first + count, copy);
    for (Index t = 0; t < count; ++t) write(t, place_of(first + t));
  }

  /// Removes tokens [begin, end): by whole pages, which are given up, and where they are more than
  /// that, by moving those behind up, less than a page.
  ///
  /// \param written_next  whether the tokens behind are to be on pages of their own
  /// \param copy, move    as for keep_tokens
  /// \throws std::invalid_argument if there are no such tokens, std::length_error as keep_tokens;
  ///         nothing has changed then
  template <class Copy, class Move>
  void erase_tokens(Index begin, Index end, bool written_next, const Copy& copy, const Move& move) {
    detail::require_tokens(who_, "erasing", begin, end, tokens_);
    if (end == tokens_) return release_after(begin);
    const Index gap = (end - begin) % page_tokens(), whole = end - begin - gap;
    // Tokens before the range that are on the first page that goes. The page behind those that go
    // has tokens of the range in the same slots, and takes them in.
    const Index stay = whole > 0 ? begin % page_tokens() : 0;
    const auto first = static_cast<std::size_t>((end - gap) / page_tokens());
    const auto last = gap > 0 || written_next ? static_cast<std::size_t>(pages_for(tokens_ - gap))
                                              : first + (stay > 0);
    own_pages("erasing tokens", first, last, copy);
    if (gap > 0)
      for (Index t = end; t < tokens_; ++t) move(place_of(t), place_of(t - gap));
    release_after(tokens_ - gap);
    for (Index t = begin - stay; t < begin; ++t) move(place_of(t), place_of(t + whole));
    const auto given_up = table_.begin() + begin / page_tokens();
    std::for_each(given_up, given_up + whole / page_tokens(),
                  [this](page_id page) { pool_->release(page); });
    table_.erase(given_up, given_up + whole / page_tokens());
    tokens_ -= whole;
  }

 private:
  // Copies those of pages [first, last) of the table that others hold; all of them or none.
  template <class Copy>
  void own_pages(const char* doing, std::size_t first, std::size_t last, const Copy& copy) {
    Index needed = 0;
    for (std::size_t i = first; i < last; ++i) needed += pool_->is_shared(table_[i]);
    if (needed > pool_->pages_free())
      throw std::length_error(detail::text(who_) + ": " + doing + " copies " +
                              detail::text(needed) + " shared pages, the pool has " +
                              detail::text(pool_->pages_free()) + " free");
    for (std::size_t i = first; i < last; ++i)
      if (pool_->is_shared(table_[i]))
        copy_page(i, std::min(page_tokens(), tokens_ - static_cast<Index>(i) * page_tokens()),
                  copy);
  }

  // Takes a page of its own in place of a shared one.
  template <class Copy>
  void copy_page(std::size_t i, Index slots, const Copy& copy) {
    const page_id own = pool_->take();
    copy(table_[i], own, slots);
    pool_->release(table_[i]);
    table_[i] = own;
  }

  Index pages_for(Index tokens) const { return detail::parts(tokens, page_tokens()); }

  // No table lists a page twice, so none is longer than its pool has pages.
  void reserve() {
    const Index most = std::min(capacity_, pool_->pages() * page_tokens());
    table_.reserve(static_cast<std::size_t>(pages_for(most)));
  }

  template <class Copy>
  void make_room(Index count, const Copy& copy) {
    detail::require_room(who_, count, tokens_, capacity_);
    if (count == 0) return;
    const Index slots = tokens_ % page_tokens();  // in use of the page that goes on, if one does
    const auto last = static_cast<std::size_t>(tokens_ / page_tokens());
    const bool copies = slots > 0 && pool_->is_shared(table_[last]);
    // A codec that threw may have left pages behind those of the last token.
    const auto size = std::max(static_cast<std::size_t>(pages_for(tokens_ + count)), table_.size());
    const Index needed = static_cast<Index>(size - table_.size()) + copies;
    if (needed > pool_->pages_free())
      throw std::length_error(detail::text(who_) + ": appending " + detail::text(count) +
                              " tokens to " + detail::text(tokens_) + " takes " +
                              detail::text(needed) + " pages, the pool has " +
                              detail::text(pool_->pages_free()) + " free");
    table_.reserve(size);
    if (copies) copy_page(last, slots, copy);
    while (table_.size() < size) table_.push_back(pool_->take());
  }

  void release_after(Index tokens) {
    for (const std::size_t kept = static_cast<std::size_t>(pages_for(tokens)); table_.size() > kept;
         table_.pop_back())
      pool_->release(table_.back());
    tokens_ = tokens;
  }

  // Into an empty table.
  void take_pages(paged_tokens& other) noexcept {
    table_.swap(other.table_);
    tokens_ = std::exchange(other.tokens_, 0);
  }

  const char* who_;
  page_stock* pool_;
  Index capacity_;
  Index tokens_ = 0;
  std::vector<page_id> table_;
};

}  // namespace headroom::inline HEADROOM_ISA
