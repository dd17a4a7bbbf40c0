// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// A cascade. Sequences often begin alike: all with the same system prompt, some with the same
// document after it. Forks keep that once; a cascade reads it once as well: their queries attend to
// it together, then each to its own tokens, and the parts merge into what each would get alone.
#include <headroom/cascade.hpp>
#include <headroom/page_pool.hpp>
#include <headroom/paged_cache.hpp>
#include <headroom/token_slice.hpp>

#include <vector>

#include "ladder.hpp"

constexpr Index Q_heads = 8, KV_groups = 2, dim = 32, sequences = 5;
using Pool = headroom::page_pool<Eigen::half, KV_groups, dim>;
using Sequence = headroom::paged_cache<Eigen::half, KV_groups, dim>;
using Slice = headroom::token_slice<Sequence>;

void append_random_tokens(Sequence& sequence, Index tokens) {
  const Matrix k = Matrix::Random(tokens, KV_groups * dim),
               v = Matrix::Random(tokens, KV_groups * dim);
  sequence.append(k, v);
}

int main() {
  Pool pool(100, 16);
  Sequence system(pool);
  append_random_tokens(system, 400);
  Sequence with_document = system.fork();
  append_random_tokens(with_document, 150);

  // The document is of sequences [0, 3), the system prompt of all.
  const Slice prompt(system, 0, 400), document(with_document, 400, 550);
  const headroom::shared_prefix<Slice> prefixes[] = {{prompt, 0, 5}, {document, 0, 3}};

  std::vector<Sequence> forks;
  std::vector<Slice> own;
  std::vector<headroom::batch_sequence<Slice, headroom::causal>> batch;
  std::vector<int> offsets = {0};
  forks.reserve(sequences);  // slices and batch refer to what is in these
  own.reserve(sequences);
  for (Index i = 0; i < sequences; ++i) {
    const Sequence& beginning = i < 3 ? with_document : system;
    Sequence& fork = forks.emplace_back(beginning.fork());
    append_random_tokens(fork, 10 + 7 * i);
    batch.emplace_back(own.emplace_back(fork, beginning.tokens(), fork.tokens()));
    offsets.push_back(offsets.back() + 2);  // two new tokens each
  }

  const headroom::gqa<Q_heads, KV_groups, dim> attend;
  const Matrix q = Matrix::Random(offsets.back(), Q_heads * dim);
  Matrix shared(q.rows(), Q_heads * dim), alone(q.rows(), Q_heads * dim);
  headroom::attend_cascade(attend, q, offsets, prefixes, batch, shared);

  // The same, each reading all that it has.
  for (Index i = 0; i < sequences; ++i)
    attend(q.middleRows(2 * i, 2), forks[static_cast<std::size_t>(i)], alone.middleRows(2 * i, 2),
           headroom::causal{});
  return verdict(agree("shared, and each on its own", shared, alone));
}
