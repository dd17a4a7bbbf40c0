// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Decoding with a cache. A model that writes text adds a token at a time; the keys and values of
// the tokens before it do not change, so they are kept. Appending some tokens and attending to all
// is the one step of which prefill (the whole prompt), a chunk of it, and decode (one token) are
// three sizes. A cache is a source of keys and values like a pair of views, and takes their place.
#include <headroom/attention.hpp>
#include <headroom/kv_cache.hpp>

#include <algorithm>
#include <stdexcept>

#include "ladder.hpp"

constexpr Index Q_heads = 8, KV_groups = 2, dim = 32, tokens = 300;
using Cache = headroom::kv_cache<Eigen::bfloat16, KV_groups, dim>;

// q, k and v of all tokens, as they would come out of a model.
struct projections {
  Matrix q = Matrix::Random(tokens, Q_heads* dim);
  Matrix k = Matrix::Random(tokens, KV_groups* dim);
  Matrix v = Matrix::Random(tokens, KV_groups* dim);
};

// Takes tokens [begin, end) into the cache and attends from them to it.
void step(const projections& p, Index begin, Index end, Cache& cache, Matrix& out) {
  const headroom::gqa<Q_heads, KV_groups, dim> attend;
  const Index count = end - begin;
  cache.append(p.k.middleRows(begin, count), p.v.middleRows(begin, count));
  attend(p.q.middleRows(begin, count), cache, out.middleRows(begin, count), headroom::causal{});
}

Matrix in_steps_of(Index count, const projections& p, Cache& cache) {
  Matrix out(tokens, Q_heads * dim);
  cache.clear();
  for (Index t = 0; t < tokens; t += count) step(p, t, std::min(t + count, tokens), cache, out);
  return out;
}

// A CPU that multiplies bfloat16 rounds queries to it. Many rows and few are taken in another
// order, and the same tokens at once and one by one may round to either side.
constexpr float rounding = 1.f / 256;

int main() {
  const projections p;
  Cache cache(tokens);  // all the memory it will ever have
  std::printf("a token takes %td bytes\n", cache.bytes_per_token());

  const Matrix prefill = in_steps_of(tokens, p, cache);
  bool holds = agree("prefill in chunks of 64", in_steps_of(64, p, cache), prefill);
  holds &= agree("token by token", in_steps_of(1, p, cache), prefill, rounding);

  // Speculative decoding guesses tokens ahead and takes back the wrong ones. Forgetting is exact.
  Matrix again = prefill;
  again.bottomRows(5).setZero();
  cache.truncate(tokens - 5);
  step(p, tokens - 5, tokens, cache, again);
  holds &= agree("five tokens taken back and written again", again, prefill);

  // A full cache says so and stays as it is.
  bool refused = false;
  try {
    cache.append(p.k.topRows(1), p.v.topRows(1));
  } catch (const std::length_error& error) {
    std::puts(error.what());
    refused = cache.tokens() == tokens;
  }
  return verdict(holds && refused);
}
