// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "decoder.hpp"
#include "paged_block.hpp"

namespace serve {

/// How a model is run; none of it is the checkpoint's affair.
struct model_options {
  std::string dtype = "F16";  ///< of what is cached, see pool_config
  Index pool_bytes = 0;       ///< of all layers' pools, at most
  Index page_tokens = 16;
  Index block_rows = 8;  ///< see row_blocks
  generate::threads executor{1};
};

/// A decoder that reads many sequences, all of whose layers keep them in a pool of pages each.
class paged_model {
 public:
  /// \throws generate::model_error as decoder, and as the blocks of attention
  paged_model(const generate::model_config& config, generate::checkpoint weights,
              const model_options& options);

  const generate::model_config& config() const { return decoder_.config(); }

  void open(Index sequence);
  void fork(Index from, Index to);
  void close(Index sequence);

  /// Adds tokens to their sequences, all of them together.
  /// \return [runs, vocabulary], the logits of what comes after each run's last token
  /// \throws std::invalid_argument if an id is not in the vocabulary; nothing is changed then
  Matrix logits(const packed_rows& rows);

  /// Of each layer, where all are alike.
  Index pages() const { return attention_.front()->pool().pages(); }
  Index page_tokens() const { return attention_.front()->pool().page_tokens(); }
  Index pages_in_use() const { return attention_.front()->pool().pages_in_use(); }

  /// That a page takes in all layers.
  Index page_bytes() const;

 private:
  std::vector<std::unique_ptr<paged_block>> attention_;  // of each layer
  generate::decoder decoder_;
  row_blocks blocks_;
};

}  // namespace serve
