// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "attention_block.hpp"
#include "decoder.hpp"

namespace generate {

/// How a model is run; none of it is the checkpoint's affair.
struct run_options {
  std::string kv_dtype = "F32";  ///< what caches store: see cache_config
  Index capacity = 0;            ///< tokens that a sequence may have
  threads executor{1};
  bool rings = true;  ///< drops what has left a model's window; else one can go back to all
};

/// Is told how far a long call is, 0 to 1.
using reporter = std::function<void(double)>;

/// A decoder, its attention, and the sequence that it is reading. One class for multi-head,
/// grouped-query, multi-query and latent attention, dense layers and experts.
class language_model {
 public:
  /// \throws model_error if the checkpoint does not fit the configuration
  language_model(const model_config& config, checkpoint weights, const run_options& options);

  const model_config& config() const { return decoder_.config(); }
  Index tokens() const { return tokens_; }

  /// Numbers in all tensors of the checkpoint.
  Index parameters() const { return decoder_.parameters(); }

  /// Sums over the layers; see attention_block.
  footprint predicted_attention() const;
  footprint measured_attention() const;

  /// Adds tokens to the sequence.
  /// \return [ids, vocabulary], the logits of what comes after each of them
  /// \throws std::invalid_argument if an id is not in the vocabulary, std::length_error if there is
  ///         no room; the sequence is then unchanged
  Matrix logits(std::span<const Index> ids);

  /// As above, for what comes after the last one only; there must be one. `report` is told, now and
  /// then, which part of the work is done.
  Eigen::RowVectorXf next_logits(std::span<const Index> ids, const reporter& report = {});

  /// Forgets all tokens of the sequence but the first ones.
  ///
  /// \throws std::invalid_argument if the window of the next token was dropped; nothing is changed
  ///         then
  void truncate(Index tokens);

 private:
  Matrix hidden_states(std::span<const Index> ids, const reporter& report = {});
  void check(std::span<const Index> ids) const;

  run_options options_;
  Index chunk_;                                              // tokens that are computed together
  std::vector<std::unique_ptr<attention_block>> attention_;  // of each layer
  decoder decoder_;
  Index tokens_ = 0;
};

}  // namespace generate
