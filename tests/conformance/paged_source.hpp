// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core.hpp"

#include <headroom/codec.hpp>
#include <headroom/kv_source.hpp>

namespace conformance {

/// Keys or values of many sequences, in pages.
template <class T>
class page_pool {
 public:
  /// \param numbers  [page, slot, head, dim] or, with heads_first, [page, head, slot, dim]; three
  ///                 dimensions are of one head
  page_pool(tensor<T> numbers, bool heads_first)
      : numbers_(std::move(numbers)), heads_first_(heads_first) {
    if (numbers_.rank() == 3) numbers_.shape.insert(numbers_.shape.begin() + 2, 1);
  }

  Index page_size() const { return numbers_.extent(heads_first_ ? 2 : 1); }

  /// [slots, heads, dim]
  hr::view<const T> page(Index p) const { return layout(numbers_.entry(p)); }

  /// Fills with NaN what lies in no page of these sequences, or behind the end of one.
  void poison_unused(const std::vector<std::vector<Index>>& pages,
                     const std::vector<Index>& lengths) {
    tensor<T> kept{numbers_.shape, unwritten<T>(numbers_.size())};
    for (std::size_t r = 0; r < pages.size(); ++r)
      for (Index j = 0; j < lengths[r]; ++j) {
        const Index p = pages[r].at(static_cast<std::size_t>(j / page_size()));
        const Index slot = j % page_size();
        const hr::view<const T> from = page(p);
        const hr::view<T> to = layout(kept.entry(p));
        for (Index g = 0; g < from.heads(); ++g)
          std::copy_n(from.row(slot, g), from.dim(), to.row(slot, g));
      }
    numbers_ = std::move(kept);
  }

 private:
  template <class U>
  hr::view<U> layout(U* data) const {
    return in_place(data, heads_first_, page_size(), numbers_.extent(heads_first_ ? 1 : 2),
                    numbers_.extent(3));
  }

  tensor<T> numbers_;
  bool heads_first_;
};

/// A user's own source: the tokens of one sequence, scattered over pages that a table lists. Values
/// are the first v_dim numbers of a row, so that one pool of latents can be both.
template <class T>
class paged_source {
 public:
  using KeyCodec = hr::scalar_codec<T>;
  using ValueCodec = hr::scalar_codec<T>;

  paged_source(const page_pool<T>& keys, const page_pool<T>& values, Index v_dim,
               std::vector<Index> pages, Index tokens)
      : keys_(&keys), values_(&values), v_dim_(v_dim), pages_(std::move(pages)), tokens_(tokens) {}

  Index tokens() const { return tokens_; }
  Index groups() const { return keys_->page(0).heads(); }
  Index qk_dim() const { return keys_->page(0).dim(); }
  Index v_dim() const { return v_dim_; }

  hr::token_run<T> keys(Index g, Index begin, Index end) const {
    return run(*keys_, g, begin, end);
  }
  hr::token_run<T> values(Index g, Index begin, Index end) const {
    return run(*values_, g, begin, end);
  }

 private:
  hr::token_run<T> run(const page_pool<T>& pool, Index g, Index begin, Index end) const {
    const Index size = pool.page_size(), slot = begin % size;
    const auto page = pool.page(pages_.at(static_cast<std::size_t>(begin / size)));
    return {page.row(slot, g), page.token_stride(), std::min(end - begin, size - slot)};
  }

  const page_pool<T>* keys_;
  const page_pool<T>* values_;
  Index v_dim_;
  std::vector<Index> pages_;
  Index tokens_;
};

static_assert(hr::kv_source<paged_source<float>>);

}  // namespace conformance
