// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/broadcast.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/packet.hpp>
#include <headroom/detail/prefetch.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/mask.hpp>
#include <headroom/options.hpp>
#include <headroom/softmax_state.hpp>
#include <headroom/view.hpp>

#include <algorithm>
#include <cstddef>
#include <new>
#include <span>

namespace headroom::inline HEADROOM_ISA::detail {

// Processors with the widest packets have second-level caches of 1 MiB and more, others of 512 KiB.
inline constexpr Index cache_scale = lanes >= 16 ? 2 : 1;

// Rows of a block: enough to share the packing of a key tile, few enough that the queries and
// values of a block (192 x (128 + 128) floats = 192 KiB, or twice that) stay in the second-level
// cache beside the tile. A multiple of the stripe of kernels/eigen_product.hpp and of every panel
// of packet_block.hpp.
inline constexpr Index block_rows = 192 * cache_scale;

// Keys of a tile: its keys and values (96 x 256 floats = 96 KiB, or twice that) share that cache. A
// multiple of the register tile of kernels/outer.hpp.
inline constexpr Index tile_keys = 96 * cache_scale;

/// What the compiler knows of the sizes of a call: what no such call needs is not compiled.
struct known_sizes {
  int rows_multiple = 1;   // of which the rows of every block are
  int width_multiple = 1;  // of which qk_dim and v_dim are
};

/// One attention call, validated: what every kernel below needs, whatever the source of the keys.
template <class Scalar_, class Query, class Mask_, known_sizes known = known_sizes()>
struct attention_call {
  static_assert(check_mask<Mask_>());
  using Scalar = Scalar_;
  using Mask = Mask_;
  static constexpr int rows_multiple = known.rows_multiple;
  static constexpr int width_multiple = known.width_multiple;

  view<const Query> q;  // [q_len, Q_heads, qk_dim]
  view<Scalar> out;     // [q_len, Q_heads, v_dim]
  const Mask& mask;
  Index kv_len;
  Index heads_per_group;
  Index first_position;
  Scalar scale;
  Scalar softcap;
  std::span<const Scalar> sinks;
  token_head_view<Scalar> lse;

  Index groups() const { return q.heads() / heads_per_group; }
  Index rows_per_group() const { return q.tokens() * heads_per_group; }

  query_row row(const stacked_rows& rows, Index r) const {
    const Index t = rows.query(r);
    return {rows.head(r), t, first_position + t, kv_len};
  }

  /// Writes the rows of a finished state to out and lse.
  void write(const stacked_rows& rows, const softmax_state<Scalar>& state) const {
    for (Index r = 0; r < rows.count; ++r) {
      if (r + rows_ahead < rows.count)
        prefetch_row(out.row(rows.query(r + rows_ahead), rows.head(r + rows_ahead)), out.dim());
      const Index t = rows.query(r), h = rows.head(r);
      const Scalar sink = sinks.empty() ? softmax_state<Scalar>::minus_infinity
                                        : sinks[static_cast<std::size_t>(h)];
      state.finish(r, out.row(t, h), sink);
      if (lse) lse(t, h) = state.lse(r);
    }
  }
};

/// Numbers that a softmax state of a block takes: maxima and sums have room for whole packets.
inline Index state_size(Index rows, Index v_dim) {
  return 2 * block_rows + rows * v_dim;
}

/// A softmax state of at most block_rows rows in `memory`, of state_size numbers.
template <class Scalar>
softmax_state<Scalar> state_in(Scalar* memory, Index rows, Index v_dim) {
  return {rows, v_dim, memory, memory + block_rows, memory + 2 * block_rows};
}

/// Such states of several groups, `distance` numbers apart; the states themselves are in `memory`.
template <class Scalar>
std::span<const softmax_state<Scalar>> states_in(Scalar* numbers, Index distance, Index groups,
                                                 Index rows, Index v_dim, scratch& memory) {
  auto* const states = memory.take<softmax_state<Scalar>>(groups);
  for (Index g = 0; g < groups; ++g)
    new (states + g) softmax_state<Scalar>(state_in(numbers + g * distance, rows, v_dim));
  return {states, static_cast<std::size_t>(groups)};
}

/// Keys [begin, end) that no row of a block sees: what their masks hide between others. There are
/// none if it is empty.
struct hidden_keys {
  Index begin;
  Index end;

  bool operator==(const hidden_keys&) const = default;

  hidden_keys both(const hidden_keys& other) const {
    return {std::max(begin, other.begin), std::min(end, other.end)};
  }

  /// Where to go on from `key`.
  Index past(Index key) const { return begin <= key && key < end ? end : key; }

  /// The end of a tile that starts with `key`, which is not hidden: a multiple of tile_keys, `last`
  /// or where keys are hidden.
  Index tile_end(Index key, Index last) const {
    const Index next = std::min((key / tile_keys + 1) * tile_keys, last);
    return key < begin && begin < end ? std::min(next, begin) : next;
  }
};

/// The keys that each row of a block may see, clamped to those there are.
class row_ranges {
 public:
  template <class Call>
  row_ranges(const Call& call, const stacked_rows& rows, scratch& memory)
      : ranges_(memory.take<key_range>(rows.count)), begin_(call.kv_len), hidden_{0, call.kv_len} {
    for (Index r = 0; r < rows.count; ++r) {
      key_range range = call.mask.keys(call.row(rows, r));
      const auto clamped = [&](Index key) { return std::clamp<Index>(key, 0, call.kv_len); };
      range.begin = clamped(range.begin);
      range.end = clamped(range.end);
      if (range.full) {
        range.full_begin = range.hidden_begin = range.hidden_end = range.begin;
        range.full_end = range.end;
      } else {
        range.full_begin = clamped(range.full_begin);
        range.full_end = clamped(range.full_end);
        range.hidden_begin = clamped(range.hidden_begin);
        range.hidden_end = std::min(clamped(range.hidden_end), range.end);
      }
      ranges_[r] = range;
      if (range.empty()) continue;
      begin_ = std::min(begin_, range.begin);
      end_ = std::max(end_, range.end);
      hidden_ = hidden_.both({range.hidden_begin, range.hidden_end});
    }
  }

  /// Keys [begin, end) hold every key that some row sees.
  Index begin() const { return begin_; }
  Index end() const { return end_; }
  const hidden_keys& hidden() const { return hidden_; }

  /// What row r may see.
  const key_range& of(Index r) const { return ranges_[r]; }

  /// What row r may see of the tile [first, first + tokens), as positions within it; full if it
  /// sees all of that.
  key_range in_tile(Index r, Index first, Index tokens) const {
    const key_range& range = ranges_[r];
    Index begin = std::clamp<Index>(range.begin - first, 0, tokens);
    Index end = std::clamp<Index>(range.end - first, begin, tokens);
    Index hidden_begin = std::clamp<Index>(range.hidden_begin - first, begin, end);
    Index hidden_end = std::clamp<Index>(range.hidden_end - first, hidden_begin, end);
    if (hidden_begin == begin)
      begin = hidden_begin = hidden_end;
    else if (hidden_end == end)
      end = hidden_end = hidden_begin;
    const Index full_begin = std::clamp<Index>(range.full_begin - first, begin, end);
    const Index full_end = std::clamp<Index>(range.full_end - first, full_begin, end);
    return {begin,        end,       full_begin == begin && full_end == end, full_begin, full_end,
            hidden_begin, hidden_end};
  }

 private:
  key_range* ranges_;  // [rows]
  Index begin_;
  Index end_ = 0;
  hidden_keys hidden_;
};

/// Values added one key at a time: of a row's keys [seen) of a tile, those that it sees.
template <class Call, class Scalar, class Weight, class Values>
void add_visible_values(const Call& call, const query_row& row, const key_range& seen, Index first,
                        const Weight& weight, const Values& values, Index dim, Scalar* value) {
  for (Index j = seen.begin; j < seen.end; ++j)
    if (seen.shows(j) || (!seen.hides(j) && call.mask.visible(row, first + j)))
      for (Index d = 0; d < dim; ++d) value[d] += weight(j) * static_cast<Scalar>(values.row(j)[d]);
}

}  // namespace headroom::inline HEADROOM_ISA::detail
