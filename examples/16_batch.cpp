// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// A batch. A server has many sequences at once, and each wants something else: one brings a prompt,
// another a chunk of one, most only their next token. Their queries lie one after another, offsets
// say where each sequence begins, and one call attends for all of them: no padding, and threads
// share the work of all.
#include <headroom/batch.hpp>
#include <headroom/kv_cache.hpp>

#include <vector>

#include "ladder.hpp"

constexpr Index Q_heads = 8, KV_groups = 2, dim = 32;
using Cache = headroom::kv_cache<float, KV_groups, dim>;

// The prefix language model sees the first tokens from everywhere; with 0 of them it is causal. So
// one type of mask serves sequences with and without such tokens.
using Mask = headroom::either_mask<headroom::causal, headroom::prefix>;

int main() {
  struct request {
    Index q_len, kv_len, prefix;
  };
  const std::vector<request> requests = {{40, 40, 10}, {16, 500, 0}, {1, 900, 0}, {1, 33, 20}};

  std::vector<Cache> caches;
  caches.reserve(requests.size());  // sequences refer to caches: these must stay where they are
  std::vector<headroom::batch_sequence<Cache, Mask>> sequences;
  std::vector<int> offsets = {0};
  for (const request& r : requests) {
    Cache& cache = caches.emplace_back(r.kv_len);
    const Matrix k = Matrix::Random(r.kv_len, KV_groups * dim),
                 v = Matrix::Random(r.kv_len, KV_groups * dim);
    cache.append(k, v);
    sequences.emplace_back(cache, headroom::causal{} | headroom::prefix{r.prefix});
    offsets.push_back(offsets.back() + static_cast<int>(r.q_len));
  }

  const headroom::gqa<Q_heads, KV_groups, dim> attend;
  const Matrix q = Matrix::Random(offsets.back(), Q_heads * dim);
  Matrix together(q.rows(), Q_heads * dim), alone(q.rows(), Q_heads * dim);
  headroom::attend_batch(attend, q, offsets, sequences, together);

  for (std::size_t i = 0; i < requests.size(); ++i)
    attend(q.middleRows(offsets[i], requests[i].q_len), caches[i],
           alone.middleRows(offsets[i], requests[i].q_len), sequences[i].mask());
  std::printf("%zu sequences, %td queries\n", requests.size(), q.rows());
  const bool holds = agree("a batch and its sequences one by one", together, alone);
  return verdict(holds && together == alone);  // the same bits, not only close
}
