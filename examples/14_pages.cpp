// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Pages. Many sequences of unknown lengths, with beginnings in common, fit badly into a cache each:
// every cache is as long as its sequence may ever become, and the common beginning is kept in all.
// A pool cuts the memory into pages of a few tokens; a sequence takes pages as it grows, and a fork
// of it holds the same pages until one of the two appends to the last. Here four answers are
// written to one prompt.
#include <headroom/attention.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/page_pool.hpp>
#include <headroom/paged_cache.hpp>

#include <stdexcept>
#include <vector>

#include "ladder.hpp"

constexpr Index Q_heads = 8, KV_groups = 2, dim = 32;
constexpr Index prompt_tokens = 500, answer_tokens = 20, answers = 4, tokens_per_page = 16;
using Pool = headroom::page_pool<Eigen::bfloat16, KV_groups, dim>;

// q, k and v of some tokens, as they would come out of a model.
struct projections {
  explicit projections(Index tokens)
      : q(Matrix::Random(tokens, Q_heads * dim)),
        k(Matrix::Random(tokens, KV_groups * dim)),
        v(Matrix::Random(tokens, KV_groups * dim)) {}

  Matrix q, k, v;
};

// Appends token by token to any cache, and attends from each to all before it.
template <class Cache>
Matrix decode(const projections& p, Cache& cache) {
  const headroom::gqa<Q_heads, KV_groups, dim> attend;
  Matrix out(p.q.rows(), Q_heads * dim);
  for (Index t = 0; t < p.q.rows(); ++t) {
    cache.append(p.k.row(t), p.v.row(t));
    attend(p.q.row(t), cache, out.row(t), headroom::causal{});
  }
  return out;
}

int main() {
  const projections beginning(prompt_tokens);

  Pool pool(45, tokens_per_page);
  headroom::paged_cache prompt(pool);
  prompt.append(beginning.k, beginning.v);

  bool holds = true;
  std::vector<headroom::paged_cache<Eigen::bfloat16, KV_groups, dim>> sequences;
  for (Index i = 0; i < answers; ++i) {
    const projections p(answer_tokens);
    sequences.push_back(prompt.fork());
    const Matrix paged = decode(p, sequences.back());
    headroom::kv_cache<Eigen::bfloat16, KV_groups, dim> alone(prompt_tokens + answer_tokens);
    alone.append(beginning.k, beginning.v);
    holds &= agree("an answer on pages, and in a cache of its own", paged, decode(p, alone));
  }

  const Index page_bytes = pool.bytes() / pool.pages();
  const Index alone = answers * (prompt_tokens + answer_tokens) * pool.bytes_per_token();
  const Index shared = pool.pages_in_use() * page_bytes;
  std::printf(
      "%td answers: %td pages, %td of them shared: %td KiB, in caches of their own %td KiB\n",
      answers, pool.pages_in_use(), pool.pages_shared(), shared / 1024, alone / 1024);
  holds &= 2 * shared < alone;

  // A pool that is full says so, and every sequence stays as it is.
  const projections long_answer(10 * tokens_per_page);
  bool refused = false;
  try {
    sequences[0].append(long_answer.k, long_answer.v);
  } catch (const std::length_error& error) {
    std::puts(error.what());
    refused = sequences[0].tokens() == prompt_tokens + answer_tokens;
  }

  // Others make room by ending, or by waiting in a cache of their own: their tokens go there and
  // come back as they are stored.
  const projections next(1);
  const headroom::gqa<Q_heads, KV_groups, dim> attend;
  Matrix before(1, Q_heads * dim), after(1, Q_heads * dim);
  attend(next.q, sequences[1], before);
  headroom::kv_cache<Eigen::bfloat16, KV_groups, dim> waiting(prompt_tokens + answer_tokens);
  waiting.append(sequences[1], 0, sequences[1].tokens());
  sequences.erase(sequences.begin() + 1, sequences.end());
  prompt.clear();
  sequences[0].append(long_answer.k, long_answer.v);
  holds &= pool.pages_shared() == 0;
  sequences[0].clear();
  headroom::paged_cache resumed(pool);
  resumed.append(waiting, 0, waiting.tokens());
  attend(next.q, resumed, after);
  holds &= agree("an answer that waited, and before", after, before);
  return verdict(holds && refused);
}
