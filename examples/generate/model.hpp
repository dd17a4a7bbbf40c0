// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "attention_block.hpp"
#include "checkpoint.hpp"
#include "config.hpp"
#include "experts.hpp"
#include "mlp.hpp"

namespace generate {

/// How a model is run; none of it is the checkpoint's affair.
struct run_options {
  std::string kv_dtype = "F32";  ///< of the caches: "F32", "F16" or "BF16"
  Index capacity = 0;            ///< tokens that a sequence may have
  threads executor{1};
};

/// Is told how far a long call is, 0 to 1.
using reporter = std::function<void(double)>;

/// A decoder-only transformer of the Llama or DeepSeek-V2 kind and the sequence that it is reading:
///
///   x      = embedding[ids]
///   x      = x + attention(rms_norm(x));  x = x + mlp(rms_norm(x))     for each layer
///   logits = rms_norm(x) head^T
///
/// One class for multi-head, grouped-query, multi-query and latent attention, dense layers and
/// experts. Matrices are used where the checkpoint's file is mapped, in the scalar stored there.
class language_model {
 public:
  /// \throws model_error if the checkpoint does not fit the configuration
  language_model(const model_config& config, checkpoint weights, const run_options& options);

  const model_config& config() const { return config_; }
  Index tokens() const { return tokens_; }

  /// Numbers in all tensors of the checkpoint.
  Index parameters() const;

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
  void truncate(Index tokens);

 private:
  struct decoder_layer {
    Eigen::RowVectorXf attention_norm, mlp_norm;
    std::unique_ptr<attention_block> attention;
    std::variant<swiglu, mixture_of_experts> mlp;
  };

  decoder_layer read_layer(weight_reader& weights, Index layer) const;
  Matrix embed(std::span<const Index> ids) const;
  Matrix hidden_states(std::span<const Index> ids, const reporter& report = {});
  void normalise(Matrix& x, const Eigen::RowVectorXf& gain) const;
  Matrix apply_head(Matrix x) const;
  void check(std::span<const Index> ids) const;

  model_config config_;
  run_options options_;
  checkpoint weights_;
  tensor embedding_;
  std::vector<decoder_layer> layers_;
  Eigen::RowVectorXf final_norm_;
  std::optional<any_linear> head_;
  Index tokens_ = 0;
};

}  // namespace generate
