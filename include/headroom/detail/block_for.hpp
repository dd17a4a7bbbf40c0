// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/attention_path.hpp>
#include <headroom/codec.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/dot_block.hpp>
#include <headroom/detail/kernels/dot.hpp>
#include <headroom/detail/key_tile.hpp>
#include <headroom/detail/line_shape.hpp>
#include <headroom/detail/matmul.hpp>
#include <headroom/detail/packet_bfloat16.hpp>
#include <headroom/detail/packet_block.hpp>
#include <headroom/detail/packet_int16.hpp>
#include <headroom/detail/pages_in_turn.hpp>
#include <headroom/detail/row_block.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/kv_source.hpp>

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstdint>
#include <cstdlib>
#include <numeric>
#include <span>
#include <type_traits>

namespace headroom::inline HEADROOM_ISA::detail {

/// The block for many rows of a call.
template <class Call>
using block_for =
    std::conditional_t<has_kernels<typename Call::Scalar>, packet_block<Call>, row_block<Call>>;

template <class Source>
concept stores_bfloat16 = std::same_as<typename Source::KeyCodec, scalar_codec<Eigen::bfloat16>> &&
    std::same_as<typename Source::ValueCodec, scalar_codec<Eigen::bfloat16>>;

/// Whether so few rows multiply pairs of bfloat16. One row does not: reading takes longer than
/// multiplying in float, which rounds nothing.
template <class Source>
constexpr bool multiplies_pairs(Index rows) {
  return has_fast_bfloat16_dots && stores_bfloat16<Source> && rows > 1;
}

template <class Source>
concept stores_integers = whole_number_codec<typename Source::KeyCodec> &&
    whole_number_codec<typename Source::ValueCodec>;

/// Widths of keys that dot products of whole numbers take are multiples of this.
template <class Codec>
inline constexpr Index integer_width = 2 * lanes;
template <block_integer_codec Codec>
inline constexpr Index integer_width<Codec> =
    block_packets<decltype(Codec::read(nullptr, 0))> * 2 * lanes;

/// Whether so few rows multiply whole numbers: in widths that fill packets of pairs.
template <class Source>
bool multiplies_integers(const Source& source) {
  return has_fast_int16_dots && stores_integers<Source> &&
         source.qk_dim() % integer_width<typename Source::KeyCodec> == 0 &&
         source.qk_dim() <= most_int16_depth && source.v_dim() % lanes == 0;
}

/// What multiplies for so many rows of a group.
template <class Scalar, kv_source Source>
attention_kernel kernel_for(Index rows, const Source& source) {
  if (!has_kernels<Scalar>) return attention_kernel::eigen_products;
  if (rows <= most_dot_rows) {
    if (multiplies_pairs<Source>(rows)) return attention_kernel::bfloat16_dots;
    return multiplies_integers(source) ? attention_kernel::int16_dots
                                       : attention_kernel::dot_products;
  }
  // Keys of an odd width are left to floats.
  if (has_fast_bfloat16_dots && stores_bfloat16<Source> && source.qk_dim() % 2 == 0)
    return attention_kernel::bfloat16_pairs;
  return attention_kernel::outer_products;
}

/// Whether keys or values are decoded into memory for so many rows of a group.
template <class Scalar, kv_source Source>
constexpr bool decodes_rows(Index rows) {
  using Key = typename Source::KeyCodec;
  using Value = typename Source::ValueCodec;
  using Reader = std::conditional_t<has_kernels<Scalar>, reads_packets, reads_scalar<Scalar>>;
  if (has_kernels<Scalar> && rows <= most_dot_rows)
    return line_reader<Key>::decodes || line_reader<Value>::decodes;
  return !reads_in_place<Reader, Key> || !reads_in_place<Reader, Value>;
}

/// What the compiler knows of calls with such heads, groups and widths, where blocks have few rows.
template <int Q_heads, int KV_groups, int qk_dim, int v_dim>
constexpr known_sizes known_sizes_of() {
  constexpr int most_rows = 2 * most_dot_rows, most_width = 2 * lanes;
  static_assert(block_rows % most_rows == 0, "and so are the rows of the last block");
  return {Q_heads > 0 && KV_groups > 0 ? std::gcd(Q_heads / KV_groups, most_rows) : 1,
          qk_dim > 0 && v_dim > 0 ? std::gcd(std::gcd(qk_dim, v_dim), most_width) : 1};
}

// Bounds the queries and sums of a block, which stay in the first-level cache while keys and values
// pass by, and leaves work for several threads. Those of groups that are taken in turn may be in
// the second.
inline constexpr Index most_bytes_of_rows = 16 << 10;
inline constexpr Index most_bytes_in_turn = 32 << 10;

/// Whether a line is to have several groups, so many rows of each. Rows so few that a line has
/// several keys of a stream gain nothing: pieces of memory stay short.
template <kv_source Source>
bool share_lines(const Source& source, Index rows, Index kv_len) {
  if (line_shape::of(1, rows).keys > streams || source.groups() == 1 || kv_len < 2) return false;
  const auto first = source.keys(0, 0, 2), second = source.keys(1, 0, 2);
  const auto address = [](const auto* row) { return std::bit_cast<std::intptr_t>(row); };
  const auto stride = first.stride * static_cast<Index>(sizeof(*first.rows));
  return std::abs(address(second.rows) - address(first.rows)) < std::abs(stride);
}

/// Whether the same rows of several groups may see the same keys, so that these are cut together as
/// they are cut for each.
template <class Call>
bool see_alike(const Call& call, const stacked_rows& rows, Index groups) {
  for (Index r = 0; r < rows.count; ++r) {
    const key_range first = call.mask.keys(call.row(rows, r));
    for (Index g = 1; g < groups; ++g)
      if (call.mask.keys(call.row(rows.of_group(g), r)) != first) return false;
  }
  return true;
}

/// How many groups are taken into one block: several, where a token's keys of all groups lie side
/// by side, or those of a page, so that memory is read from one end to the other. Results are the
/// same bits either way.
///
/// \param parts  that groups are to be taken in, if there are as many and they lie in pages
template <class Call, kv_source Source>
Index groups_together(const Call& call, const Source& source, Index parts = 1) {
  const Index rows = call.rows_per_group(), groups = source.groups();
  if (!has_kernels<typename Call::Scalar> || rows == 0 || rows > most_dot_rows) return 1;
  const bool in_turn = has_pages_in_turn(source, call.kv_len);
  if (!in_turn && !share_lines(source, rows, call.kv_len)) return 1;
  const Index bytes_of_group =
      rows * (source.qk_dim() + source.v_dim()) * static_cast<Index>(sizeof(float));
  const Index most =
      in_turn ? std::min(most_bytes_in_turn / bytes_of_group, groups / std::max(parts, Index(1)))
              : most_bytes_of_rows / bytes_of_group;
  return std::clamp(most, Index(1), groups);
}

/// Takes keys [begin, end) of the source into `states`, by the block that suits the number of rows.
///
/// \param rows    of the first group; if there are several, the same rows of each
/// \param states  of the groups
/// \param next    what the same rows are to take after these
template <class Call, kv_source Source>
void attend_rows(const Call& call, const stacked_rows& rows, const Source& source, Index begin,
                 Index end, std::span<const softmax_state<typename Call::Scalar>> states,
                 const keys_to_come& next = {}) {
  scratch memory;
  for (const auto& state : states) state.clear();
  [[maybe_unused]] const auto groups = static_cast<Index>(states.size());
  [[maybe_unused]] const Index of_line =
      groups > 1 && share_lines(source, rows.count, call.kv_len) && see_alike(call, rows, groups)
          ? groups
          : 1;
  [[maybe_unused]] const attention_kernel kernel =
      kernel_for<typename Call::Scalar>(rows.count, source);
  if constexpr (has_kernels<typename Call::Scalar> && Call::rows_multiple <= most_dot_rows) {
    constexpr bool pairs = multiplies_pairs<Source>(most_dot_rows);
    constexpr int most_float_rows = pairs ? 1 : most_dot_rows;
    if constexpr (Call::rows_multiple <= most_float_rows)
      if (kernel == attention_kernel::dot_products)
        return dot_block<Call, Source, float, most_float_rows>(call, rows, states, source, of_line,
                                                               memory)
            .add_keys(begin, end, next);
    if constexpr (pairs)
      if (kernel == attention_kernel::bfloat16_dots)
        return dot_block<Call, Source, bfloat16_pair>(call, rows, states, source, of_line, memory)
            .add_keys(begin, end, next);
    if constexpr (has_fast_int16_dots && stores_integers<Source>)
      if (kernel == attention_kernel::int16_dots)
        return dot_block<Call, Source, int16_pair>(call, rows, states, source, of_line, memory)
            .add_keys(begin, end, next);
  }
  eigen_assert(states.size() == 1);
  const auto attend_in = [&](const auto& block) {
    add_keys(block, source, rows.group, begin, end, memory);
  };
  if constexpr (has_fast_bfloat16_dots && has_kernels<typename Call::Scalar> &&
                stores_bfloat16<Source>)
    if (kernel == attention_kernel::bfloat16_pairs)
      return attend_in(packet_block<Call, bfloat16_pair>(call, rows, states[0], memory));
  attend_in(block_for<Call>(call, rows, states[0], memory));
}

}  // namespace headroom::inline HEADROOM_ISA::detail
