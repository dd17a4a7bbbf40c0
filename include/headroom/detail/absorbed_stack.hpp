// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/block.hpp>
#include <headroom/detail/block_for.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/latent.hpp>
#include <headroom/detail/matmul.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/detail/tile.hpp>
#include <headroom/view.hpp>

#include <algorithm>
#include <cstddef>
#include <span>

namespace headroom::inline HEADROOM_ISA::detail {

/// What the compiler knows of latent calls, whose rows are heads.
template <int Q_heads, int latent_rank, int rope>
constexpr known_sizes known_latent_sizes() {
  constexpr int row = latent_rank > 0 && rope >= 0 ? latent_rank + rope : Eigen::Dynamic;
  return known_sizes_of<Q_heads, 1, row, latent_rank>();
}

/// Absorbed calls whose rows pass through W_UK, and later through W_UV, as one matrix: a step of
/// eight sequences then reads the weights of a head once, not eight times. Between the two products
/// each call is multi-query attention over its own latents.
///
/// Stacked are calls of so few rows that both products sum up each row as they would sum it up
/// alone (most_stacked_rows); a call of more rows is a stack by itself.
///
/// \tparam known  of latent calls
template <class Call, known_sizes known = known_sizes()>
class absorbed_stack {
 public:
  using Scalar = typename Call::Scalar;
  using LatentCall = attention_call<Scalar, Scalar, typename Call::Mask, known>;

  /// How many of `calls`, from the first on, are one stack; at least 1, if there are any.
  static std::size_t next(std::span<const Call> calls) {
    std::size_t count = 0;
    for (Index rows = 0; count < calls.size(); ++count) {
      rows += calls[count].q.tokens();
      if (count > 0 && rows > most_stacked_rows<Scalar>) break;
    }
    return count;
  }

  /// The calls, and memory for q~ and z, outlive the stack.
  absorbed_stack(std::span<const Call> calls, Index nope_dim, Index latent_rank, scratch& memory)
      : calls_(calls), nope_(nope_dim), rank_(latent_rank) {
    const Index heads = calls.front().q.heads(), width = rank_ + calls.front().q.dim() - nope_;
    for (const Call& call : calls) rows_ += call.q.tokens();
    queries_ = tokens_major(memory.take<Scalar>(rows_ * heads * width), rows_, heads, width);  // q~
    latent_out_ =
        tokens_major(memory.take<Scalar>(rows_ * heads * rank_), rows_, heads, rank_);  // z
  }

  /// q~_h = [W_UK[h]^T q_nope, q_pe] of every row.
  ///
  /// \param w_uk  [dn, dc]
  template <class Number>
  void absorb(Index h, const tile<Number>& w_uk) const {
    scratch memory;
    Scalar* const stacked = memory.take<Scalar>(rows_ * nope_);  // [rows, dn]
    Index r = 0;
    for (const Call& call : calls_)
      for (Index t = 0; t < call.q.tokens(); ++t, ++r) {
        const Scalar* const q_nope = call.q.row(t, h);
        const Scalar* const q_pe = q_nope + nope_;
        Scalar* const row = queries_.row(r, h);
        std::copy(q_nope, q_pe, stacked + r * nope_);
        std::fill(row, row + rank_, Scalar(0));
        std::copy(q_pe, q_nope + call.q.dim(), row + rank_);
      }
    add_values<Scalar>({stacked, nope_}, rows_, w_uk, nope_, rank_, queries_.row(0, h),
                       queries_.token_stride());
  }

  /// f(call) for the attention of each call over its latents, q~ [q_len, H, dc + dr] to z [q_len,
  /// H, dc]; in order.
  template <class F>
  void for_each_latent_call(const F& f) const {
    Index begin = 0;
    for (const Call& call : calls_) {
      const Index end = begin + call.q.tokens();
      f(LatentCall{queries_.slice_tokens(begin, end), latent_out_.slice_tokens(begin, end),
                   call.mask, call.kv_len, call.q.heads(), call.first_position, call.scale,
                   call.softcap, call.sinks, call.lse});
      begin = end;
    }
  }

  /// out_h = W_UV[h] z_h of every row, where its call wants it.
  ///
  /// \param w_uv  [dv, dc]
  template <class Number>
  void project(Index h, const tile<Number>& w_uv) const {
    scratch memory;
    const Index value = calls_.front().out.dim();
    Scalar* const stacked = memory.take<Scalar>(rows_ * value);  // [rows, dv]
    multiply_keys<Scalar>({latent_out_.row(0, h), latent_out_.token_stride()}, rows_, w_uv, value,
                          rank_, stacked, value);
    const Scalar* row = stacked;
    for (const Call& call : calls_)
      for (Index t = 0; t < call.q.tokens(); ++t, row += value)
        std::copy(row, row + value, call.out.row(t, h));
  }

 private:
  std::span<const Call> calls_;
  Index nope_;
  Index rank_;
  Index rows_ = 0;
  view<Scalar> queries_;     // [rows, H, dc + dr]
  view<Scalar> latent_out_;  // [rows, H, dc]
};

/// q~ of all stacks, an item a head: its weights are read, and decoded if they must be, once.
template <class Stack, class Weight, class Executor>
void absorb(std::span<const Stack> stacks, Index heads, const up_projection<Weight>& up,
            const Executor& executor) {
  executor(heads, [&](Index h) {
    scratch memory;
    const auto w_uk = up.template w_uk<product_number<typename Stack::Scalar, Weight>>(h, memory);
    for (const Stack& rows : stacks) rows.absorb(h, w_uk);
  });
}

/// The outputs of all stacks, in the same way.
template <class Stack, class Weight, class Executor>
void project(std::span<const Stack> stacks, Index heads, const up_projection<Weight>& up,
             const Executor& executor) {
  executor(heads, [&](Index h) {
    scratch memory;
    const auto w_uv = up.template w_uv<product_number<typename Stack::Scalar, Weight>>(h, memory);
    for (const Stack& rows : stacks) rows.project(h, w_uv);
  });
}

}  // namespace headroom::inline HEADROOM_ISA::detail
