// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>

#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>

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

/// Memory that is written before it is read: left uninitialised, so that a large cache costs no
/// page of memory before its tokens come.
template <class T>
aligned_array<T> uninitialised(Index size) {
  static_assert(std::is_trivially_destructible_v<T>);
  const std::size_t bytes = static_cast<std::size_t>(size) * sizeof(T);
  return aligned_array<T>(static_cast<T*>(::operator new(bytes, std::align_val_t(page))));
}

}  // namespace headroom::inline HEADROOM_ISA::detail
