// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/memory.hpp>

// Asking for memory before it is read.

namespace headroom::inline HEADROOM_ISA::detail {

// GCC drops a loop that does nothing but prefetch: the empty asm is what it has to keep.

/// Asks for the cache line at `from`; any address will do.
template <class T>
void prefetch(const T* from) {
#if defined(__GNUC__)
  __builtin_prefetch(from, 0, 3);
  asm volatile("");
#endif
}

/// Asks for the cache line at `from` in the second-level cache: memory wanted too late to wait for
/// it in the first, which has few places for what is on its way.
template <class T>
void prefetch_far(const T* from) {
#if defined(__GNUC__)
  __builtin_prefetch(from, 0, 2);
  asm volatile("");
#endif
}

/// Asks for the cache lines of `count` numbers.
template <class T>
void prefetch_row(const T* row, Index count) {
  for (Index i = 0; i < count; i += elements_of_line<T>) prefetch(row + i);
}

/// How far ahead of a row being read memory is asked for, into the second-level cache and then into
/// the first: as far as a core reads in the time that memory takes to answer. Zen 5 needs the
/// second step; Zen 4 does not read faster than half of its bandwidth without the first. Half as
/// far is slower by a tenth, and so is the second step at twice its distance, for a single row.
inline constexpr Index bytes_far_ahead = 4096;
inline constexpr Index bytes_ahead = 512;

/// The first step is no further than so many numbers: of few bits each, these are read faster than
/// they are multiplied.
inline constexpr Index numbers_far_ahead = 2048;

/// From a row being read to those asked for, in bytes. Unless told, rows lie one after another.
struct read_ahead {
  Index far = bytes_far_ahead;
  Index near = bytes_ahead;

  /// The same for the rows from i on.
  read_ahead from(Index) const { return *this; }

  /// What `far` counts from for row i, here from a column on.
  template <class Stored>
  const Stored* far_row(const Stored* row, Index /*i*/, Index /*column*/) const {
    return row;
  }
};

/// The same where what is far ahead of the rows lies in other pages: `far` counts from others.
template <class Storage>
struct paged_read_ahead {
  const Storage* const* far_rows;
  Index far;
  Index near;

  paged_read_ahead from(Index i) const { return {far_rows + i, far, near}; }

  template <class Stored>
  const Storage* far_row(const Stored*, Index i, Index column) const {
    return far_rows[i] + column;
  }
};

/// Asks for memory that is read soon after number d of a row. A processor's own prefetcher is late:
/// it starts anew on each page.
template <class Stored, class Storage, class Ahead>
void prefetch_ahead(const Stored* row, const Storage* far_row, Index d, const Ahead& ahead) {
  prefetch_far(reinterpret_cast<const char*>(far_row + d) + ahead.far);
  prefetch(reinterpret_cast<const char*>(row + d) + ahead.near);
}

}  // namespace headroom::inline HEADROOM_ISA::detail
