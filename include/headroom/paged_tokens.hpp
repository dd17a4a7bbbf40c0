// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/cache_checks.hpp>
#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/kept_list.hpp>
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

  /// \throws std::length_error if `count` more tokens have no room, here or in the pool, as append
  ///         would
  void check_room(Index count) const { growth_by(count); }

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

  /// Removes tokens [begin, end). Whole pages are given up, and those behind stay as they are,
  /// shared or not; where the range is not of whole pages, tokens behind move up as they are stored
  /// by what is more, and by less than a page. Forks keep what they have. Where keys are rotated by
  /// their positions see context_shift.hpp.
  ///
  /// \throws std::invalid_argument if there are no such tokens, std::length_error if the pool has
  ///         no pages for copies of shared ones; every sequence and the pool are then unchanged
  void erase(Index begin, Index end) { erase_tokens(begin, end, false); }

  /// Does what erase does, and unshare for the tokens that were behind; both or none.
  ///
  /// \throws as erase
  void erase_and_unshare(Index begin, Index end) { erase_tokens(begin, end, true); }

  /// Of the tokens from `first` on keeps those listed, as kv_cache does. Forks keep what they have.
  ///
  /// \throws std::invalid_argument naming what is wrong, std::length_error if the pool has no pages
  ///         for copies of shared ones; every sequence and the pool are then unchanged
  template <detail::integer_list Kept>
  void keep(Index first, const Kept& kept) {
    const detail::kept_list list(who_, first, kept, tokens_);
    own_pages("keeping some of the last tokens", list.first_moved(), list.end());
    list.for_each_moved([&](Index from, Index to) { move_token(from, to); });
    release_after(list.end());
  }

  /// Copies those pages of tokens [begin, end) that forks hold too, so that writing these tokens
  /// takes no page any more.
  ///
  /// \throws std::invalid_argument if there are no such tokens, std::length_error if the pool has
  ///         no pages for copies; every sequence and the pool are then unchanged
  void unshare(Index begin, Index end) {
    detail::require_tokens(who_, "unsharing", begin, end, tokens_);
    own_pages("writing tokens", begin, end);
  }

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
  /// \throws std::length_error if there is no room; nothing has changed then
  template <class Write>
  void append_tokens(Index count, const Write& write) {
    make_room(count);
    for (Index t = 0; t < count; ++t) write(t, place_of(tokens_ + t));
    tokens_ += count;
  }

  /// Writes in place of `count` tokens from `first` on: write(t, place) writes the t-th of them.
  ///
  /// \throws as unshare
  template <class Write>
  void write_tokens(Index first, Index count, const Write& write) {
    unshare(first, first + count);
    for (Index t = 0; t < count; ++t) write(t, place_of(first + t));
  }

 private:
  // By whole pages, which are given up, and where the range is more than that, by moving those
  // behind up, less than a page. `written_next` says that they are to be on pages of their own.
  void erase_tokens(Index begin, Index end, bool written_next) {
    detail::require_tokens(who_, "erasing", begin, end, tokens_);
    if (end == tokens_) return release_after(begin);
    const Index gap = (end - begin) % page_tokens(), whole = end - begin - gap;
    // Tokens before the range that are on the first page that goes. The page behind those that go
    // has tokens of the range in the same slots, and takes them in.
    const Index stay = whole > 0 ? begin % page_tokens() : 0;
    own_pages("erasing tokens", end - gap - stay,
              gap > 0 || written_next ? tokens_ - gap : end - gap);
    if (gap > 0)
      for (Index t = end; t < tokens_; ++t) move_token(t, t - gap);
    release_after(tokens_ - gap);
    for (Index t = begin - stay; t < begin; ++t) move_token(t, t + whole);
    const auto given_up = table_.begin() + begin / page_tokens();
    std::for_each(given_up, given_up + whole / page_tokens(),
                  [this](page_id page) { pool_->release(page); });
    table_.erase(given_up, given_up + whole / page_tokens());
    tokens_ -= whole;
  }

  void move_token(Index from, Index to) {
    const place a = place_of(from), b = place_of(to);
    pool_->copy_token(a.page, a.slot, b.page, b.slot);
  }

  // Copies those pages of tokens [begin, end) that others hold; all of them or none.
  void own_pages(const char* doing, Index begin, Index end) {
    if (begin == end) return;
    const auto first = static_cast<std::size_t>(begin / page_tokens());
    const auto last = static_cast<std::size_t>(pages_for(end));
    Index needed = 0;
    for (std::size_t i = first; i < last; ++i) needed += pool_->is_shared(table_[i]);
    if (needed > pool_->pages_free())
      throw std::length_error(detail::text(who_) + ": " + doing + " copies " +
                              detail::text(needed) + " shared pages, the pool has " +
                              detail::text(pool_->pages_free()) + " free");
    for (std::size_t i = first; i < last; ++i)
      if (pool_->is_shared(table_[i]))
        copy_page(i, std::min(page_tokens(), tokens_ - static_cast<Index>(i) * page_tokens()));
  }

  // Takes a page of its own in place of a shared one.
  void copy_page(std::size_t i, Index slots) {
    const page_id own = pool_->take();
    for (Index slot = 0; slot < slots; ++slot) pool_->copy_token(table_[i], slot, own, slot);
    pool_->release(table_[i]);
    table_[i] = own;
  }

  Index pages_for(Index tokens) const { return detail::parts(tokens, page_tokens()); }

  // No table lists a page twice, so none is longer than its pool has pages.
  void reserve() {
    const Index most = std::min(capacity_, pool_->pages() * page_tokens());
    table_.reserve(static_cast<std::size_t>(pages_for(most)));
  }

  // What tokens to come take: how long the table becomes, and whether they go on on a shared page.
  struct growth {
    std::size_t size;
    bool copies;
  };
  growth growth_by(Index count) const {
    detail::require_room(who_, count, tokens_, capacity_);
    if (count == 0) return {table_.size(), false};
    // A codec that threw may have left pages behind those of the last token.
    const auto size = std::max(static_cast<std::size_t>(pages_for(tokens_ + count)), table_.size());
    const bool copies = tokens_ % page_tokens() > 0 &&
                        pool_->is_shared(table_[static_cast<std::size_t>(tokens_ / page_tokens())]);
    const Index needed = static_cast<Index>(size - table_.size()) + copies;
    if (needed > pool_->pages_free())
      throw std::length_error(detail::text(who_) + ": appending " + detail::text(count) +
                              " tokens to " + detail::text(tokens_) + " takes " +
                              detail::text(needed) + " pages, the pool has " +
                              detail::text(pool_->pages_free()) + " free");
    return {size, copies};
  }

  void make_room(Index count) {
    const auto [size, copies] = growth_by(count);
    table_.reserve(size);
    if (copies)
      copy_page(static_cast<std::size_t>(tokens_ / page_tokens()), tokens_ % page_tokens());
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
