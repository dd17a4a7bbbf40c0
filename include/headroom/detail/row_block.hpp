// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/block.hpp>
#include <headroom/detail/broadcast.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/mask_scores.hpp>
#include <headroom/detail/matmul.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/detail/tile.hpp>
#include <headroom/mask.hpp>
#include <headroom/softmax_state.hpp>

#include <algorithm>

namespace headroom::inline HEADROOM_ISA::detail {

/// Stacked query rows meet one tile of keys after another:
///
///   scores = Q K^T -> cap, bias, mask -> weights, by the softmax state -> value += weights V
///
/// This is the plain form, on Eigen's products, in any scalar; packet_block.hpp has its twin on
/// micro-kernels.
template <class Call>
class row_block : public reads_scalar<typename Call::Scalar> {
 public:
  using Scalar = typename Call::Scalar;

  row_block(const Call& call, const stacked_rows& rows, const softmax_state<Scalar>& state,
            scratch& memory)
      : call_(call),
        rows_(rows),
        state_(state),
        queries_(memory.take<Scalar>(rows.count * call.q.dim())),
        scores_(memory.take<Scalar>(rows.count * tile_keys)),
        ranges_(call, rows, memory) {
    stack_queries(call.q, rows, call.scale, queries_);
  }

  /// Keys [begin, end) hold every key that some row sees; no other key need be read, and none that
  /// is hidden.
  Index begin() const { return ranges_.begin(); }
  Index end() const { return ranges_.end(); }
  const hidden_keys& hidden() const { return ranges_.hidden(); }

  /// Takes in keys [first, first + tokens), tokens <= tile_keys.
  void add_tile(Index first, Index tokens, tile<Scalar> keys, tile<Scalar> values) const {
    const Index qk_dim = call_.q.dim();
    multiply_keys<Scalar>({queries_, qk_dim}, rows_.count, keys, tokens, qk_dim, scores_, tokens);
    bool partial = false;
    for (Index r = 0; r < rows_.count; ++r) {
      const key_range seen = ranges_.in_tile(r, first, tokens);
      partial |= !seen.full || seen.end - seen.begin < tokens;
      weigh(r, first, tokens, seen);
    }
    // Weight 0 times a NaN value is NaN: where a row must not see a value that is not finite, the
    // values are added one visible key at a time.
    if (partial && !all_finite(values, tokens))
      add_visible_values(first, tokens, values);
    else
      add_values<Scalar>({scores_, tokens}, rows_.count, values, tokens, state_.v_dim, state_.value,
                         state_.v_dim);
  }

 private:
  using Row = Eigen::Map<Eigen::Array<Scalar, 1, Eigen::Dynamic>>;

  // Turns the scores of row r into weights; keys it does not see get weight 0.
  void weigh(Index r, Index first, Index tokens, const key_range& seen) const {
    Scalar* scores = scores_ + r * tokens;
    std::fill(scores, scores + seen.begin, Scalar(0));
    std::fill(scores + seen.end, scores + tokens, Scalar(0));
    const Index count = seen.end - seen.begin;
    if (count == 0) return;
    scores += seen.begin;
    if (call_.softcap > Scalar(0)) {
      Row row(scores, count);
      row = call_.softcap * (row / call_.softcap).tanh();
    }
    if (!seen.full || Call::Mask::modifies_scores)
      mask_scores(call_.mask, call_.row(rows_, r), ranges_.of(r), {first + seen.begin, 1, count},
                  seen.full, Scalar(1), [&](Index k) -> Scalar& { return scores[k]; });
    state_.add_scores(r, scores, count);
  }

  bool all_finite(tile<Scalar> values, Index tokens) const {
    for (Index j = 0; j < tokens; ++j) {
      const Eigen::Map<const Eigen::Array<Scalar, 1, Eigen::Dynamic>> row(values.row(j),
                                                                          state_.v_dim);
      if ((row * Scalar(0)).sum() != Scalar(0)) return false;
    }
    return true;
  }

  void add_visible_values(Index first, Index tokens, tile<Scalar> values) const {
    for (Index r = 0; r < rows_.count; ++r)
      detail::add_visible_values(
          call_, call_.row(rows_, r), ranges_.in_tile(r, first, tokens), first,
          [&](Index j) { return scores_[r * tokens + j]; }, values, state_.v_dim,
          state_.value + r * state_.v_dim);
  }

  const Call& call_;
  stacked_rows rows_;
  softmax_state<Scalar> state_;
  Scalar* queries_;  // [rows, qk_dim], scaled
  Scalar* scores_;   // [rows, tile_keys], then weights
  row_ranges ranges_;
};

}  // namespace headroom::inline HEADROOM_ISA::detail
