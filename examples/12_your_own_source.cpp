// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// A source of one's own. Kernels read keys and values through a small interface: "group g, tokens
// from begin: where do they lie, and for how many tokens does that go on?". Whatever can answer is
// a source. Here: pages of a pool, handed out through a table, so that two sequences with the same
// beginning share its pages, and nothing is copied when a sequence grows. (14_pages.cpp has the
// library's own pages; this is what such a thing comes to.)
#include <headroom/attention.hpp>
#include <headroom/kv_source.hpp>

#include <algorithm>
#include <vector>

#include "ladder.hpp"

constexpr Index Q_heads = 6, KV_groups = 2, dim = 16, page_tokens = 16;

// A page holds the keys, then the values, of page_tokens tokens: each [tokens, KV_groups, dim].
using page = std::vector<float>;
constexpr Index half_page = page_tokens * KV_groups * dim;

struct paged_sequence {
  using KeyCodec = headroom::scalar_codec<float>;  // stored as floats, one by one
  using ValueCodec = headroom::scalar_codec<float>;

  std::vector<const page*> table;
  Index length;

  Index tokens() const { return length; }
  Index groups() const { return KV_groups; }
  Index qk_dim() const { return dim; }
  Index v_dim() const { return dim; }

  headroom::token_run<float> keys(Index g, Index begin, Index end) const {
    return run(0, g, begin, end);
  }
  headroom::token_run<float> values(Index g, Index begin, Index end) const {
    return run(half_page, g, begin, end);
  }

 private:
  // From `begin` to the end of its page, or to `end`; the kernel asks again for what is missing.
  headroom::token_run<float> run(Index offset, Index g, Index begin, Index end) const {
    const Index slot = begin % page_tokens;
    const page& memory = *table[static_cast<std::size_t>(begin / page_tokens)];
    return {memory.data() + offset + (slot * KV_groups + g) * dim, KV_groups * dim,
            std::min(end - begin, page_tokens - slot)};
  }
};
static_assert(headroom::kv_source<paged_sequence>);

bool show(const char* claim, const paged_sequence& sequence) {
  // The same keys and values, gathered into matrices.
  Matrix k(sequence.length, KV_groups * dim), v(sequence.length, KV_groups * dim);
  for (Index t = 0; t < sequence.length; ++t) {
    k.row(t) = Eigen::Map<const Eigen::RowVectorXf>(sequence.keys(0, t, t + 1).rows, k.cols());
    v.row(t) = Eigen::Map<const Eigen::RowVectorXf>(sequence.values(0, t, t + 1).rows, v.cols());
  }
  const headroom::gqa<Q_heads, KV_groups, dim> attend;
  const Matrix q = Matrix::Random(3, Q_heads * dim);
  Matrix paged(3, Q_heads * dim), gathered(3, Q_heads * dim);
  attend(q, sequence, paged, headroom::causal{});
  attend(q, k, v, gathered, headroom::causal{});
  return agree(claim, paged, gathered);
}

int main() {
  std::vector<page> pool(5, page(2 * half_page));
  for (page& memory : pool) Eigen::Map<Eigen::VectorXf>(memory.data(), 2 * half_page).setRandom();

  // Both begin with the 32 tokens of pages 3 and 0, and go on alone.
  const paged_sequence one{.table = {&pool[3], &pool[0], &pool[4]}, .length = 41};
  const paged_sequence other{.table = {&pool[3], &pool[0], &pool[1], &pool[2]}, .length = 59};
  const bool first = show("41 tokens on three pages, and in one piece", one);
  const bool second = show("59 tokens, two pages of them shared, and in one piece", other);
  return verdict(first && second);
}
