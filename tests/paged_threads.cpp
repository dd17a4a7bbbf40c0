// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: sequences that share a pool, and pages of it, may be read by as many threads as there are
// while one thread at a time makes, forks, appends to, truncates and destroys others; each gets the
// bits that it gets alone. This is the rule that page_stock states.
#include <headroom/attention.hpp>
#include <headroom/paged_cache.hpp>

#include <algorithm>
#include <mutex>
#include <numeric>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/pages.hpp"
#include "support/problem.hpp"
#include "support/sequence_model.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

constexpr Index groups = 2, Q_heads = 4, dim = 8, prompt_tokens = 43, most_tokens = 80;
using Pool = modelled_sequence::Pool;
using Sequence = hr::paged_cache<float>;

// What a server's thread does: forks the prompt, then decodes, and now and then goes back or tries
// another continuation. Whatever changes the pool is under the lock, attention is not.
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
    answer<float> got{{1, Q_heads, dim}, {1, Q_heads, 1}};
    any_attention(Q_heads, groups, dim, dim)(std::as_const(q).view(), to, got.out.view(),
                                             hr::causal(), {.lse = got.lse.per_head()});
    answers.push_back(std::move(got));
  };
  std::optional<Sequence> own, other;
  locked([&] { own.emplace(prompt.fork()); });
  for (int step = 0; step < steps; ++step) {
    const Index token = static_cast<Index>(seed) * 1000 + step;
    locked([&] {
      if (own->tokens() == most_tokens || random.chance(0.1))
        own->truncate(random.integer(prompt_tokens - 10, own->tokens() - 1));
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

TEST_CASE("threads that share pages get what each gets alone") {
  constexpr int threads = 4, steps = 60;
  const Index page_tokens = GENERATE(1, 4, 16);
  std::vector<Index> prompt_of(prompt_tokens);
  std::iota(prompt_of.begin(), prompt_of.end(), Index(0));
  const auto answers_of = [&](bool together) {
    Pool pool((threads + 1) * (2 * most_tokens / page_tokens + 2), page_tokens, groups, dim, dim);
    poison(pool);
    Sequence prompt(pool);
    append(prompt, 0, prompt_tokens);
    std::mutex lock;
    std::vector<std::vector<answer<float>>> answers(threads);
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
    CHECK(holds({std::move(prompt), prompt_of}));
    return answers;
  };
  const auto alone = answers_of(false), together = answers_of(true);
  for (std::size_t i = 0; i < threads; ++i) {
    REQUIRE(alone[i].size() == together[i].size());
    for (std::size_t step = 0; step < alone[i].size(); ++step)
      REQUIRE(same_bits(alone[i][step], together[i][step]));
  }
}
