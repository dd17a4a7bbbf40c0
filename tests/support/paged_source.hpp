// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/kv_source.hpp>

#include "support/poison.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

namespace headroom_tests {

/// Keys and values in pages of a few tokens, in an order of their own, as a user might keep them:
/// a token's page is found through a table, and no run is longer than what is left of its page.
/// Pages are [page, group, slot, dim]; slots past the last token hold NaN.
template <class Key, class Value = Key>
class paged_source {
 public:
  using Index = Eigen::Index;
  using KeyCodec = headroom::scalar_codec<Key>;
  using ValueCodec = headroom::scalar_codec<Value>;

  paged_source(headroom::view<const Key> k, headroom::view<const Value> v, Index page_tokens)
      : tokens_(k.tokens()), page_tokens_(page_tokens) {
    const Index pages = (tokens_ + page_tokens - 1) / page_tokens;
    table_.resize(static_cast<std::size_t>(pages));
    std::iota(table_.begin(), table_.end(), Index(0));
    std::reverse(table_.begin(), table_.end());
    if (pages > 2) std::swap(table_[0], table_[1]);
    keys_ = tensor<Key>(pages * k.heads(), page_tokens, k.dim());
    values_ = tensor<Value>(pages * v.heads(), page_tokens, v.dim());
    groups_ = k.heads();
    for (Index j = 0; j < tokens_; ++j)
      for (Index g = 0; g < groups_; ++g) {
        std::copy_n(k.row(j, g), k.dim(), keys_.view().row(page(g, j), j % page_tokens));
        std::copy_n(v.row(j, g), v.dim(), values_.view().row(page(g, j), j % page_tokens));
      }
  }

  Index tokens() const { return tokens_; }
  Index groups() const { return groups_; }
  Index qk_dim() const { return keys_.dim(); }
  Index v_dim() const { return values_.dim(); }

  headroom::token_run<Key> keys(Index g, Index begin, Index end) const {
    return {keys_.view().row(page(g, begin), begin % page_tokens_), qk_dim(), run(begin, end)};
  }
  headroom::token_run<Value> values(Index g, Index begin, Index end) const {
    return {values_.view().row(page(g, begin), begin % page_tokens_), v_dim(), run(begin, end)};
  }

 private:
  Index page(Index g, Index token) const {
    return table_[static_cast<std::size_t>(token / page_tokens_)] * groups_ + g;
  }
  Index run(Index begin, Index end) const {
    return std::min(end - begin, page_tokens_ - begin % page_tokens_);
  }

  Index tokens_ = 0;
  Index page_tokens_ = 1;
  Index groups_ = 0;
  std::vector<Index> table_;
  tensor<Key> keys_;
  tensor<Value> values_;
};

}  // namespace headroom_tests
