// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>
#include <cstdio>

// What the programs of the ladder share.

using Eigen::Index;

/// [tokens, heads * dim], a token a row: the order in which projections come out of a model.
using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Prints how far apart two results are and tells whether that is rounding: floats are good to
/// 6e-8, results of a few hundred operations to a few times that. A NaN agrees with nothing.
inline bool agree(const char* claim, const Matrix& a, const Matrix& b, float rounding = 1e-5f) {
  const float difference = (a - b).norm() / b.norm();
  std::printf("%-68s %.0e\n", claim, static_cast<double>(difference));
  return difference < rounding;
}

/// The exit status of a program whose claims all hold, or not.
inline int verdict(bool all_hold) {
  std::puts(all_hold ? "as claimed" : "FAILED: a claim above does not hold");
  return all_hold ? 0 : 1;
}
