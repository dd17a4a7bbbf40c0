// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include "paged_model.hpp"

#include <algorithm>
#include <utility>

namespace serve {

namespace {

// Experts take the rows that are sent to them together, and how many that are depends on all rows
// of a block: with experts, a block of fixed height is a row.
row_blocks blocks_for(const generate::model_config& config, const model_options& options) {
  return {config.experts ? std::min<Index>(options.block_rows, 1) : options.block_rows,
          options.executor};
}

}  // namespace

paged_model::paged_model(const generate::model_config& config, generate::checkpoint weights,
                         const model_options& options)
    : decoder_(config, std::move(weights),
               [&](generate::weight_reader& reader, const std::string& name) {
                 const auto make =
                     config.latent ? make_latent_paged_block : make_grouped_paged_block;
                 attention_.push_back(
                     make(reader, name, config,
                          {options.dtype, options.pool_bytes / config.layers, options.page_tokens},
                          blocks_for(config, options)));
               }),
      blocks_(blocks_for(config, options)) {}

void paged_model::open(Index sequence) {
  for (const auto& block : attention_) block->open(sequence);
}

void paged_model::fork(Index from, Index to) {
  for (const auto& block : attention_) block->fork(from, to);
}

void paged_model::close(Index sequence) {
  for (const auto& block : attention_) block->close(sequence);
}

Matrix paged_model::logits(const packed_rows& rows) {
  const generate::threads one_thread{1};
  decoder_.check(rows.ids);
  Matrix x = decoder_.embed(rows.ids), normalised(x.rows(), x.cols()), update = normalised;
  for (Index layer = 0; layer < config().layers; ++layer) {
    blocks_(x, normalised,
            [&](const Matrix& in, Matrix& out) { out = decoder_.attention_input(layer, in); });
    (*attention_[static_cast<std::size_t>(layer)])(normalised, rows, update);
    x += update;
    blocks_(x, x, [&](const Matrix& in, Matrix& out) {
      out = in;
      decoder_.add_mlp(layer, out, one_thread);
    });
  }
  Matrix last(static_cast<Index>(rows.runs.size()), x.cols());
  Index end = 0;
  for (Index i = 0; i < last.rows(); ++i) {
    end += rows.runs[static_cast<std::size_t>(i)].tokens.tokens();
    last.row(i) = x.row(end - 1);
  }
  Matrix result(last.rows(), config().vocabulary);
  blocks_(last, result,
          [&](const Matrix& in, Matrix& out) { out = decoder_.logits(in, one_thread); });
  return result;
}

Index paged_model::page_bytes() const {
  Index sum = 0;
  for (const auto& block : attention_) sum += block->pool_bytes() / block->pool().pages();
  return sum;
}

}  // namespace serve
