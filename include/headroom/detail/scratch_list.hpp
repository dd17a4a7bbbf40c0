// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/scratch.hpp>

#include <cstddef>
#include <memory>
#include <new>
#include <span>
#include <utility>

namespace headroom::inline HEADROOM_ISA::detail {

/// Things that own something, made one by one in scratch memory and destroyed with this list.
template <class T>
class scratch_list {
 public:
  /// Room for `most` of them in memory that outlives the list.
  scratch_list(Index most, scratch& memory)
      : first_(reinterpret_cast<T*>(memory.take<std::byte>(most * static_cast<Index>(sizeof(T))))) {
  }
  scratch_list(const scratch_list&) = delete;
  scratch_list& operator=(const scratch_list&) = delete;
  ~scratch_list() { std::destroy_n(first_, count_); }

  template <class... Arguments>
  const T& emplace_back(Arguments&&... arguments) {
    const T& added = *new (first_ + count_) T(std::forward<Arguments>(arguments)...);
    ++count_;
    return added;
  }
  std::span<const T> all() const { return {first_, count_}; }

 private:
  T* first_;
  std::size_t count_ = 0;
};

}  // namespace headroom::inline HEADROOM_ISA::detail
