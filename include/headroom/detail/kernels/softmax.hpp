// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/packet.hpp>
#include <headroom/detail/packet_bfloat16.hpp>

#include <algorithm>
#include <limits>
#include <numbers>

namespace headroom::inline HEADROOM_ISA::detail {

// Numbers of `width` rows, width a power of two, as packets: one row a lane, and where there are
// fewer rows than lanes, over and over.
inline packet load_rows(const float* rows, Index width) {
  if (width >= lanes) return load(rows);
  float repeated[lanes];
  for (Index i = 0; i < lanes; ++i) repeated[i] = rows[i & (width - 1)];
  return load(repeated);
}

// The inverse: lanes of the same row are joined by `join`.
template <class Join>
void store_rows(float* rows, Index width, const packet& p, const Join& join) {
  if (width >= lanes) return store(rows, p);
  float numbers[lanes];
  store(numbers, p);
  for (Index i = width; i < lanes; ++i) {
    float& number = numbers[i & (width - 1)];
    number = join(number, numbers[i]);
  }
  std::copy(numbers, numbers + width, rows);
}

/// scores[i] = softcap * tanh(scores[i] / softcap), in whole packets: there is room for one more.
inline void cap_scores(float* scores, Index count, float softcap) {
  const packet bound = broadcast(softcap);
  for (Index i = 0; i < count; i += lanes)
    store(scores + i, multiply(bound, tanh(divide(load(scores + i), bound))));
}

// Several packets of rows at once: [count, stride] scores are read in the order of memory, and one
// exponential does not wait for the other.
template <int packets>
struct score_columns {
  float* scores;
  Index count;
  Index stride;

  void find_largest(packet (&largest)[packets]) const {
    for (Index i = 0; i < count; ++i)
      unroll<packets>([&](auto p) HEADROOM_ALWAYS_INLINE {
        largest[p] = maximum(load(scores + i * stride + p * lanes), largest[p]);
      });
  }

  // Scores become weights 2^((score - shift) log2 e), and are added up.
  template <class Weight>
  void weigh(const packet (&shift)[packets], packet (&sum)[packets]) const {
    const packet log2_e = broadcast(std::numbers::log2e_v<float>);
    const auto weight = [&](const float* score, auto p) HEADROOM_ALWAYS_INLINE {
      const packet w = exp2_of_negative(multiply(subtract(load(score), shift[p]), log2_e));
      sum[p] = add(sum[p], w);
      return w;
    };
    Index i = 0;
    for (; i + depth_of<Weight> <= count; i += depth_of<Weight>)
      unroll<packets>([&](auto p) HEADROOM_ALWAYS_INLINE {
        float* const from = scores + i * stride + p * lanes;
        if constexpr (is_pair<Weight>) {
          const packet first = weight(from, p);
          store_pairs(pair_row<Weight>(i, p), first, weight(from + stride, p));
        } else {
          store(from, weight(from, p));
        }
      });
    if constexpr (is_pair<Weight>)
      if (i < count)  // the last weight's partner is 0
        unroll<packets>([&](auto p) HEADROOM_ALWAYS_INLINE {
          const packet last = weight(scores + i * stride + p * lanes, p);
          store_pairs(pair_row<Weight>(i, p), last, broadcast(0.f));
        });
  }

  // Pairs of weights take the place of scores already read.
  template <class Weight>
  Weight* pair_row(Index i, Index p) const {
    static_assert(sizeof(Weight) == sizeof(float));
    return reinterpret_cast<Weight*>(scores + i / 2 * stride + p * lanes);
  }
};

// One step of the running softmax for rows [first, first + packets * lanes) of `width`.
template <int packets, class Weight>
void weigh_rows(float* scores, Index steps, Index first, Index width, float* max, float* sum,
                float* factor) {
  // Where every score so far is minus infinity, (-inf) - (-inf) would be NaN; any shift is right.
  const packet lowest = broadcast(std::numeric_limits<float>::lowest());
  const packet log2_e = broadcast(std::numbers::log2e_v<float>);
  const score_columns<packets> columns{scores + first, steps, std::max<Index>(width, lanes)};
  packet old_max[packets], new_max[packets], added[packets];
  unroll<packets>([&](auto p) HEADROOM_ALWAYS_INLINE {
    old_max[p] = new_max[p] = load_rows(max + first + p * lanes, width);
    added[p] = broadcast(0.f);
  });
  columns.find_largest(new_max);
  unroll<packets>([&](auto p) HEADROOM_ALWAYS_INLINE {
    float* const at = max + first + p * lanes;
    store_rows(at, width, new_max[p], [](float a, float b) { return std::max(a, b); });
    if (width < lanes) new_max[p] = load_rows(at, width);
    new_max[p] = maximum(new_max[p], lowest);
  });
  columns.template weigh<Weight>(new_max, added);
  unroll<packets>([&](auto p) HEADROOM_ALWAYS_INLINE {
    const Index row = first + p * lanes;
    float sums[lanes];
    store_rows(sums, width, added[p], [](float a, float b) { return a + b; });
    const packet moved = exp2_of_negative(multiply(subtract(old_max[p], new_max[p]), log2_e));
    store_rows(factor + row, width, moved, [](float a, float) { return a; });
    for (Index i = 0; i < std::min<Index>(width, lanes); ++i)
      sum[row + i] = sum[row + i] * factor[row + i] + sums[i];
  });
}

/// One step of the running softmax for `width` rows at once: scores [keys, width] become weights
/// e^(score - max); max and sum [width] move on. factor [width] is what the values that were added
/// up before are to be multiplied by. Scores of minus infinity get weight 0.
///
/// Rows stand in the lanes: neither maximum nor sum has a step across them, unless there are fewer
/// rows than lanes. `scores` then has room for one packet more.
///
/// \tparam Weight  float; or a pair of bfloat16, each for two keys, [keys / 2, width] in place of
///                 the scores, where rows fill packets. The sum is that of the weights unrounded.
template <class Weight = float>
void weigh_scores(float* scores, Index keys, Index width, float* max, float* sum, float* factor) {
  const Index stride = std::max<Index>(width, lanes);
  const Index numbers = keys * width;
  const Index steps = (numbers + stride - 1) / stride;
  std::fill(scores + numbers, scores + steps * stride, -std::numeric_limits<float>::infinity());
  Index first = 0;
  for (; first + 4 * lanes <= width; first += 4 * lanes)
    weigh_rows<4, Weight>(scores, steps, first, width, max, sum, factor);
  for (; first < width; first += lanes)
    weigh_rows<1, Weight>(scores, steps, first, width, max, sum, factor);
}

}  // namespace headroom::inline HEADROOM_ISA::detail
