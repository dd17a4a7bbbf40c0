// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/broadcast.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/matmul.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/mask.hpp>
#include <headroom/options.hpp>
#include <headroom/softmax_state.hpp>
#include <headroom/view.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

namespace headroom::inline HEADROOM_ISA::detail {

// Rows of a block: enough to use a key tile many times, few enough that queries, scores and values
// of a block (64 x (128 + 128 + 128) floats = 96 KiB) stay in a 512 KiB second-level cache beside
// the tile. A multiple of the stripe of matmul.hpp.
inline constexpr Index block_rows = 64;

// Keys of a tile: its keys and values (128 x 256 floats = 128 KiB) share that cache.
inline constexpr Index tile_keys = 128;

/// One attention call, validated: what every kernel below needs, whatever the source of the keys.
template <class Scalar_, class Query, class Mask_>
struct attention_call {
  using Scalar = Scalar_;
  using Mask = Mask_;

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

  /// Writes row r of a finished state to out and lse.
  void write(const stacked_rows& rows, Index r, const softmax_state<Scalar>& state) const {
    const Index t = rows.query(r), h = rows.head(r);
    const Scalar sink =
        sinks.empty() ? softmax_state<Scalar>::minus_infinity : sinks[static_cast<std::size_t>(h)];
    state.finish(r, out.row(t, h), sink);
    if (lse) lse(t, h) = state.lse(r);
  }
};

/// A softmax state of `rows` rows in scratch memory, cleared.
template <class Scalar>
softmax_state<Scalar> new_state(scratch& memory, Index rows, Index v_dim) {
  softmax_state<Scalar> state{rows, v_dim, memory.take<Scalar>(rows), memory.take<Scalar>(rows),
                              memory.take<Scalar>(rows * v_dim)};
  state.clear();
  return state;
}

/// The heart of every path: stacked query rows meet one tile of keys after another.
///
///   scores = Q K^T -> cap, bias, mask -> weights, by the softmax state -> value += weights V
template <class Call>
class row_block {
 public:
  using Scalar = typename Call::Scalar;

  row_block(const Call& call, const stacked_rows& rows, const softmax_state<Scalar>& state,
            scratch& memory)
      : call_(call),
        rows_(rows),
        state_(state),
        queries_(memory.take<Scalar>(rows.count * call.q.dim())),
        scores_(memory.take<Scalar>(rows.count * tile_keys)),
        ranges_(memory.take<key_range>(rows.count)) {
    stack_queries(call.q, rows, call.scale, queries_);
    begin_ = call.kv_len;
    for (Index r = 0; r < rows.count; ++r) {
      key_range range = call.mask.keys(call.row(rows, r));
      range.begin = std::max<Index>(range.begin, 0);
      range.end = std::min(range.end, call.kv_len);
      ranges_[r] = range;
      if (range.empty()) continue;
      begin_ = std::min(begin_, range.begin);
      end_ = std::max(end_, range.end);
    }
  }

  /// Keys [begin, end) hold every key that some row sees; no other key need be read.
  Index begin() const { return begin_; }
  Index end() const { return end_; }

  /// Takes in keys [first, first + tokens), tokens <= tile_keys.
  void add_tile(Index first, Index tokens, tile<Scalar> keys, tile<Scalar> values) const {
    const Index qk_dim = call_.q.dim();
    multiply_keys<Scalar>({queries_, qk_dim}, rows_.count, keys, tokens, qk_dim, scores_, tokens);
    bool partial = false;
    for (Index r = 0; r < rows_.count; ++r) {
      const key_range seen = in_tile(r, first, tokens);
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

  // The part of a tile, as [begin, end) within it, that row r may see.
  key_range in_tile(Index r, Index first, Index tokens) const {
    const key_range& range = ranges_[r];
    const Index begin = std::clamp<Index>(range.begin - first, 0, tokens);
    const Index end = std::clamp<Index>(range.end - first, begin, tokens);
    return {begin, end, range.full};
  }

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
      modify(r, first + seen.begin, count, seen, scores);
    state_.add_scores(r, scores, count);
  }

  void modify(Index r, Index first, Index count, const key_range& seen, Scalar* scores) const {
    const query_row row = call_.row(rows_, r);
    for (Index j = 0; j < count; ++j) {
      if (!seen.full && !call_.mask.visible(row, first + j))
        scores[j] = softmax_state<Scalar>::minus_infinity;
      else if constexpr (Call::Mask::modifies_scores)
        scores[j] = call_.mask.modify(scores[j], row, first + j);
    }
  }

  bool all_finite(tile<Scalar> values, Index tokens) const {
    for (Index j = 0; j < tokens; ++j) {
      const Eigen::Map<const Eigen::Array<Scalar, 1, Eigen::Dynamic>> row(
          values.data + j * values.stride, state_.v_dim);
      if ((row * Scalar(0)).sum() != Scalar(0)) return false;
    }
    return true;
  }

  void add_visible_values(Index first, Index tokens, tile<Scalar> values) const {
    for (Index r = 0; r < rows_.count; ++r) {
      const query_row row = call_.row(rows_, r);
      const key_range seen = in_tile(r, first, tokens);
      for (Index j = seen.begin; j < seen.end; ++j)
        if (seen.full || call_.mask.visible(row, first + j))
          state_.value_row(r) +=
              scores_[r * tokens + j] * Eigen::Map<const Eigen::Array<Scalar, 1, Eigen::Dynamic>>(
                                            values.data + j * values.stride, state_.v_dim);
    }
  }

  const Call& call_;
  stacked_rows rows_;
  softmax_state<Scalar> state_;
  Scalar* queries_;    // [rows, qk_dim], scaled
  Scalar* scores_;     // [rows, tile_keys], then weights
  key_range* ranges_;  // [rows], clamped to the keys
  Index begin_ = 0;
  Index end_ = 0;
};

}  // namespace headroom::inline HEADROOM_ISA::detail
