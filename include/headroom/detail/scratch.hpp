// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/memory.hpp>

#include <algorithm>
#include <cstddef>
#include <type_traits>
#include <vector>

// Working memory of the kernels: a stack of frames, one per thread, that grows to the largest call
// seen and is kept, so that a call after the first like it allocates nothing. Frames nest: a user's
// mask that itself calls attention is fine. The memory goes when its thread ends.

namespace headroom::inline HEADROOM_ISA::detail {

class scratch_stack {
 public:
  static scratch_stack& of_this_thread() {
    static thread_local scratch_stack stack;
    return stack;
  }

  std::byte* take(std::size_t bytes) {
    bytes = (bytes + alignment - 1) / alignment * alignment;
    if (used_ + bytes > size_) grow(bytes);
    std::byte* taken = memory_ + used_;
    used_ += bytes;
    return taken;
  }

  class frame;

 private:
  struct block {
    aligned_array<std::byte> memory;
    std::size_t size;
  };

  // Frames below keep their pointers: a full block stays, and a larger one is put on top. Kernels
  // take memory in many places, which need no copy each of what happens once.
  EIGEN_DONT_INLINE void grow(std::size_t bytes) {
    std::size_t total = 0;
    for (const block& b : blocks_) total += b.size;
    const std::size_t size = std::max(bytes, 2 * total);
    blocks_.push_back({uninitialised<std::byte>(static_cast<Index>(size)), size});
    memory_ = blocks_.back().memory.get();
    size_ = size;
    used_ = 0;
  }

  // The last block is the largest and holds more than all others together: it is kept, empty, for
  // the frames to come, and of those before it the first `count`.
  EIGEN_DONT_INLINE void keep(std::size_t count) {
    blocks_.erase(blocks_.begin() + static_cast<std::ptrdiff_t>(count), blocks_.end() - 1);
    used_ = 0;
  }

  std::vector<block> blocks_;
  std::byte* memory_ = nullptr;  // of the last block
  std::size_t size_ = 0;
  std::size_t used_ = 0;
  std::size_t frames_ = 0;  // open frames
};

/// Memory taken from a frame lives until the frame does; frames end in reverse order.
class scratch_stack::frame {
 public:
  frame() : stack_(of_this_thread()), blocks_(stack_.blocks_.size()), used_(stack_.used_) {
    ++stack_.frames_;
  }
  frame(const frame&) = delete;
  frame& operator=(const frame&) = delete;

  ~frame() {
    --stack_.frames_;
    if (stack_.blocks_.size() == blocks_)
      stack_.used_ = used_;
    else  // this frame opened blocks; others may point into those before
      stack_.keep(stack_.frames_ == 0 ? 0 : blocks_);
  }

  /// Uninitialised memory for `count` numbers, aligned to a cache line.
  template <class T>
  T* take(Index count) {
    static_assert(std::is_trivially_copyable_v<T>);
    return reinterpret_cast<T*>(stack_.take(static_cast<std::size_t>(count) * sizeof(T)));
  }

 private:
  scratch_stack& stack_;
  std::size_t blocks_;
  std::size_t used_;
};

using scratch = scratch_stack::frame;

}  // namespace headroom::inline HEADROOM_ISA::detail
