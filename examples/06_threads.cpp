// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Threads. The library starts none; it cuts a call into work items and hands them to an executor,
// which is anything that calls work(i) for each i of [0, count) and then returns. How a call is cut
// depends on its sizes alone, so results are the same bits for every executor.
#include <headroom/attention.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/parallel.hpp>

#include <atomic>
#include <thread>
#include <vector>

#include "ladder.hpp"

constexpr Index Q_heads = 8, KV_groups = 2, dim = 32, capacity = 5000;

// A team of threads of one's own. Yours would be the pool that the program has already.
struct team {
  int size;

  template <class Work>
  void operator()(Index count, const Work& work) const {
    std::atomic<Index> next = 0;
    const auto take_items = [&] {
      for (Index i = next++; i < count; i = next++) work(i);
    };
    std::vector<std::thread> others;
    for (int n = 1; n < size; ++n) others.emplace_back(take_items);
    take_items();
    for (std::thread& thread : others) thread.join();
  }
};

bool show(const char* name, Index q_len, const headroom::kv_cache<float, KV_groups, dim>& cache) {
  const headroom::gqa<Q_heads, KV_groups, dim> attend;
  const Matrix q = Matrix::Random(q_len, Q_heads * dim);
  Matrix alone(q_len, Q_heads * dim), shared(q_len, Q_heads * dim);

  // An executor can be a lambda, too: this one counts the items and runs them in turn.
  Index items = 0;
  attend(q, cache, alone, headroom::causal{}, {}, [&](Index count, const auto& work) {
    items += count;
    headroom::serial{}(count, work);
  });
  std::printf("%s, %td queries over %td keys: %td work items\n", name, q_len, cache.tokens(),
              items);

  attend(q, cache, shared, headroom::causal{}, {}, team{3});
  bool same = shared.cwiseEqual(alone).all();
#ifdef _OPENMP
  attend(q, cache, shared, headroom::causal{}, {}, headroom::openmp{});
  same &= shared.cwiseEqual(alone).all();
#endif
  std::printf("  the same bits from every executor: %s\n", same ? "yes" : "no");
  return same && items > 1;
}

int main() {
  headroom::kv_cache<float, KV_groups, dim> cache(capacity);
  cache.append(Matrix::Random(capacity, KV_groups * dim).eval(),
               Matrix::Random(capacity, KV_groups * dim).eval());
  const bool prefill = show("prefill", 300, cache);
  const bool decode = show("decode", 1, cache);  // one query: the keys are split, and merged
  return verdict(prefill && decode);
}
