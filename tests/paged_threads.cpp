// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: sequences that share a pool, and pages of it, may be read by as many threads as there are
// while one thread at a time makes, forks, appends to, truncates and destroys others; each gets the
// bits that it gets alone. This is the rule that page_stock states.
#include <headroom/attention.hpp>
#include <headroom/mla.hpp>
#include <headroom/paged_cache.hpp>
#include <headroom/paged_latents.hpp>
#include <headroom/ring_cache.hpp>

#include <algorithm>
#include <mutex>
#include <numeric>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/matrix.hpp"
#include "support/pages.hpp"
#include "support/problem.hpp"
#include "support/sequence_model.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

constexpr Index groups = 2, dim = 8, prompt_tokens = 43, most_tokens = 80;
constexpr int Q_heads = 4, rank = 12, nope = 6, rope = 2;

using Cache = hr::paged_cache<float>;
using Latents = hr::paged_latents<float>;
using Ring = hr::ring_cache<Cache>;

// How many tokens a thread goes back at most: a ring gives up what left its window.
template <class Sequence>
constexpr Index most_back = std::is_same_v<Sequence, Ring> ? 1 : most_tokens;

// Calls use(an empty sequence on pages of a poisoned pool).
template <class Sequence, class Use>
void with_pages(Index pages, Index page_tokens, const Use& use) {
  if constexpr (std::is_same_v<Sequence, Latents>) {
    Latents::Pool pool(pages, page_tokens, rank, rope);
    poison(pool);
    use(Latents(pool));
  } else {
    Cache::Pool pool(pages, page_tokens, groups, dim, dim);
    poison(pool);
    if constexpr (std::is_same_v<Sequence, Ring>)
      use(Ring({.window = 20, .prefix = 2, .chunk = 4}, pool));
    else
      use(Cache(pool));
  }
}

using headroom_tests::append;
void append(Latents& latents, Index first, Index count) {
  std::vector<Index> tokens(static_cast<std::size_t>(count));
  std::iota(tokens.begin(), tokens.end(), first);
  const token_rows rows(tokens, 1, rank, rope);
  latents.append(rows.keys(), rows.values());
}

template <class Source>
answer<float> attend_to(hr::view<const float> q, const Source& source) {
  answer<float> got{{1, Q_heads, dim}, {1, Q_heads, 1}};
  any_attention(Q_heads, groups, dim, dim)(q, source, got.out.view(), hr::causal(),
                                           {.lse = got.lse.per_head()});
  return got;
}
answer<float> attend_to(hr::view<const float> q, const Latents& latents) {
  random_source random(1);
  const matrix<float> up = random_matrix<float>(random, Q_heads * (nope + dim), rank);
  answer<float> got{{1, Q_heads, dim}, {1, Q_heads, 1}};
  hr::mla<Q_heads, rank, nope, rope, dim>()(q, latents, hr::linear(up), got.out.view(),
                                            hr::causal(), {.lse = got.lse.per_head()});
  return got;
}

// What a server's thread does: forks the prompt, then decodes, and now and then goes back or tries
// another continuation. Whatever changes the pool is under the lock, attention is not.
template <class Sequence>
std::vector<answer<float>> decode(const Sequence& prompt, std::uint64_t seed, int steps,
                                  std::mutex& lock) {
  random_source random(seed);
  tensor<float> q(1, Q_heads, dim);
  std::vector<answer<float>> answers;
  const auto locked = [&](const auto& change) {
    const std::lock_guard held(lock);
    change();
  };
  const auto attend = [&](const Sequence& to) {
    random.fill(q.view());
    answers.push_back(attend_to(std::as_const(q).view(), to));
  };
  std::optional<Sequence> own, other;
  locked([&] { own.emplace(prompt.fork()); });
  for (int step = 0; step < steps; ++step) {
    const Index token = static_cast<Index>(seed) * 1000 + step;
    locked([&] {
      if (own->tokens() == most_tokens || random.chance(0.1))
        own->truncate(random.integer(
            std::max(prompt_tokens - 10, own->tokens() - most_back<Sequence>), own->tokens() - 1));
      append(*own, token, 1);
    });
    attend(*own);
    if (!random.chance(0.2)) continue;
    locked([&] {
      other.emplace(own->fork());
      append(*other, token + 500, 2);
    });
    attend(*other);
    locked([&] { other.reset(); });
  }
  locked([&] { own.reset(); });
  return answers;
}

}  // namespace

TEMPLATE_TEST_CASE("threads that share pages get what each gets alone", "", Cache, Latents, Ring) {
  constexpr int threads = 4, steps = 60;
  const Index page_tokens = GENERATE(1, 4, 16);
  std::vector<Index> prompt_of(prompt_tokens);
  std::iota(prompt_of.begin(), prompt_of.end(), Index(0));
  const auto answers_of = [&](bool together) {
    std::vector<std::vector<answer<float>>> answers(threads);
    const Index pages = (threads + 1) * (2 * most_tokens / page_tokens + 2);
    with_pages<TestType>(pages, page_tokens, [&](TestType prompt) {
      for (Index t = 0; t < prompt_tokens; ++t) append(prompt, t, 1);
      std::mutex lock;
      std::vector<std::thread> running;
      for (int i = 0; i < threads; ++i) {
        const auto work = [&, i] {
          answers[static_cast<std::size_t>(i)] =
              decode(prompt, static_cast<std::uint64_t>(i + 1), steps, lock);
        };
        if (together)
          running.emplace_back(work);
        else
          work();
      }
      for (std::thread& thread : running) thread.join();
      answers.push_back(decode(prompt, threads + 1, 1, lock));  // the prompt is what it was
      if constexpr (std::is_same_v<TestType, Cache>) CHECK(holds({std::move(prompt), prompt_of}));
    });
    return answers;
  };
  const auto alone = answers_of(false), together = answers_of(true);
  for (std::size_t i = 0; i <= threads; ++i) {
    REQUIRE(alone[i].size() == together[i].size());
    for (std::size_t step = 0; step < alone[i].size(); ++step)
      REQUIRE(same_bits(alone[i][step], together[i][step]));
  }
}
