// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "threads.hpp"
#include "workload.hpp"

namespace serve {

/// Computes rows that have nothing to do with each other, such as a projection's, a few at a time.
///
/// A matrix product picks its kernel by the number of rows, and kernels sum in different orders: a
/// row alone and the same row among twenty differ in their last bits, and now and then in a token.
/// So every product here has the same number of rows, filled up with zeros: what becomes of a row
/// cannot depend on which others are computed in the same step. It costs a decode step that is
/// alone the time of a full block.
class row_blocks {
 public:
  /// \param height  rows of a block; 0 for all there are, which is faster for few and rounds as it
  ///                may
  row_blocks(Index height, const generate::threads& executor)
      : height_(height), executor_(executor) {}

  /// f(in, out) writes out, [height, columns of y], from in, [height, columns of x], for a block.
  /// x and y are [rows, columns], y written; they may be one.
  template <class F>
  void operator()(const Matrix& x, Matrix& y, const F& f) const {
    const Index height = height_ > 0 ? height_ : std::max<Index>(x.rows(), 1);
    executor_((x.rows() + height - 1) / height, [&](Index block) {
      const Index first = block * height, count = std::min(height, x.rows() - first);
      Matrix in(height, x.cols()), out(height, y.cols());
      in.topRows(count) = x.middleRows(first, count);
      in.bottomRows(height - count).setZero();
      f(in, out);
      y.middleRows(first, count) = out.topRows(count);
    });
  }

  const generate::threads& executor() const { return executor_; }

 private:
  Index height_;
  generate::threads executor_;
};

}  // namespace serve
