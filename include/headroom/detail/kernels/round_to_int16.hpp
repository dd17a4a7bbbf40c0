// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/packet.hpp>
#include <headroom/detail/packet_int16.hpp>
#include <headroom/detail/row_range.hpp>

#include <algorithm>
#include <limits>

// Queries and weights as whole numbers of 16 bits: x ~ unit * n, unit = max |x| / 32767 over a row.
// A number errs by at most half a unit. A row that holds a NaN or an infinity has unit NaN, which
// every product with it is then multiplied by; one below 1.6e-33 rounds to 0 or, of weights, to
// units of 4.8e-38.

namespace headroom::inline HEADROOM_ISA::detail {

/// What a row's numbers are to be multiplied by before they are rounded, and after.
struct int16_scale {
  float inverse;
  float unit;

  /// Smaller ones have no inverse.
  static constexpr float least = 4 * most_int16 * std::numeric_limits<float>::min();

  static int16_scale of(const row_range& range) {
    if (!range.finite) return {0, std::numeric_limits<float>::quiet_NaN()};
    if (range.largest() < least) return {0, 0};
    return {most_int16 / range.largest(), range.largest() / most_int16};
  }
};

/// Rounds a row of `dim` numbers, whole packets; returns its unit.
inline float round_row(const float* row, Index dim, std::int16_t* rounded) {
  const auto scale = int16_scale::of(row_range::of(row, dim));
  // A NaN is not rounded: there is no whole number for it.
  if (scale.inverse == 0.f)
    std::fill(rounded, rounded + dim, std::int16_t(0));
  else
    for (Index d = 0; d < dim; d += lanes)
      store_rounded(rounded + d, multiply(load(row + d), broadcast(scale.inverse)));
  return scale.unit;
}

/// Rounds weights [keys, rows], none below 0, each row's among themselves, to pairs [keys / 2,
/// rows] of key j and key j + keys / 2. Weights of the first and of the last half fill packets,
/// with some number of rows that divides the lanes.
///
/// \param units  of the rows, a packet of them again and again
template <class Pair>
void round_weights(const float* weights, Index keys, Index rows, Pair* pairs, float* units) {
  const Index half = keys / 2 * rows;
  packet largest = broadcast(0.f), poison = largest;
  for (Index i = 0; i < half; i += lanes) {
    const packet first = load(weights + i), last = load(weights + half + i);
    largest = maximum(largest, maximum(first, last));
    poison = multiply_add(add(first, last), broadcast(0.f), poison);
  }
  for (Index by = rows; by < lanes; by *= 2) {
    largest = maximum(largest, rotate(largest, by));
    poison = add(poison, rotate(poison, by));
  }
  const packet most = broadcast(most_int16);
  largest = maximum(largest, broadcast(int16_scale::least));
  store(units, add(divide(largest, most), poison));
  const packet factor = divide(most, largest);
  for (Index i = 0; i < half; i += lanes)
    store_pairs(pairs + i, multiply(load(weights + i), factor),
                multiply(load(weights + half + i), factor));
}

}  // namespace headroom::inline HEADROOM_ISA::detail
