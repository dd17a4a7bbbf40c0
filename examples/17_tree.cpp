// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Speculation with a tree. A small model guesses several continuations at once; they share their
// beginnings, so the guesses form a tree. The large model checks all of them in one call: each
// draft sees the text and its own ancestors, as if its branch alone had been written; the branch
// that is accepted then stays in the cache.
#include <headroom/attention.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/tree_mask.hpp>

#include <vector>

#include "ladder.hpp"

constexpr Index Q_heads = 8, KV_groups = 2, dim = 32, text = 600, drafts = 6;

int main() {
  //   text -> 0 -> 1 -> 3
  //             \    \> 4
  //              > 2 -> 5
  const std::vector<int> parents = {-1, 0, 0, 1, 1, 2};
  const std::vector<Index> branch = {0, 1, 4};  // one path through it

  const Matrix k = Matrix::Random(text + drafts, KV_groups * dim),
               v = Matrix::Random(text + drafts, KV_groups * dim),
               q = Matrix::Random(drafts, Q_heads * dim);
  const headroom::gqa<Q_heads, KV_groups, dim> attend;
  headroom::kv_cache<float, KV_groups, dim> cache(text + drafts);
  cache.append(k, v);
  Matrix all(drafts, Q_heads * dim);
  attend(q, cache, all, headroom::tree_mask<>(parents));

  // The same branch, written token by token.
  headroom::kv_cache<float, KV_groups, dim> written(text + drafts);
  written.append(k.topRows(text), v.topRows(text));
  Matrix alone(1, Q_heads * dim);
  bool holds = true;
  for (const Index draft : branch) {
    written.append(k.row(text + draft), v.row(text + draft));
    attend(q.row(draft), written, alone, headroom::causal{});
    std::printf("draft %td: ", draft);
    holds &= agree("in the tree, and at the end of its branch", all.row(draft), alone);
  }

  // The branch is accepted: its drafts stay, the others go, and the text goes on.
  cache.keep(text, branch);
  Matrix next(1, Q_heads * dim);
  attend(q.row(0), cache, next, headroom::causal{});
  attend(q.row(0), written, alone, headroom::causal{});
  holds &= agree("after the branch was kept, and written alone", next, alone);
  return verdict(holds);
}
