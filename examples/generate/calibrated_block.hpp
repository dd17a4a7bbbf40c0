// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/int8_codec.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/scaled_cache.hpp>
#include <optional>

#include "grouped_block.hpp"

namespace generate {

/// Attention whose cache stores nothing but whole numbers from -127 to 127, over a scale for each
/// channel of keys and of values. A codec that clips wants scales beforehand: they are the largest
/// numbers among the first tokens that the block is given, over 127, and stay.
template <class Weight>
class calibrated_block : public attention_block {
  using Codec = headroom::int8_rows;
  using Trial = grouped_block<Weight, headroom::kv_cache<Codec>>;
  using Block =
      grouped_block<Weight, headroom::scaled_cache<headroom::kv_cache<headroom::saturating_int8>>>;

 public:
  calibrated_block(weight_reader& weights, const std::string& name, const model_config& config,
                   Index capacity)
      : trial_(std::in_place, weights, name, config, capacity),
        block_(weights, name, config, capacity) {}

  void operator()(const Matrix& x, Matrix& out, const threads& executor) override {
    if (trial_) {
      (*trial_)(x, out, executor);
      const auto& seen = trial_->cache();
      block_.cache().set_key_scales(
          scales(seen.groups(), seen.qk_dim(), [&](Index g) { return seen.keys(g, 0, x.rows()); }));
      block_.cache().set_value_scales(scales(seen.groups(), seen.v_dim(),
                                             [&](Index g) { return seen.values(g, 0, x.rows()); }));
      trial_.reset();
    }
    block_(x, out, executor);
  }

  void truncate(Index tokens) override { block_.truncate(tokens); }
  footprint predicted() const override { return block_.predicted(); }
  footprint measured() const override { return block_.measured(); }

 private:
  /// Of rows [tokens, groups, dim], the rows of a group at a time.
  template <class RowsOf>
  static Matrix scales(Index groups, Index dim, const RowsOf& rows_of) {
    Matrix largest = Matrix::Constant(groups, dim, 1e-6f);  // a scale is positive
    Eigen::RowVectorXf row(dim);
    for (Index g = 0; g < groups; ++g) {
      const auto run = rows_of(g);
      for (Index t = 0; t < run.tokens; ++t) {
        Codec::decode(run.rows + t * run.stride, row.data(), dim);
        largest.row(g) = largest.row(g).cwiseMax(row.cwiseAbs());
      }
    }
    return (largest / 127).reshaped<Eigen::RowMajor>(1, groups * dim);
  }

  std::optional<Trial> trial_;  // until there are scales
  Block block_;
};

}  // namespace generate
