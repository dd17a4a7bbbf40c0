// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/codec.hpp>
#include <headroom/detail/block_for.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/dispatch.hpp>
#include <headroom/detail/key_tile.hpp>
#include <headroom/detail/matmul.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/detail/tile.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/linear.hpp>

#include <algorithm>
#include <concepts>
#include <new>

// The two forms of latent attention, over the kernels of plain attention. Shapes in brackets;
// dc = latent rank, dn = nope, dr = rope, dv = value, H = query heads.

namespace headroom::inline HEADROOM_ISA::detail {

/// Rows [begin, begin + count) of a weight matrix as numbers to compute with: in place, or decoded.
template <class Scalar, class Weight>
tile<Scalar> weight_rows(const linear<Weight>& weights, Index begin, Index count, scratch& memory) {
  const Index dim = weights.in_features();
  if constexpr (std::same_as<Weight, Scalar>) {
    return {weights.row(begin), weights.row_stride()};
  } else {
    Scalar* const decoded = memory.take<Scalar>(count * dim);
    for (Index i = 0; i < count; ++i)
      scalar_codec<Weight>::decode(weights.row(begin + i), decoded + i * dim, dim);
    return {decoded, dim};
  }
}

/// Multi-query attention of q~ over the latents, between two products that each head makes alone.
template <class Call, kv_source Source, class Weight, class Executor>
void attend_absorbed(const Call& call, const Source& latents, const linear<Weight>& up, Index nope,
                     Index value, const Executor& executor) {
  using Scalar = typename Call::Scalar;
  const Index q_len = call.q.tokens(), heads = call.q.heads();
  const Index width = latents.qk_dim(), rank = latents.v_dim();
  if (q_len == 0) return;
  scratch memory;
  const auto queries = tokens_major(memory.take<Scalar>(q_len * heads * width), q_len, heads,
                                    width);  // q~ [q_len, H, dc + dr]
  const auto latent_out = tokens_major(memory.take<Scalar>(q_len * heads * rank), q_len, heads,
                                       rank);  // z [q_len, H, dc]

  executor(heads, [&](Index h) {
    scratch local;
    const auto w_uk = weight_rows<Scalar>(up, h * (nope + value), nope, local);  // [dn, dc]
    for (Index t = 0; t < q_len; ++t) {
      Scalar* const row = queries.row(t, h);
      std::fill(row, row + rank, Scalar(0));
      std::copy(call.q.row(t, h) + nope, call.q.row(t, h) + call.q.dim(), row + rank);
    }
    add_values<Scalar>({call.q.row(0, h), call.q.token_stride()}, q_len, w_uk, nope, rank,
                       queries.row(0, h), queries.token_stride());
  });

  const attention_call<Scalar, Scalar, typename Call::Mask> latent_call{
      queries,    latent_out,   call.mask,  call.kv_len, heads, call.first_position,
      call.scale, call.softcap, call.sinks, call.lse};
  dispatch(latent_call, latents, executor);

  executor(heads, [&](Index h) {
    scratch local;
    const auto w_uv = weight_rows<Scalar>(up, h * (nope + value) + nope, value, local);  // [dv, dc]
    multiply_keys<Scalar>({latent_out.row(0, h), latent_out.token_stride()}, q_len, w_uv, value,
                          rank, call.out.row(0, h), call.out.token_stride());
  });
}

/// Multi-head attention over keys and values that are made from the latents. The keys are the outer
/// loop and each head's query blocks the inner one, so that a tile is expanded once per head; the
/// price is a softmax state for every query of the head.
template <class Call, kv_source Source, class Weight, class Executor>
void attend_expanded(const Call& call, const Source& latents, const linear<Weight>& up, Index nope,
                     Index value, const Executor& executor) {
  using Scalar = typename Call::Scalar;
  const Index q_len = call.q.tokens(), qk_dim = call.q.dim(), rank = latents.v_dim();
  const Index rope = qk_dim - nope;
  const Index blocks = (q_len + block_rows - 1) / block_rows;
  if (q_len == 0) return;

  executor(call.q.heads(), [&](Index h) {
    scratch memory;
    const auto w_uk = weight_rows<Scalar>(up, h * (nope + value), nope, memory);  // [dn, dc]
    const auto w_uv =
        weight_rows<Scalar>(up, h * (nope + value) + nope, value, memory);  // [dv, dc]
    const tile_reader<reads_scalar<Scalar>, Source> reader(latents, 0, memory);
    Scalar* const keys = memory.take<Scalar>(tile_keys * qk_dim);   // [tile_keys, dn + dr]
    Scalar* const values = memory.take<Scalar>(tile_keys * value);  // [tile_keys, dv]

    const auto rows_of = [&](Index b) {
      return stacked_rows{h, 1, b * block_rows, std::min(block_rows, q_len - b * block_rows)};
    };
    softmax_state<Scalar>* const states = memory.take<softmax_state<Scalar>>(blocks);
    block_for<Call>* const row_blocks = memory.take<block_for<Call>>(blocks);
    Index begin = call.kv_len, end = 0;
    for (Index b = 0; b < blocks; ++b) {
      const Index count = rows_of(b).count;
      Scalar* const numbers = memory.take<Scalar>(state_size(count, value));
      new (states + b) softmax_state<Scalar>(state_in(numbers, count, value));
      states[b].clear();
      new (row_blocks + b) block_for<Call>(call, rows_of(b), states[b], memory);
      begin = std::min(begin, row_blocks[b].begin());
      end = std::max(end, row_blocks[b].end());
    }

    for (Index first = begin / tile_keys * tile_keys; first < end; first += tile_keys) {
      const Index tokens = std::min(tile_keys, end - first);
      const auto latent = reader.keys(first, first + tokens);  // [tokens, dc + dr]
      multiply_keys<Scalar>(latent, tokens, w_uk, nope, rank, keys, qk_dim);
      multiply_keys<Scalar>(latent, tokens, w_uv, value, rank, values, value);
      for (Index j = 0; j < tokens; ++j) {
        const Scalar* const k_pe = latent.data + j * latent.stride + rank;
        std::copy(k_pe, k_pe + rope, keys + j * qk_dim + nope);
      }
      for (Index b = 0; b < blocks; ++b) {
        const Index from = std::clamp(row_blocks[b].begin() - first, Index(0), tokens);
        const Index to = std::clamp(row_blocks[b].end() - first, from, tokens);
        if (from < to)
          row_blocks[b].add_tile(first + from, to - from,
                                 tile<Scalar>{keys + from * qk_dim, qk_dim},
                                 tile<Scalar>{values + from * value, value});
      }
    }
    for (Index b = 0; b < blocks; ++b) call.write(rows_of(b), states[b]);
  });
}

}  // namespace headroom::inline HEADROOM_ISA::detail
