// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: executor(count, work) calls work(i) exactly once for each i in [0, count) and returns when
// all calls have returned. Which executor runs a call does not change a bit of its result.
#include <headroom/parallel.hpp>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "support/catch.hpp"
#include "support/problem.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

// A small pool of threads, as a program might have one: for_each runs f(0) to f(count - 1).
class thread_pool {
 public:
  explicit thread_pool(int threads) {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { serve(); });
  }
  thread_pool(const thread_pool&) = delete;
  ~thread_pool() {
    {
      const std::lock_guard lock(mutex_);
      closing_ = true;
    }
    changed_.notify_all();
    for (auto& thread : threads_) thread.join();
  }

  void for_each(Index count, const std::function<void(Index)>& f) {
    std::unique_lock lock(mutex_);
    work_ = &f;
    next_ = 0;
    count_ = open_ = count;
    changed_.notify_all();
    changed_.wait(lock, [&] { return open_ == 0; });
  }

 private:
  void serve() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return closing_ || next_ < count_; });
      if (closing_) return;
      const Index i = next_++;
      const auto& work = *work_;
      lock.unlock();
      work(i);
      lock.lock();
      if (--open_ == 0) changed_.notify_all();
    }
  }

  std::vector<std::thread> threads_;
  std::mutex mutex_;
  std::condition_variable changed_;
  const std::function<void(Index)>* work_ = nullptr;
  Index next_ = 0, count_ = 0, open_ = 0;
  bool closing_ = false;
};

// How often each index was called, after the executor returned.
template <class Executor>
std::vector<int> calls(const Executor& executor, Index count) {
  std::vector<std::atomic<int>> seen(static_cast<std::size_t>(count));
  executor(count, [&](Index i) { ++seen.at(static_cast<std::size_t>(i)); });
  return {seen.begin(), seen.end()};
}

template <class Executor>
void check_calls_each_index_once(const Executor& executor) {
  for (const Index count : {0, 1, 2, 3, 7, 100, 1000})
    CHECK(calls(executor, count) == std::vector<int>(static_cast<std::size_t>(count), 1));
}

}  // namespace

TEST_CASE("serial calls each index once, in order, on the calling thread") {
  check_calls_each_index_once(hr::serial());
  std::vector<Index> order;
  hr::serial()(4, [&](Index i) { order.push_back(i); });
  CHECK(order == std::vector<Index>{0, 1, 2, 3});
}

#ifdef _OPENMP
TEST_CASE("openmp calls each index once, for any size of the team") {
  const int threads = GENERATE(0, 1, 2, 3, 8);
  check_calls_each_index_once(hr::openmp{threads});
}

TEST_CASE("openmp within openmp calls each index once too") {
  std::vector<std::atomic<int>> seen(6 * 5);
  hr::openmp{3}(6, [&](Index i) {
    hr::openmp{2}(5, [&](Index j) { ++seen[static_cast<std::size_t>(i * 5 + j)]; });
  });
  for (const auto& times : seen) CHECK(times == 1);
}
#endif

TEST_CASE("a user's pool is an executor in three lines, and changes no bit") {
  thread_pool pool(3);
  const auto executor = [&](Index count, const auto& work) {
    pool.for_each(count, [&](Index i) { work(i); });
  };
  check_calls_each_index_once(executor);
  // A prefill of several blocks, and a decode step with splits.
  for (const problem_size& size : {problem_size{70, 90, 4, 2, 16, 8}, {1, 2500, 4, 2, 16, 8}}) {
    const problem p(size);
    const auto serially = attend(p, hr::causal());
    CHECK(same_bits(attend(p, hr::causal(), {}, executor), serially));
#ifdef _OPENMP
    for (const int threads : {1, 2, 5})
      CHECK(same_bits(attend(p, hr::causal(), {}, hr::openmp{threads}), serially));
#endif
  }
}

TEST_CASE("splits that end in any order are merged in theirs") {
  thread_pool pool(4);
  const auto executor = [&](Index count, const auto& work) {
    pool.for_each(count, [&](Index i) { work(i); });
  };
  const problem p({1, 20'000, 2, 1, 4, 4});
  const auto serially = attend(p, hr::causal());
  for (int i = 0; i < 50; ++i) REQUIRE(same_bits(attend(p, hr::causal(), {}, executor), serially));
}

TEST_CASE("one attention object serves many threads at once") {
  const problem_size size{9, 140, 4, 2, 16, 8};
  const problem p(size);
  const auto expected = attend(p, hr::causal());
  const hr::attention<4, 2, 16, 8> heads;
  std::vector<answer<float>> got(4);
  std::vector<std::thread> threads;
  for (auto& result : got) {
    result = {{size.q_len, 4, 8}, {size.q_len, 4, 1}};
    threads.emplace_back([&] {
      heads(p.queries(), p.keys(), p.values(), result.out.view(), hr::causal(),
            {.lse = result.lse.per_head()});
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& result : got) CHECK(same_bits(result, expected));
}
