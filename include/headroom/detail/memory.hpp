// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>

#include <cstddef>
#include <initializer_list>
#include <limits>
#include <new>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace headroom::inline HEADROOM_ISA::detail {

/// A cache line, and the widest packet: a load that crosses lines costs two.
inline constexpr std::size_t alignment = 64;

/// Elements of a cache line, or 1 where one is longer.
template <class T>
inline constexpr Index elements_of_line = sizeof(T) < alignment
                                              ? static_cast<Index>(alignment / sizeof(T))
                                              : 1;

/// Where arrays start: a processor's prefetcher does not look beyond a page, and rows that lie
/// across two are read more slowly.
inline constexpr std::size_t page = 4096;

/// Arrays from twice this size on are put on pages of this size, where the system has them, and
/// start on one. A core that reads a cache, each row of a group on another page of 4 KiB than the
/// last, spends up to a fifth of its time on finding these.
inline constexpr std::size_t huge_page = std::size_t(2) << 20;

/// An array that starts on a page, and its owner: a unique_ptr with such a deleter, written out,
/// because <memory> would add a hundredth to the time of compiling an attention.
template <class T>
class aligned_array {
 public:
  aligned_array() = default;
  aligned_array(T* memory, std::align_val_t start) : memory_(memory), start_(start) {}
  aligned_array(aligned_array&& other) noexcept
      : memory_(std::exchange(other.memory_, nullptr)), start_(other.start_) {}
  aligned_array& operator=(aligned_array&& other) noexcept {
    aligned_array taken(std::move(other));
    std::swap(memory_, taken.memory_);
    std::swap(start_, taken.start_);
    return *this;
  }
  ~aligned_array() { ::operator delete(memory_, start_); }

  T* get() const { return memory_; }
  T& operator[](std::size_t i) const { return memory_[i]; }

 private:
  T* memory_ = nullptr;
  std::align_val_t start_{page};
};

/// How many tokens or the like are in an array: none are left in what was moved from.
class held_count {
 public:
  held_count(Index count = 0) : count_(count) {}
  held_count(const held_count&) = default;
  held_count(held_count&& other) noexcept : count_(std::exchange(other.count_, 0)) {}
  held_count& operator=(const held_count&) = default;
  held_count& operator=(held_count&& other) noexcept {
    count_ = std::exchange(other.count_, 0);
    return *this;
  }
  operator Index() const { return count_; }
  held_count& operator+=(Index count) { return *this = held_count(count_ + count); }
  held_count& operator-=(Index count) { return *this += -count; }

 private:
  Index count_;
};

/// How many numbers an array of these sizes has.
///
/// \throws std::length_error if one is negative, or they come to more bytes than an Index counts
template <class T>
Index array_size(const char* who, std::initializer_list<Index> sizes) {
  Index bytes = sizeof(T);
  for (const Index size : sizes) {
    if (size < 0 || (size > 0 && bytes > std::numeric_limits<Index>::max() / size)) {
      std::string shape;
      for (const Index each : sizes) shape += (shape.empty() ? "" : ", ") + text(each);
      throw std::length_error(text(who) + ": an array [" + shape + "] of " + text(sizeof(T)) +
                              " bytes each, expected at most " +
                              text(std::numeric_limits<Index>::max()) + " bytes in all");
    }
    bytes *= size;
  }
  return bytes / static_cast<Index>(sizeof(T));
}

/// Memory that is written before it is read: left uninitialised, so that a large cache costs no
/// page of memory before its tokens come.
template <class T>
aligned_array<T> uninitialised(Index size) {
  static_assert(std::is_trivially_destructible_v<T>);
  const std::size_t bytes = static_cast<std::size_t>(size) * sizeof(T);
  const bool huge = bytes >= 2 * huge_page;
  const std::align_val_t start{huge ? huge_page : page};
  void* const memory = ::operator new(bytes, start);
#if defined(__linux__)
  if (huge) {
    // Memory that was freed before has small pages, which stay small unless they are given up:
    // nothing is on them yet. Advice: if it is not taken, nothing but time is lost.
    ::madvise(memory, bytes / huge_page * huge_page, MADV_DONTNEED);
    ::madvise(memory, bytes, MADV_HUGEPAGE);
  }
#endif
  return {static_cast<T*>(memory), start};
}

/// The same of an array of such sizes, for `who`; throws as array_size.
template <class T>
aligned_array<T> uninitialised(const char* who, std::initializer_list<Index> sizes) {
  return uninitialised<T>(array_size<T>(who, sizes));
}

}  // namespace headroom::inline HEADROOM_ISA::detail
