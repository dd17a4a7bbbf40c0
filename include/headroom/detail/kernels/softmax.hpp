// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/packet.hpp>

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

/// One step of the running softmax for `width` rows at once: scores [keys, width] become weights
/// e^(score - max); max and sum [width] move on. factor [width] is what the values that were added
/// up before are to be multiplied by. Scores of minus infinity get weight 0.
///
/// Rows stand in the lanes: neither maximum nor sum has a step across them, unless there are fewer
/// rows than lanes. `scores` then has room for one packet more.
inline void weigh_scores(float* scores, Index keys, Index width, float* max, float* sum,
                         float* factor) {
  const Index stride = std::max<Index>(width, lanes);
  const Index numbers = keys * width;
  const Index steps = (numbers + stride - 1) / stride;
  std::fill(scores + numbers, scores + steps * stride, -std::numeric_limits<float>::infinity());
  const packet log2_e = broadcast(std::numbers::log2e_v<float>);
  // Where every score so far is minus infinity, (-inf) - (-inf) would be NaN; any shift is right.
  const packet lowest = broadcast(std::numeric_limits<float>::lowest());

  for (Index part = 0; part < width; part += lanes) {
    float* const rows = scores + part;
    const packet old_max = load_rows(max + part, width);
    packet new_max = old_max;
    for (Index i = 0; i < steps; ++i) new_max = maximum(load(rows + i * stride), new_max);
    store_rows(max + part, width, new_max, [](float a, float b) { return std::max(a, b); });
    if (width < lanes) new_max = load_rows(max, width);
    const packet shift = maximum(new_max, lowest);

    packet added = broadcast(0.f);
    for (Index i = 0; i < steps; ++i) {
      const packet distance = subtract(load(rows + i * stride), shift);
      const packet weight = exp2_of_negative(multiply(distance, log2_e));
      store(rows + i * stride, weight);
      added = add(added, weight);
    }
    float sums[lanes];
    store_rows(sums, width, added, [](float a, float b) { return a + b; });
    const packet moved = exp2_of_negative(multiply(subtract(old_max, shift), log2_e));
    store_rows(factor + part, width, moved, [](float a, float) { return a; });
    for (Index i = 0; i < std::min<Index>(width, lanes); ++i)
      sum[part + i] = sum[part + i] * factor[part + i] + sums[i];
  }
}

}  // namespace headroom::inline HEADROOM_ISA::detail
