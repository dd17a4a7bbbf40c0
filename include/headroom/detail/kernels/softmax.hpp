// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/packet.hpp>
#include <headroom/detail/packet_bfloat16.hpp>
#include <headroom/softmax_state.hpp>

#include <limits>
#include <numbers>

namespace headroom::inline HEADROOM_ISA::detail {

/// scores[i] = softcap * tanh(unit * scores[i] / softcap), in whole packets: there is room for one
/// more.
inline void cap_scores(float* scores, Index count, float softcap, float unit = 1) {
  const packet bound = broadcast(softcap), divisor = broadcast(softcap / unit);
  for (Index i = 0; i < count; i += lanes)
    store(scores + i, multiply(bound, tanh(divide(load(scores + i), divisor))));
}

// Several packets of rows at once: [count, stride] scores are read in the order of memory, and one
// exponential does not wait for the other.
template <int packets>
struct score_columns {
  float* scores;
  Index count;
  Index stride;

  void find_largest(packet (&largest)[packets]) const {
    for (Index i = 0; i < count; ++i) {
      const float* const row = scores + i * stride;
      HEADROOM_UNROLL for (int p = 0; p < packets; ++p) {
        largest[p] = maximum(load(row + p * lanes), largest[p]);
      }
    }
  }

  // Scores become weights 2^((unit score - shift) log2 e), and are added up.
  template <class Weight>
  void weigh(const packet& unit, const packet (&shift)[packets], packet (&sum)[packets]) const {
    const packet log2_e = broadcast(std::numbers::log2e_v<float>);
    packet minus_shift[packets];
    HEADROOM_UNROLL for (int p = 0; p < packets; ++p) {
      minus_shift[p] = subtract(broadcast(0.f), shift[p]);
    }
    const auto weight = [&](const float* score, int p) HEADROOM_ALWAYS_INLINE {
      const packet difference = multiply_add(load(score), unit, minus_shift[p]);
      const packet w = power_of_2(multiply(difference, log2_e));
      sum[p] = add(sum[p], w);
      return w;
    };
    Index i = 0;
    for (; i + depth_of<Weight> <= count; i += depth_of<Weight>)
      HEADROOM_UNROLL for (int p = 0; p < packets; ++p) {
        float* const from = scores + i * stride + p * lanes;
        if constexpr (is_pair<Weight>) {
          const packet first = weight(from, p);
          store_pairs(pair_row<Weight>(i, p), first, weight(from + stride, p));
        } else {
          store(from, weight(from, p));
        }
      }
    if constexpr (is_pair<Weight>)
      if (i < count)  // the last weight's partner is 0
        HEADROOM_UNROLL for (int p = 0; p < packets; ++p) {
          const packet last = weight(scores + i * stride + p * lanes, p);
          store_pairs(pair_row<Weight>(i, p), last, broadcast(0.f));
        }
  }

  // Pairs of weights take the place of scores already read.
  template <class Weight>
  Weight* pair_row(Index i, Index p) const {
    static_assert(sizeof(Weight) == sizeof(float));
    return reinterpret_cast<Weight*>(scores + i / 2 * stride + p * lanes);
  }
};

// One step of the running softmax for as many rows as fill `packets`, of scores [keys, width].
template <int packets, class Weight>
void weigh_rows(float* scores, Index keys, Index width, float* max, float* sum, float* factor,
                float unit) {
  // Where every score so far is minus infinity, (-inf) - (-inf) would be NaN; any shift is right.
  const packet lowest = broadcast(std::numeric_limits<float>::lowest());
  const packet log2_e = broadcast(std::numbers::log2e_v<float>);
  const score_columns<packets> columns{scores, keys, width};
  packet largest[packets], shift[packets], added[packets];
  HEADROOM_UNROLL for (int p = 0; p < packets; ++p) {
    largest[p] = broadcast(softmax_state<float>::minus_infinity);
    added[p] = broadcast(0.f);
  }
  columns.find_largest(largest);
  HEADROOM_UNROLL for (int p = 0; p < packets; ++p) {
    largest[p] = maximum(multiply(largest[p], broadcast(unit)), load(max + p * lanes));
    shift[p] = maximum(largest[p], lowest);
  }
  columns.template weigh<Weight>(broadcast(unit), shift, added);
  HEADROOM_UNROLL for (int p = 0; p < packets; ++p) {
    const packet moved = power_of_2(multiply(subtract(load(max + p * lanes), shift[p]), log2_e));
    store(max + p * lanes, largest[p]);
    store(factor + p * lanes, moved);
    store(sum + p * lanes, multiply_add(load(sum + p * lanes), moved, added[p]));
  }
}

/// One step of the running softmax for `width` rows at once, which fill packets: scores
/// [keys, width] become weights e^(score - max); max and sum [width] move on. factor [width] is
/// what the values that were added up before are to be multiplied by. Scores of minus infinity get
/// weight 0. Rows stand in the lanes: neither maximum nor sum has a step across them. Fewer rows
/// than lanes are for lane_softmax.
///
/// \param unit  of the scores, more than 0; maxima are not in it
/// \tparam Weight  float; or a pair of bfloat16, each for two keys, [keys / 2, width] in place of
///                 the scores. The sum is that of the weights unrounded.
template <class Weight = float>
void weigh_scores(float* scores, Index keys, Index width, float* max, float* sum, float* factor,
                  float unit = 1) {
  Index r = 0;
  for (; r + 4 * lanes <= width; r += 4 * lanes)
    weigh_rows<4, Weight>(scores + r, keys, width, max + r, sum + r, factor + r, unit);
  for (; r < width; r += lanes)
    weigh_rows<1, Weight>(scores + r, keys, width, max + r, sum + r, factor + r, unit);
}

/// Weights [keys, width] become pairs, [keys / 2, width] in their place, and what rounding takes
/// from them pairs elsewhere.
template <class Pair>
void split_weights(float* weights, Index keys, Index width, Pair* residuals) {
  Pair* const pairs = reinterpret_cast<Pair*>(weights);
  for (Index i = 0; i < keys; i += 2)
    for (Index r = 0; r < width; r += lanes) {
      const float* const from = weights + i * width + r;
      const packet first = load(from);
      const packet second = i + 1 < keys ? load(from + width) : broadcast(0.f);
      const Index to = i / 2 * width + r;
      store_pairs(pairs + to, first, second);
      store_residuals(residuals + to, pairs + to, first, second);
    }
}

}  // namespace headroom::inline HEADROOM_ISA::detail
