// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: what a frame gave stays where it is, and nobody else's, until the frame ends, however much
// is taken after it and in frames inside it. What was needed once is there the next time.
#include <headroom/detail/scratch.hpp>

#include <cstdint>
#include <thread>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"

using headroom::detail::scratch;
using headroom::detail::scratch_stack;
using namespace headroom_tests;
using Eigen::Index;

namespace {

// Takes `count` numbers and fills them with `mark`.
struct marked_memory {
  Index* data;
  Index count, mark;

  marked_memory(scratch& frame, Index size, Index number)
      : data(frame.take<Index>(size)), count(size), mark(number) {
    std::fill(data, data + count, mark);
  }
  bool intact() const {
    return std::all_of(data, data + count, [&](Index i) { return i == mark; });
  }
};

// Runs f on a thread of its own, whose memory starts empty.
template <class F>
void on_new_thread(F f) {
  std::thread(f).join();
}

// A call tree: each frame takes memory, calls `depth` frames deep, and takes more.
bool nested_frames_keep_their_memory(Index depth, Index size) {
  scratch frame;
  const marked_memory before(frame, size, depth);
  if (depth > 0 && !nested_frames_keep_their_memory(depth - 1, 2 * size)) return false;
  if (depth > 0 && !nested_frames_keep_their_memory(depth - 1, size / 2 + 1)) return false;
  const marked_memory after(frame, 3 * size, -depth);
  if (depth > 0 && !nested_frames_keep_their_memory(depth - 1, 5 * size)) return false;
  return before.intact() && after.intact();
}

}  // namespace

TEST_CASE("memory is aligned to cache lines, also after odd sizes") {
  on_new_thread([] {
    scratch frame;
    for (const Index size : {0, 1, 3, 64, 65, 1000, 100000}) {
      const auto address = reinterpret_cast<std::uintptr_t>(frame.take<char>(size));
      CHECK(address % headroom::detail::alignment == 0);
    }
  });
}

TEST_CASE("memory of a frame does not move or mix when the stack grows") {
  on_new_thread([] {
    scratch frame;
    std::vector<marked_memory> taken;
    for (Index i = 0; i < 12; ++i) taken.emplace_back(frame, Index(1) << i, i);
    for (const auto& memory : taken) CHECK(memory.intact());
  });
}

TEST_CASE("frames nest: inner ones leave the memory of outer ones alone") {
  on_new_thread([] {
    CHECK(nested_frames_keep_their_memory(5, 7));
    CHECK(nested_frames_keep_their_memory(6, 100));
  });
}

TEST_CASE("a frame that ends gives its memory to the next") {
  on_new_thread([] {
    float* first = nullptr;
    {
      scratch frame;
      first = frame.take<float>(1000);
    }
    for (int i = 0; i < 3; ++i) {
      scratch frame;
      CHECK(frame.take<float>(1000) == first);
    }
  });
}

TEST_CASE("what was needed once is not allocated again") {
  if (!counts_allocations) return;
  on_new_thread([] {
    const auto work = [] { nested_frames_keep_their_memory(4, 50); };
    CHECK(allocations_of(work) > 0);
    work();
    CHECK(allocations_of(work) == 0);
  });
}

TEST_CASE("each thread has memory of its own") {
  scratch frame;
  const marked_memory mine(frame, 1000, 1);
  on_new_thread([&] {
    scratch other;
    const marked_memory theirs(other, 1000, 2);
    CHECK(theirs.data != mine.data);
    CHECK(mine.intact());
  });
  CHECK(mine.intact());
}
