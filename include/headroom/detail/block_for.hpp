// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/codec.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/dot_block.hpp>
#include <headroom/detail/key_tile.hpp>
#include <headroom/detail/matmul.hpp>
#include <headroom/detail/packet_bfloat16.hpp>
#include <headroom/detail/packet_block.hpp>
#include <headroom/detail/row_block.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/kv_source.hpp>

#include <concepts>
#include <type_traits>

namespace headroom::inline HEADROOM_ISA::detail {

/// The block for many rows of a call.
template <class Call>
using block_for =
    std::conditional_t<has_kernels<typename Call::Scalar>, packet_block<Call>, row_block<Call>>;

template <class Source>
concept stores_bfloat16 = std::same_as<typename Source::KeyCodec, scalar_codec<Eigen::bfloat16>> &&
    std::same_as<typename Source::ValueCodec, scalar_codec<Eigen::bfloat16>>;

/// Takes keys [begin, end) of the source into `state`, by the block that suits the number of rows.
template <class Call, kv_source Source>
void attend_rows(const Call& call, const stacked_rows& rows, const Source& source, Index begin,
                 Index end, const softmax_state<typename Call::Scalar>& state) {
  scratch memory;
  state.clear();
  if constexpr (has_kernels<typename Call::Scalar>)
    if (rows.count <= most_dot_rows) {
      dot_block<Call, Source> block(call, rows, state, source, memory);
      return block.add_keys(begin, end);
    }
  const auto attend_in = [&](const auto& block) {
    add_keys(block, source, rows.group, begin, end, memory);
  };
  // Widths that are no whole pairs and packets are left to floats.
  if constexpr (has_bfloat16_dots && has_kernels<typename Call::Scalar> && stores_bfloat16<Source>)
    if (call.q.dim() % 2 == 0 && source.v_dim() % lanes == 0)
      return attend_in(packet_block<Call, bfloat16_pair>(call, rows, state, memory));
  attend_in(block_for<Call>(call, rows, state, memory));
}

}  // namespace headroom::inline HEADROOM_ISA::detail
