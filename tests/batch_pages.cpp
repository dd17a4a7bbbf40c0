// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: as in batch.cpp, on pages, of which few rows take groups together: as many of them in a
// batch as leave work for threads, and all of them in a serial call for one sequence.
#include <headroom/batch.hpp>
#include <headroom/int8_codec.hpp>
#include <headroom/paged_cache.hpp>

#include <cstdint>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/pages.hpp"
#include "support/problem.hpp"
#include "support/random.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

TEMPLATE_TEST_CASE("a batch on pages has the bits of its sequences, one by one", "", hr::int8_rows,
                   hr::int8_blocks, Eigen::bfloat16) {
  using Cache = hr::paged_cache<TestType>;
  constexpr Index width = 64, heads_per_group = 4, page_tokens = 16;
  random_source random(31);
  for (int round = 0; round < 12; ++round) {
    const auto count = random.integer(1, 9), groups = random.pick<Index>({2, 3, 8});
    const any_attention heads(heads_per_group * groups, groups, width, width);
    CAPTURE(round, count, groups);
    typename Cache::Pool pool(130 + 10 * count, page_tokens, groups, width, width);
    poison(pool);
    std::vector<Cache> caches;
    caches.reserve(static_cast<std::size_t>(count));
    std::vector<hr::batch_sequence<Cache, hr::causal>> sequences;
    std::vector<Index> offsets = {0};
    for (Index i = 0; i < count; ++i) {
      // A decode step, a draft, a chunk or a prompt; few queries over many keys come first.
      const bool few = i == 0;
      const Index kv_len = few && random.chance(0.5) ? random.pick<Index>({1535, 1729, 2049})
                                                     : random.integer(0, 150);
      const Index q_len = random.integer(1, random.pick<Index>({1, 1, 3, few ? 3 : 40}));
      const problem<> p({0, kv_len, heads.q_heads(), groups, width, width},
                        static_cast<std::uint64_t>(i + 1));
      sequences.emplace_back(caches.emplace_back(pool));
      caches.back().append(p.keys(), p.values());
      offsets.push_back(offsets.back() + (!few && random.chance(0.1) ? kv_len : q_len));
    }
    tensor<float> q(offsets.back(), heads.q_heads(), width);
    random.fill(q.view());
    const auto answer_by = [&](const auto& attend) {
      answer<float> result{{q.tokens(), q.heads(), width}, {q.tokens(), q.heads(), 1}};
      attend(std::as_const(q).view(), result.out.view(), result.lse.per_head());
      return result;
    };
    const answer<float> alone = answer_by([&](auto queries, auto out, auto lse) {
      for (std::size_t i = 0; i < caches.size(); ++i) {
        const Index begin = offsets[i], end = offsets[i + 1];
        heads(queries.slice_tokens(begin, end), caches[i], out.slice_tokens(begin, end),
              hr::causal(), {.lse = lse.slice_tokens(begin, end)});
      }
    });
    const auto together = [&](const auto& executor) {
      return answer_by([&](auto queries, auto out, auto lse) {
        hr::attend_batch(heads, queries, offsets, sequences, out, {.lse = lse}, executor);
      });
    };
    REQUIRE(same_bits(together(hr::serial()), alone));
#ifdef _OPENMP
    REQUIRE(same_bits(together(hr::openmp{3}), alone));
#endif
  }
}
