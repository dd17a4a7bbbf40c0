// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// A cascade. Sequences often begin alike: all with the same system prompt, some with the same
// document after it. What they share is kept once and read once; their queries attend to it
// together, then each to its own tokens, and the parts merge into what each would get alone.
#include <headroom/cascade.hpp>
#include <headroom/kv_cache.hpp>

#include <vector>

#include "ladder.hpp"

constexpr Index Q_heads = 8, KV_groups = 2, dim = 32, sequences = 5;
using Cache = headroom::kv_cache<float, KV_groups, dim>;

Cache random_tokens(Index tokens) {
  Cache cache(tokens);
  const Matrix k = Matrix::Random(tokens, KV_groups * dim),
               v = Matrix::Random(tokens, KV_groups * dim);
  cache.append(k, v);
  return cache;
}

int main() {
  const Cache system = random_tokens(400), document = random_tokens(150);
  // The system prompt is of sequences [0, 5), the document of [0, 3).
  const headroom::shared_prefix<Cache> prefixes[] = {{system, 0, 5}, {document, 0, 3}};

  std::vector<Cache> own;
  own.reserve(sequences);
  std::vector<headroom::batch_sequence<Cache, headroom::causal>> batch;
  std::vector<int> offsets = {0};
  for (Index i = 0; i < sequences; ++i) {
    batch.emplace_back(own.emplace_back(random_tokens(10 + 7 * i)));
    offsets.push_back(offsets.back() + 2);  // two new tokens each
  }

  const headroom::gqa<Q_heads, KV_groups, dim> attend;
  const Matrix q = Matrix::Random(offsets.back(), Q_heads * dim);
  Matrix shared(q.rows(), Q_heads * dim), copied(q.rows(), Q_heads * dim);
  headroom::attend_cascade(attend, q, offsets, prefixes, batch, shared);

  // The same with a copy of everything for each.
  for (Index i = 0; i < sequences; ++i) {
    Cache whole(1000);
    whole.append(system.key_view(), system.value_view());
    if (i < 3) whole.append(document.key_view(), document.value_view());
    const Cache& rest = own[static_cast<std::size_t>(i)];
    whole.append(rest.key_view(), rest.value_view());
    attend(q.middleRows(2 * i, 2), whole, copied.middleRows(2 * i, 2), headroom::causal{});
  }
  return verdict(agree("shared, and with a copy for each sequence", shared, copied));
}
