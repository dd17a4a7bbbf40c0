// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: the oldest request runs in every step, the youngest is preempted first, none overtakes
// another, and what the scheduler says of pages is what a pool finds: no append is refused, and at
// the end every page is back.
#include "scheduler.hpp"

#include <headroom/paged_cache.hpp>
#include <map>
#include <random>
#include <set>

#include "support/catch.hpp"

using headroom_tests::contains;
using serve::Index;
using serve::limits;
using serve::scheduler;

namespace {

struct task {
  serve::prompt_parts parts;
  Index tokens;
};

constexpr Index system_tokens = 21, system_prompt = -1;

/// Does what a scheduler says, on a pool.
class simulation {
 public:
  simulation(const limits& limits, const std::vector<task>& tasks, bool share)
      : limits_(limits),
        tasks_(tasks),
        share_(share),
        pool_(limits.pages, limits.page_tokens),
        scheduler_(limits, share ? system_tokens : 0),
        written_(tasks.size(), 0) {
    if (share) append(sequences_.emplace(system_prompt, Cache(pool_)).first->second, system_tokens);
  }

  /// One step in which the first `arrived` tasks have come in.
  scheduler::step step(Index arrived) {
    for (; arrived_ < arrived; ++arrived_) {
      scheduler_.arrive(arrived_, task_of(arrived_).parts, task_of(arrived_).tokens);
      open_.insert(arrived_);
    }
    const std::set<Index> before = running_;
    const scheduler::step plan = scheduler_.next();
    for (const Index id : plan.preempted) {
      REQUIRE(id == *running_.rbegin());  // the youngest
      running_.erase(id);
      sequences_.erase(id);
    }
    for (const Index id : plan.admitted) {
      REQUIRE((running_.empty() || id > *running_.rbegin()));
      running_.insert(id);
      if (share_)
        sequences_.emplace(id, sequences_.at(system_prompt).fork());
      else
        sequences_.emplace(id, Cache(pool_));
    }
    REQUIRE((plan.preempted.empty() || plan.admitted.empty()));
    REQUIRE(static_cast<Index>(running_.size()) == scheduler_.running());
    REQUIRE(scheduler_.running() <= limits_.running);
    check_order();
    compute(plan);
    return plan;
  }

  bool done() const { return scheduler_.idle() && arrived_ == std::ssize(tasks_); }
  Index pages_in_use() const { return pool_.pages_in_use(); }

 private:
  using Cache = headroom::paged_cache<float, 1, 1>;

  const task& task_of(Index id) const { return tasks_[static_cast<std::size_t>(id)]; }

  static void append(Cache& cache, Index tokens) {
    const Eigen::Matrix<float, Eigen::Dynamic, 1> rows =
        Eigen::Matrix<float, Eigen::Dynamic, 1>::Ones(tokens);
    cache.append(headroom::tokens_major(rows.data(), tokens, 1, 1),
                 headroom::tokens_major(rows.data(), tokens, 1, 1));
  }

  // Those who run are the oldest of all that are there.
  void check_order() const {
    auto oldest = open_.begin();
    for (const Index id : running_) REQUIRE(id == *oldest++);
    REQUIRE((open_.empty() || !running_.empty()));
  }

  void compute(const scheduler::step& plan) {
    Index rows = 0;
    for (const scheduler::assignment& a : plan.assignments) {
      Cache& cache = sequences_.at(a.id);
      REQUIRE(cache.tokens() == a.tokens.begin);
      append(cache, a.tokens.tokens());
      rows += a.tokens.tokens();
      Index& written = written_[static_cast<std::size_t>(a.id)];
      const Index known = task_of(a.id).parts.end() + written;
      REQUIRE(a.writes == (a.tokens.end == known));
    }
    REQUIRE(rows <= limits_.rows);
    REQUIRE((open_.empty() || plan.assignments.front().id == *open_.begin()));
    REQUIRE(pool_.pages_free() == scheduler_.pages_free());
    check_unshared();
    for (const scheduler::assignment& a : plan.assignments) {
      if (!a.writes) continue;
      scheduler_.wrote(a.id);
      if (++written_[static_cast<std::size_t>(a.id)] < task_of(a.id).tokens) continue;
      scheduler_.finish(a.id);
      sequences_.erase(a.id);
      running_.erase(a.id);
      open_.erase(a.id);
    }
    REQUIRE(pool_.pages_free() == scheduler_.pages_free());
  }

  void check_unshared() const {
    Index pages = 0;
    for (const Index id : running_) pages += std::ssize(sequences_.at(id).block_table());
    REQUIRE(scheduler_.pages_unshared() == pages);
  }

  limits limits_;
  std::vector<task> tasks_;
  bool share_;
  headroom::page_pool<float, 1, 1> pool_;
  scheduler scheduler_;
  std::map<Index, Cache> sequences_;
  std::vector<Index> written_;
  Index arrived_ = 0;
  std::set<Index> open_, running_;
};

}  // namespace

TEST_CASE("Every request is served, the oldest first, and every page is back") {
  const auto seed = GENERATE(range(0u, 60u));
  std::mt19937 draw(seed);
  const auto between = [&](Index least, Index most) {
    return std::uniform_int_distribution<Index>(least, most)(draw);
  };
  const bool share = seed % 2 == 0;
  limits l{.pages = between(20, 60),
           .page_tokens = between(2, 8),
           .rows = 0,
           .chunk = between(1, 12),
           .running = between(1, 12)};
  l.rows = l.chunk + l.running + between(0, 20);
  // The longest task fills the pool.
  const Index most =
      (l.pages - (share ? (system_tokens - 1) / l.page_tokens + 1 : 0)) * l.page_tokens;
  std::vector<task> tasks;
  for (int i = 0; i < 30; ++i) {
    const Index prompt = between(1, std::max<Index>(1, (most - system_tokens) / 3));
    const Index longest = std::max<Index>(1, most - system_tokens - prompt);
    tasks.push_back({{system_tokens, prompt}, between(1, std::min<Index>(30, longest))});
  }
  CAPTURE(seed, l.pages, l.page_tokens, l.chunk, l.running, l.rows);
  simulation all(l, tasks, share);
  Index arrived = 0, steps = 0;
  while (!all.done()) {
    arrived = std::min<Index>(arrived + between(0, 3), std::ssize(tasks));
    all.step(std::max<Index>(arrived, 1));
    REQUIRE(++steps < 10000);
  }
  REQUIRE(all.pages_in_use() == (share ? (system_tokens - 1) / l.page_tokens + 1 : 0));
}

TEST_CASE("The youngest makes room and comes back before those that came after it") {
  // Pages of 4 tokens: each prompt takes 7, and the two grow until a pool of 16 is full.
  const limits l{.pages = 16, .page_tokens = 4, .rows = 40, .chunk = 8, .running = 3};
  const std::vector<task> tasks(3, task{{system_tokens, 6}, 12});
  simulation all(l, tasks, false);
  std::vector<Index> admitted, preempted;
  while (!all.done()) {
    const scheduler::step plan = all.step(3);
    admitted.insert(admitted.end(), plan.admitted.begin(), plan.admitted.end());
    preempted.insert(preempted.end(), plan.preempted.begin(), plan.preempted.end());
  }
  REQUIRE(preempted == std::vector<Index>{1});
  REQUIRE(admitted == std::vector<Index>{0, 1, 1, 2});
}

TEST_CASE("Forks of the system prompt take pages for what follows it alone") {
  // 21 tokens on pages of 4: five full ones are shared, each fork copies the sixth.
  const limits l{.pages = 6 + 3 * 2, .page_tokens = 4, .rows = 40, .chunk = 8, .running = 3};
  simulation all(l, std::vector<task>(3, task{{system_tokens, 4}, 1}), true);
  REQUIRE(all.pages_in_use() == 6);
  REQUIRE(all.step(3).admitted.size() == 2);  // a page is kept for the one that runs already
  REQUIRE(all.pages_in_use() == 6);           // one piece each, and they have ended
  all.step(3);
  REQUIRE(all.done());
}

TEST_CASE("Those who write do not wait for long prompts") {
  const limits l{.pages = 100, .page_tokens = 4, .rows = 12, .chunk = 8, .running = 4};
  std::vector<task> tasks(4, task{{0, 90}, 3});
  tasks.front() = {{0, 8}, 20};
  simulation all(l, tasks, false);
  all.step(1);
  for (int i = 0; i < 10; ++i) {
    const scheduler::step plan = all.step(4);
    REQUIRE(plan.assignments.size() == 2);
    REQUIRE(plan.assignments[0].id == 0);
    REQUIRE(plan.assignments[0].writes);
    REQUIRE(plan.assignments[1].tokens.tokens() > 1);
  }
}

TEST_CASE("What can never be served is refused") {
  const limits l{.pages = 10, .page_tokens = 4, .rows = 12, .chunk = 8, .running = 4};
  scheduler alone(l, 0), shared(l, system_tokens);
  alone.arrive(0, {20, 10}, 11);
  REQUIRE_THROWS_WITH(alone.arrive(1, {20, 10}, 12),
                      contains("request 1 takes 11 pages, the pool has 10"));
  shared.arrive(0, {system_tokens, 5}, 11);
  REQUIRE_THROWS_WITH(shared.arrive(1, {system_tokens, 5}, 12),
                      contains("request 1 takes 5 pages, the pool has 4"));
  REQUIRE_THROWS_WITH(scheduler(l, 40), contains("more than the 10 that the system prompt takes"));
  REQUIRE_THROWS_WITH(shared.wrote(0), contains("request 0 does not run"));
  limits few = l;
  few.rows = 11;
  REQUIRE_THROWS_WITH(scheduler(few, 0), contains("rows = 11, expected running + chunk = 12"));
  few.running = 0;
  REQUIRE_THROWS_WITH(scheduler(few, 0), contains("not positive"));
}
