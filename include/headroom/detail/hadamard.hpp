// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/packet.hpp>

#include <array>
#include <bit>
#include <cmath>
#include <concepts>

namespace headroom::inline HEADROOM_ISA::detail {

/// The largest power of two that divides a width.
constexpr Index hadamard_block(Index dim) {
  return dim & -dim;
}

/// The matrix whose size is that of a packet, of ones and minus ones.
inline constexpr auto hadamard_of_lanes = [] {
  std::array<std::array<float, lanes>, lanes> columns;
  for (unsigned k = 0; k < unsigned(lanes); ++k)
    for (unsigned i = 0; i < unsigned(lanes); ++i)
      columns[k][i] = std::popcount(i & k) % 2 == 0 ? 1.f : -1.f;
  return columns;
}();

/// The sum of its columns from `first` on, `count` of them, times as many numbers: by pairs, with
/// as few roundings as number by number. To move numbers between lanes instead, every instruction
/// set has ways of its own.
template <int first, int count>
HEADROOM_ALWAYS_INLINE inline packet sum_of_columns(const float* numbers) {
  if constexpr (count == 1)
    return multiply(broadcast(numbers[first]), load(hadamard_of_lanes[first].data()));
  else
    return add(sum_of_columns<first, count / 2>(numbers),
               sum_of_columns<first + count / 2, count / 2>(numbers));
}

/// Rotates a row in place: its blocks of hadamard_block(dim) numbers, each by the Hadamard matrix
/// of that size over the root of the size. The matrix is symmetric and orthogonal: to rotate twice
/// is to do nothing. About dim log2(block) additions.
template <class Scalar>
void rotate_by_hadamard(Scalar* row, Index dim) {
  const Index block = hadamard_block(dim);
  const Scalar factor = Scalar(1) / std::sqrt(static_cast<Scalar>(block));
  if constexpr (std::same_as<Scalar, float>) {
    if (block >= lanes) {
      for (Index i = 0; i < dim; i += lanes)
        store(row + i, multiply(sum_of_columns<0, lanes>(row + i), broadcast(factor)));
      for (Index half = lanes; half < block; half *= 2)
        for (Index begin = 0; begin < dim; begin += 2 * half)
          for (Index i = begin; i < begin + half; i += lanes) {
            const packet a = load(row + i), b = load(row + i + half);
            store(row + i, add(a, b));
            store(row + i + half, subtract(a, b));
          }
      return;
    }
  }
  for (Index half = 1; half < block; half *= 2)
    for (Index begin = 0; begin < dim; begin += 2 * half)
      for (Index i = begin; i < begin + half; ++i) {
        const Scalar a = row[i], b = row[i + half];
        row[i] = a + b;
        row[i + half] = a - b;
      }
  for (Index i = 0; i < dim; ++i) row[i] *= factor;
}

}  // namespace headroom::inline HEADROOM_ISA::detail
