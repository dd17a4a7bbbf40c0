// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Sparse attention. Over a long text most keys get almost no weight. An index that knows each
// page's smallest and largest key finds the pages that may matter; attention then reads these
// alone. Which keys were read is a list, so what comes out is attention with a mask: no more.
#include <headroom/attention.hpp>
#include <headroom/block_sparse.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/page_index.hpp>
#include <headroom/score_mod.hpp>
#include <headroom/token_sparse.hpp>

#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include "ladder.hpp"

constexpr Index Q_heads = 8, KV_groups = 2, dim = 32, tokens = 4000, page = 16;

int main() {
  const Matrix q = Matrix::Random(1, Q_heads * dim);
  Matrix k = Matrix::Random(tokens, KV_groups * dim);
  const Matrix v = Matrix::Random(tokens, KV_groups * dim);
  for (Index j = 500; j < tokens; j += 1000)  // four keys that the queries look for
    for (Index h = 0; h < Q_heads; ++h)
      k.row(j).segment(h / 4 * dim, dim) += 24 * q.row(0).segment(h * dim, dim);
  headroom::kv_cache<float, KV_groups, dim> cache(tokens);
  cache.append(k, v);

  headroom::page_index index(page, tokens, Q_heads, KV_groups, dim);
  index.update(cache);
  std::array<Index, 25> pages;  // a tenth of all
  const Index count = index.select(q, pages);
  std::printf("%td of %td pages are read\n", count, index.pages());

  const headroom::gqa<Q_heads, KV_groups, dim> attend;
  Matrix sparse(1, Q_heads * dim), full(1, Q_heads * dim), masked(1, Q_heads * dim);
  headroom::attend_blocks(
      attend, q, cache, {.queries = 1, .keys = page}, std::array{Index(0), count},
      std::span(pages).first(static_cast<std::size_t>(count)), sparse, headroom::causal{});
  attend(q, cache, full, headroom::causal{});
  bool holds = agree("a tenth of the pages, and all of them", sparse, full, 0.05f);

  attend(q, cache, masked, headroom::causal{} & headroom::mask([&](Index, Index, Index key) {
                             return std::binary_search(pages.begin(), pages.end(), key / page);
                           }));
  holds &= agree("a tenth of the pages, and a mask that shows these", sparse, masked);

  // Single tokens are listed in the same way, for each query its own.
  const std::vector<int> listed = {500, 1500, 2500, 3500, 3999};
  Matrix few(1, Q_heads * dim);
  headroom::attend_tokens(attend, q, cache, std::array{0, 5}, listed, few, headroom::causal{});
  attend(q, cache, masked, headroom::causal{} & headroom::mask([&](Index, Index, Index key) {
                             return std::binary_search(listed.begin(), listed.end(), key);
                           }));
  holds &= agree("five tokens, and a mask that shows these", few, masked);
  return verdict(holds);
}
