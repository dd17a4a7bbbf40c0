// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>

#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace headroom::inline HEADROOM_ISA::detail {

/// A cache line, and the widest packet: a load that crosses lines costs two.
inline constexpr std::size_t alignment = 64;

/// Where arrays start: a processor's prefetcher does not look beyond a page, and rows that lie
/// across two are read more slowly.
inline constexpr std::size_t page = 4096;

struct aligned_delete {
  template <class T>
  void operator()(T* memory) const {
    ::operator delete(memory, std::align_val_t(page));
  }
};

/// An array that starts on a page.
template <class T>
using aligned_array = std::unique_ptr<T[], aligned_delete>;

/// Arrays from this size on are put on pages of 2 MiB, where the system has them. A core that reads
/// a cache, each row of a group on another page of 4 KiB than the last, spends up to a fifth of its
/// time on finding these.
inline constexpr std::size_t least_on_huge_pages = std::size_t(4) << 20;

/// Memory that is written before it is read: left uninitialised, so that a large cache costs no
/// page of memory before its tokens come.
template <class T>
aligned_array<T> uninitialised(Index size) {
  static_assert(std::is_trivially_destructible_v<T>);
  const std::size_t bytes = static_cast<std::size_t>(size) * sizeof(T);
  void* const memory = ::operator new(bytes, std::align_val_t(page));
#if defined(__linux__)
  // Advice: if it is not taken, nothing but time is lost.
  if (bytes >= least_on_huge_pages) ::madvise(memory, bytes, MADV_HUGEPAGE);
#endif
  return aligned_array<T>(static_cast<T*>(memory));
}

}  // namespace headroom::inline HEADROOM_ISA::detail
