// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/prefetch.hpp>
#include <headroom/kv_source.hpp>

#include <algorithm>

namespace headroom::inline HEADROOM_ISA::detail {

/// How rows lie in memory.
enum class row_layout {
  side_by_side,  ///< each where the one before it ends, for a long way
  apart,         ///< with others between them
  in_pages       ///< side by side, for a short way
};

/// How few rows read keys and values, or weights.
struct read_pace {
  read_ahead ahead;  ///< how far ahead memory is asked for, on each stream
  Index step_keys;   ///< so many keys are read, and then their values

  static constexpr Index most_step_keys = 1536, least_step_keys = 128;

  /// The pace of so many rows where what they are multiplied by is so many numbers, and bytes: a
  /// key and its value, say.
  ///
  /// A core that reads much and multiplies little foresees what it reads: it is fastest if asked
  /// for the next lines only; pages are not foreseen. What memory bounds is read faster if keys and
  /// values alternate every 1536 keys: one row then takes 0.9 of the time that it takes with steps
  /// of 512 on a Zen 4, four rows over floats or half 0.96 of that with steps of 64. Where
  /// multiplying bounds, shorter steps keep weights in the first-level cache.
  static constexpr read_pace of(Index rows, Index numbers, Index bytes, row_layout layout) {
    constexpr Index bytes_a_product = 2;
    const bool side_by_side = layout == row_layout::side_by_side;
    const bool foreseen = side_by_side && bytes >= rows * numbers * bytes_a_product;
    if (foreseen) return {{1024, 192}, most_step_keys};
    // One row of floats reads pages best if asked for no more than these lines, in 0.87 of the
    // time.
    if (layout == row_layout::in_pages && rows == 1 && bytes >= 4 * numbers)
      return {{1024, 0}, most_step_keys};
    // Pages of what is multiplied for longer than it takes to come from the second-level cache are
    // not asked for in the first: at the end of each that takes longer than it saves. Four rows
    // take 0.92 of the time over bfloat16 if asked four times as far ahead as a row, over int8 0.95
    // if twice as far.
    const bool wide = bytes >= 2 * numbers;
    const Index near = rows == 1 ? bytes_ahead : wide ? 4 * bytes_ahead : 2 * bytes_ahead;
    return {{bytes_far_ahead, wide || side_by_side ? near : 0},
            wide && rows <= 4 ? most_step_keys : least_step_keys};
  }

  /// Whether a row that is multiplied by weights of so many bytes a number, and a row, is to lie so
  /// that loads of it go across cache lines. Weights of 16 bits are multiplied faster than memory
  /// delivers them, and such loads hold a core back just enough: a Zen 4 reads 0.9 of its bandwidth
  /// with them, 0.73 without. Short rows, or packets narrower than a line, gain nothing.
  static constexpr bool loads_across_lines(Index rows, Index number_bytes, Index row_bytes) {
    return rows == 1 && number_bytes == 2 && row_bytes >= long_row && lanes * sizeof(float) == 64;
  }
  static constexpr Index long_row = 4096;

  /// How far ahead of weights, rows of one matrix that lie side by side, where these are multiplied
  /// by the numbers of a row: so many bytes of each number, each row and each stream.
  ///
  /// One row over 16 bits is best asked for by how long its rows are, and by how it loads them:
  /// half as far where they are short, in 0.85 of the time on a Zen 4, twice as far where they are
  /// long.
  static constexpr read_ahead of_keys(Index rows, Index number_bytes, Index row_bytes,
                                      Index stream_bytes) {
    if (rows != 1 || number_bytes != 2)
      return of(rows, 1, number_bytes, row_layout::side_by_side).ahead;
    // What is asked for behind the end of a short stream is wasted.
    const Index most = std::max(stream_bytes / 16, bytes_far_ahead / 4);
    if (row_bytes < long_row) return {std::min(most, bytes_far_ahead / 2), bytes_ahead};
    if (!loads_across_lines(rows, number_bytes, row_bytes))
      return {std::min(most, 2 * bytes_far_ahead), bytes_ahead};
    return {std::min(most, bytes_far_ahead), 3 * bytes_ahead};
  }

  /// The same where the weights are summed, row by row: these are few and long, and one row of sums
  /// gains nothing from asking.
  static constexpr read_ahead of_values(Index rows) {
    return rows == 1 ? read_ahead{512, 128} : read_ahead{bytes_far_ahead / 2, bytes_ahead};
  }
};

/// The pace of so many rows of a group that read the first `kv_len` keys and values of a source.
template <kv_source Source>
read_pace pace_of(const Source& source, Index group, Index kv_len, Index rows) {
  using KeyCodec = typename Source::KeyCodec;
  using ValueCodec = typename Source::ValueCodec;
  const Index key_size = KeyCodec::storage_size(source.qk_dim());
  const Index value_size = ValueCodec::storage_size(source.v_dim());
  const Index bytes = key_size * Index(sizeof(typename KeyCodec::Storage)) +
                      value_size * Index(sizeof(typename ValueCodec::Storage));
  const auto layout = [&] {
    if (!has_one_run<Source>) return row_layout::in_pages;
    const bool side_by_side = kv_len > 0 && source.keys(group, 0, 1).stride == key_size &&
                              source.values(group, 0, 1).stride == value_size;
    return side_by_side ? row_layout::side_by_side : row_layout::apart;
  };
  return read_pace::of(rows, source.qk_dim() + source.v_dim(), bytes, layout());
}

}  // namespace headroom::inline HEADROOM_ISA::detail
