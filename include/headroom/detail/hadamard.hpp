// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>

#include <cmath>

namespace headroom::inline HEADROOM_ISA::detail {

/// The largest power of two that divides a width.
constexpr Index hadamard_block(Index dim) {
  return dim & -dim;
}

/// Rotates a row in place: its blocks of hadamard_block(dim) numbers, each by the Hadamard matrix
/// of that size over the root of the size. The matrix is symmetric and orthogonal: to rotate twice
/// is to do nothing. dim log2(block) additions.
template <class Scalar>
void rotate_by_hadamard(Scalar* row, Index dim) {
  const Index block = hadamard_block(dim);
  for (Index half = 1; half < block; half *= 2)
    for (Index begin = 0; begin < dim; begin += 2 * half)
      for (Index i = begin; i < begin + half; ++i) {
        const Scalar a = row[i], b = row[i + half];
        row[i] = a + b;
        row[i + half] = a - b;
      }
  const Scalar factor = Scalar(1) / std::sqrt(static_cast<Scalar>(block));
  for (Index i = 0; i < dim; ++i) row[i] *= factor;
}

}  // namespace headroom::inline HEADROOM_ISA::detail
