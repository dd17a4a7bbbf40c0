// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/cache_checks.hpp>
#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/memory.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/view.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>

namespace headroom::inline HEADROOM_ISA {

/// Which pages of keys are worth reading: for each page the smallest and the largest number that
/// its keys have in each channel, from which no score of a query with any of them can be larger
/// than
///
///   bound(page) = sum_d max(q[d] * low[d], q[d] * high[d])
///
/// The pages of the largest bounds, summed over queries and heads, are an attention's block list:
///
///   headroom::page_index index(16, capacity, 32, 8, 128);  // pages of 16 tokens
///   cache.append(k, v);
///   index.update(cache);                               // reads the new keys only
///   const Index count = index.select(q, pages);        // std::array<Index, 64> pages
///   headroom::attend_blocks(gqa, q, cache, {1, 16}, std::array{Index(0), count},
///                           std::span(pages).first(count), out, headroom::causal{});
///
/// It keeps 2 / page_tokens of the keys' numbers, as floats. It allocates when it is made, and
/// working memory in a thread's first calls. Not to be written while it is read; reading from
/// several threads is fine.
///
/// \source Tang et al., Quest, arXiv 2406.10774, section 3.2; there each head has a list of its own
class page_index {
 public:
  /// \param page_tokens  tokens of a page, as many as of a block of attend_blocks; those on which a
  ///                     cache keeps its tokens may be others
  /// \param capacity     most tokens that are taken in
  /// \param Q_heads, KV_groups, qk_dim  of the attention
  /// \throws std::invalid_argument naming the size that is less than 1, or a capacity less than 0,
  ///         or if KV_groups does not divide Q_heads; std::length_error if the index comes to more
  ///         bytes than an Index counts
  page_index(Index page_tokens, Index capacity, Index Q_heads, Index KV_groups, Index qk_dim)
      : page_tokens_(page_tokens),
        capacity_(capacity),
        Q_heads_(Q_heads),
        groups_(KV_groups),
        qk_dim_(qk_dim) {
    detail::require_at_least("page_index", "page_tokens", page_tokens, 1);
    detail::require_at_least("page_index", "capacity", capacity, 0);
    detail::require_at_least("page_index", "Q_heads", Q_heads, 1);
    detail::require_at_least("page_index", "KV_groups", KV_groups, 1);
    detail::require_at_least("page_index", "qk_dim", qk_dim, 1);
    detail::require(Q_heads % KV_groups == 0, "page_index: KV_groups = ", KV_groups,
                    " does not divide Q_heads = ", Q_heads);
    low_ = detail::uninitialised<float>("page_index", {pages_of(capacity), KV_groups, qk_dim});
    high_ = detail::uninitialised<float>("page_index", {pages_of(capacity), KV_groups, qk_dim});
  }

  Index tokens() const { return tokens_; }
  Index capacity() const { return capacity_; }
  Index page_tokens() const { return page_tokens_; }
  Index pages() const { return pages_of(tokens_); }

  /// Takes in the keys that a source has beyond tokens(); those before are as they were.
  ///
  /// \throws std::invalid_argument if the source has other sizes, or fewer tokens than were taken
  ///         in (truncate first); std::length_error if it has more than the capacity
  template <kv_source Source>
  void update(const Source& source) {
    const Index groups = source.groups(), qk_dim = source.qk_dim(), end = source.tokens();
    detail::require(groups == groups_, "page_index: k has ", groups,
                    " heads, expected KV_groups = ", groups_);
    detail::require(qk_dim == qk_dim_, "page_index: k has width ", qk_dim,
                    ", expected qk_dim = ", qk_dim_);
    detail::require(end >= tokens_, "page_index: k has ", end, " tokens, expected at least ",
                    tokens(), ", those taken in; truncate first");
    detail::require_room("page_index", end - tokens_, tokens_, capacity_);
    detail::scratch memory;
    float* const key = memory.take<float>(qk_dim_);
    for (Index g = 0; g < groups_; ++g)
      for (Index j = tokens_; j < end;) {
        const auto run = source.keys(g, j, end);
        for (Index i = 0; i < run.tokens; ++i, ++j) {
          Source::KeyCodec::decode(run.rows + i * run.stride, key, qk_dim_);
          take_in(key, g, j);
        }
      }
    tokens_ = end;
  }

  /// Forgets the tokens from `tokens` on. A page that loses some of its tokens forgets all: update
  /// reads them again.
  ///
  /// \throws std::invalid_argument if there are fewer
  void truncate(Index tokens) {
    detail::require_truncation("page_index", tokens, tokens_);
    if (tokens < tokens_) tokens_ = tokens / page_tokens_ * page_tokens_;
  }

  /// bound(page), summed over the queries and heads of q. One that is NaN, as 0 times an infinite
  /// key is, counts as infinite.
  ///
  /// \param q       [q_len, Q_heads, qk_dim], a view of any scalar or an Eigen row-major matrix
  /// \param bounds  [pages()], written
  /// \throws std::invalid_argument if a size disagrees
  template <viewable Query>
  void bound(const Query& q, std::span<float> bounds) const {
    detail::require(static_cast<Index>(bounds.size()) == pages(), "page_index: ", bounds.size(),
                    " bounds are to be written, expected pages = ", pages());
    write_bounds(checked(q), bounds.data());
  }

  /// The pages of the largest bounds, as many as there is room for, ascending. Of equal bounds the
  /// earlier page wins, so that the same keys and queries always select the same.
  ///
  /// \param q         as in bound
  /// \param selected  written
  /// \return how many were written, min(selected.size(), pages())
  /// \throws std::invalid_argument if q does not fit
  template <viewable Query>
  Index select(const Query& q, std::span<Index> selected) const {
    const auto queries = checked(q);
    detail::scratch memory;
    float* const bounds = memory.take<float>(pages());
    Index* const order = memory.take<Index>(pages());
    write_bounds(queries, bounds);
    std::iota(order, order + pages(), Index(0));
    const Index count = std::min(static_cast<Index>(selected.size()), pages());
    std::nth_element(order, order + count, order + pages(), [&](Index a, Index b) {
      return bounds[a] != bounds[b] ? bounds[a] > bounds[b] : a < b;
    });
    std::sort(order, order + count);
    std::copy(order, order + count, selected.begin());
    return count;
  }

 private:
  using Row = Eigen::Map<Eigen::ArrayXf>;
  using ConstRow = Eigen::Map<const Eigen::ArrayXf>;

  Index pages_of(Index tokens) const { return detail::parts(tokens, page_tokens_); }

  Index at(Index page, Index g) const { return (page * groups_ + g) * qk_dim_; }

  void take_in(const float* key, Index g, Index j) {
    float* const low = low_.get() + at(j / page_tokens_, g);
    float* const high = high_.get() + at(j / page_tokens_, g);
    const bool first = j % page_tokens_ == 0;
    for (Index d = 0; d < qk_dim_; ++d) {
      const bool unordered = std::isnan(key[d]);  // a NaN stays: nothing is less than it
      if (first || unordered || key[d] < low[d]) low[d] = key[d];
      if (first || unordered || key[d] > high[d]) high[d] = key[d];
    }
  }

  template <viewable Query>
  view<const scalar_of<Query>> checked(const Query& q) const {
    const view<const scalar_of<Query>> queries =
        detail::view_argument("page_index", "q", q, Q_heads_);
    detail::require(queries.heads() == Q_heads_, "page_index: q has ", queries.heads(),
                    " heads, expected Q_heads = ", Q_heads_);
    detail::require(queries.dim() == qk_dim_, "page_index: q has width ", queries.dim(),
                    ", expected qk_dim = ", qk_dim_);
    return queries;
  }

  // A bound is linear in the positive and in the negative part of q, so that those of a group's
  // queries and heads are added up first.
  template <class Query>
  void write_bounds(view<const Query> q, float* bounds) const {
    detail::scratch memory;
    Row positive(memory.take<float>(groups_ * qk_dim_), groups_ * qk_dim_);
    Row negative(memory.take<float>(groups_ * qk_dim_), groups_ * qk_dim_);
    positive.setZero();
    negative.setZero();
    const Index heads_per_group = Q_heads_ / groups_;
    for (Index t = 0; t < q.tokens(); ++t)
      for (Index h = 0; h < Q_heads_; ++h)
        for (Index d = 0; d < qk_dim_; ++d) {
          const auto number = static_cast<float>(q(t, h, d));
          (number < 0 ? negative : positive)[h / heads_per_group * qk_dim_ + d] += number;
        }
    for (Index page = 0; page < pages(); ++page) {
      const ConstRow low(low_.get() + at(page, 0), groups_ * qk_dim_);
      const ConstRow high(high_.get() + at(page, 0), groups_ * qk_dim_);
      const float sum = (positive * high + negative * low).sum();
      bounds[page] = std::isnan(sum) ? std::numeric_limits<float>::infinity() : sum;
    }
  }

  Index page_tokens_;
  detail::held_count capacity_;
  Index Q_heads_;
  Index groups_;
  Index qk_dim_;
  detail::held_count tokens_;
  detail::aligned_array<float> low_;   // [pages, groups, qk_dim]
  detail::aligned_array<float> high_;  // the same
};

}  // namespace headroom::inline HEADROOM_ISA
