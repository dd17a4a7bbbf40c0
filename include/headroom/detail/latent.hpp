// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/attention_path.hpp>
#include <headroom/codec.hpp>
#include <headroom/detail/block_for.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/key_tile.hpp>
#include <headroom/detail/matmul.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/detail/tile.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/linear.hpp>

#include <algorithm>
#include <concepts>
#include <new>

// Latent attention over the kernels of plain attention: the up-projection, and the form in which
// keys and values are made; absorbed_stack.hpp has the other. Shapes in brackets; dc = latent rank,
// dn = nope, dr = rope, dv = value, H = query heads.

namespace headroom::inline HEADROOM_ISA::detail {

/// Rows [begin, begin + count) of a weight matrix as such numbers: in place, or decoded.
template <class Number, class Weight>
tile<Number> weight_rows(const linear<Weight>& weights, Index begin, Index count, scratch& memory) {
  const Index dim = weights.in_features();
  if constexpr (std::same_as<Weight, Number>) {
    return {weights.row(begin), weights.row_stride()};
  } else {
    Number* const decoded = memory.take<Number>(count * dim);
    for (Index i = 0; i < count; ++i)
      scalar_codec<Weight>::decode(weights.row(begin + i), decoded + i * dim, dim);
    return {decoded, dim};
  }
}

/// W_UK and W_UV of all heads, as a checkpoint has them: per head dn rows of W_UK, then dv of W_UV.
template <class Weight>
struct up_projection {
  linear<Weight> weights;  // [H * (dn + dv), dc]
  Index nope;
  Index value;

  Index rank() const { return weights.in_features(); }

  /// [dn, dc]
  template <class Number>
  tile<Number> w_uk(Index h, scratch& memory) const {
    return weight_rows<Number>(weights, h * (nope + value), nope, memory);
  }
  /// [dv, dc]
  template <class Number>
  tile<Number> w_uv(Index h, scratch& memory) const {
    return weight_rows<Number>(weights, h * (nope + value) + nope, value, memory);
  }
};

/// How the expanded form of a call is computed.
template <class Scalar, kv_source Source>
attention_path expanded_path(Index Q_heads) {
  constexpr bool decodes = !reads_in_place<reads_scalar<Scalar>, typename Source::KeyCodec>;
  return {has_kernels<Scalar> ? attention_kernel::outer_products : attention_kernel::eigen_products,
          1, Q_heads, decodes};
}

/// The expanded form: multi-head attention over keys and values that are made from the latents,
/// head by head. The keys are the outer loop and a head's query blocks the inner one, so that a
/// tile is expanded once per head; the price is a softmax state for every query of the head.
template <class Call, kv_source Source, class Weight>
class expanded_plan {
 public:
  /// The plan refers to what it is made of.
  expanded_plan(const Call& call, const Source& latents, const up_projection<Weight>& up)
      : call_(&call), latents_(&latents), up_(&up) {}

  Index items() const { return call_->q.tokens() > 0 ? call_->q.heads() : 0; }

  /// How much there is to compute, in pairs of queries and keys.
  Index cost(Index) const { return call_->q.tokens() * call_->kv_len; }

  void run(Index h) const {
    using Scalar = typename Call::Scalar;
    const Call& call = *call_;
    const Index q_len = call.q.tokens(), qk_dim = call.q.dim(), rank = up_->rank();
    const Index nope = up_->nope, rope = qk_dim - nope, value = up_->value;
    const Index blocks = parts(q_len, block_rows);
    scratch memory;
    const auto w_uk = up_->template w_uk<Scalar>(h, memory);
    const auto w_uv = up_->template w_uv<Scalar>(h, memory);
    const tile_reader<reads_scalar<Scalar>, Source> reader(*latents_, 0, memory);
    Scalar* const keys = memory.take<Scalar>(tile_keys * qk_dim);   // [tile_keys, dn + dr]
    Scalar* const values = memory.take<Scalar>(tile_keys * value);  // [tile_keys, dv]

    const auto rows_of = [&](Index b) {
      return stacked_rows{h, 1, b * block_rows, std::min(block_rows, q_len - b * block_rows)};
    };
    softmax_state<Scalar>* const states = memory.take<softmax_state<Scalar>>(blocks);
    block_for<Call>* const row_blocks = memory.take<block_for<Call>>(blocks);
    Index begin = call.kv_len, end = 0;
    hidden_keys hidden{0, call.kv_len};
    for (Index b = 0; b < blocks; ++b) {
      const Index count = rows_of(b).count;
      Scalar* const numbers = memory.take<Scalar>(state_size(count, value));
      new (states + b) softmax_state<Scalar>(state_in(numbers, count, value));
      states[b].clear();
      new (row_blocks + b) block_for<Call>(call, rows_of(b), states[b], memory);
      begin = std::min(begin, row_blocks[b].begin());
      end = std::max(end, row_blocks[b].end());
      hidden = hidden.both(row_blocks[b].hidden());
    }

    Index next;
    for (Index first = hidden.past(begin); first < end; first = hidden.past(next)) {
      next = hidden.tile_end(first, end);
      const Index tokens = next - first;
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
  }

 private:
  const Call* call_;
  const Source* latents_;
  const up_projection<Weight>* up_;
};

}  // namespace headroom::inline HEADROOM_ISA::detail
