// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a pool knows which of its pages are free, held and shared, and how many sequences live. It
// is not destroyed before them.
#include <headroom/page_stock.hpp>
#include <headroom/paged_cache.hpp>

#include "support/catch.hpp"
#include "support/problem.hpp"

#include <optional>
#include <stdexcept>
#include <type_traits>

#if defined(__unix__)
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>
#endif

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

using Pool = hr::page_pool<float, 1, 2>;
using Sequence = hr::paged_cache<float, 1, 2>;

static_assert(!std::is_copy_constructible_v<Pool> && !std::is_move_constructible_v<Pool>);
static_assert(!std::is_copy_assignable_v<Pool> && !std::is_move_assignable_v<Pool>);

void append(Sequence& sequence, Index tokens) {
  const problem<> p({0, tokens, 1, 1, 2, 2});
  sequence.append(p.keys(), p.values());
}

struct counts {
  Index free, in_use, shared, sequences;
  bool operator==(const counts&) const = default;
};
counts counts_of(const Pool& pool) {
  return {pool.pages_free(), pool.pages_in_use(), pool.pages_shared(), pool.sequences()};
}

}  // namespace

TEST_CASE("pages are free, held or shared") {
  Pool pool(6, 4);
  CHECK((pool.pages() == 6 && pool.page_tokens() == 4));
  CHECK(counts_of(pool) == counts{6, 0, 0, 0});
  {
    Sequence one(pool);
    CHECK(counts_of(pool) == counts{6, 0, 0, 1});
    append(one, 9);
    CHECK(counts_of(pool) == counts{3, 3, 0, 1});
    {
      std::optional<Sequence> two(one.fork());
      const Sequence three = two->fork();
      CHECK(counts_of(pool) == counts{3, 3, 3, 3});
      two.reset();
      CHECK(counts_of(pool) == counts{3, 3, 3, 2});
      append(one, 1);  // copies the last page
      CHECK(counts_of(pool) == counts{2, 4, 2, 2});
    }
    CHECK(counts_of(pool) == counts{3, 3, 0, 1});
    one.truncate(8);
    CHECK(counts_of(pool) == counts{4, 2, 0, 1});
  }
  CHECK(counts_of(pool) == counts{6, 0, 0, 0});
}

TEST_CASE("a new pool hands out its pages in the order of memory") {
  Pool pool(4, 2);
  Sequence sequence(pool);
  append(sequence, 8);
  for (Index i = 0; i < 4; ++i) CHECK(sequence.block_table()[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("a pool without pages has room for nothing") {
  Pool pool(0, 4);
  Sequence sequence(pool);
  CHECK(sequence.capacity() == 0);
  CHECK_THROWS_AS(append(sequence, 1), std::length_error);
  CHECK_NOTHROW(append(sequence, 0));
}

TEST_CASE("a pool of impossible sizes is not made") {
  CHECK_THROWS_WITH(Pool(-1, 4), contains("page_pool: pages = -1, expected 0 to 2147483647"));
  CHECK_THROWS_WITH(Pool(Index(1) << 31, 4), contains("pages = 2147483648, expected 0 to"));
  CHECK_THROWS_WITH(Pool(4, 0), contains("page_pool: page_tokens = 0, expected at least 1"));
  CHECK_THROWS_WITH(Pool(0, Index(1) << 31),
                    contains("page_pool: page_tokens = 2147483648, expected at most 2147483647"));
}

#if defined(__unix__) && !defined(__SANITIZE_THREAD__)
TEST_CASE("a pool that is destroyed before its sequences ends the program") {
  const auto signal_of = [](bool sequence_lives) {
    const pid_t child = fork();
    if (child == 0) {
      std::signal(SIGABRT, SIG_DFL);
      close(STDERR_FILENO);
      alignas(Sequence) std::byte memory[sizeof(Sequence)];
      {
        Pool pool(1, 1);
        Sequence* const sequence = new (memory) Sequence(pool);
        if (!sequence_lives) sequence->~Sequence();
      }
      _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  };
  CHECK(signal_of(true) == SIGABRT);
  CHECK(signal_of(false) == 0);
}
#endif
