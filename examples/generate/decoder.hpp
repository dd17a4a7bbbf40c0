// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "checkpoint.hpp"
#include "config.hpp"
#include "experts.hpp"
#include "mlp.hpp"

namespace generate {

/// A decoder-only transformer of the Llama or DeepSeek-V2 kind:
///
///   x      = embedding[ids]
///   x      = x + attention(rms_norm(x));  x = x + mlp(rms_norm(x))     for each layer
///   logits = rms_norm(x) head^T
///
/// all of it but the attention, which belongs to whoever keeps the sequences: here each row is a
/// token, and what becomes of it has nothing to do with other rows. x is [tokens, hidden].
/// Matrices are used where the checkpoint's file is mapped, in the scalar stored there.
class decoder {
 public:
  /// Reads the attention of the next layer, whose tensors' names begin with `name`.
  using attention_reader = std::function<void(weight_reader& weights, const std::string& name)>;

  /// \throws model_error if the checkpoint does not fit the configuration
  decoder(const model_config& config, checkpoint weights, const attention_reader& read_attention);

  const model_config& config() const { return config_; }

  /// Numbers in all tensors of the checkpoint.
  Index parameters() const;

  /// \throws std::invalid_argument if an id is not in the vocabulary
  void check(std::span<const Index> ids) const;

  /// \param ids  that have been checked
  Matrix embed(std::span<const Index> ids) const;

  /// What a layer's attention reads: rms_norm(x).
  Matrix attention_input(Index layer, const Matrix& x) const;

  /// x = x + mlp(rms_norm(x)).
  void add_mlp(Index layer, Matrix& x, const threads& executor) const;

  /// \param x  behind the last layer
  /// \return [tokens, vocabulary]
  Matrix logits(Matrix x, const threads& executor) const;

 private:
  struct decoder_layer {
    Eigen::RowVectorXf attention_norm, mlp_norm;
    std::variant<swiglu, mixture_of_experts> mlp;
  };

  decoder_layer read_layer(weight_reader& weights, Index number,
                           const attention_reader& read_attention) const;
  void normalise(Matrix& x, const Eigen::RowVectorXf& gain) const;
  const decoder_layer& at(Index number) const { return layers_[static_cast<std::size_t>(number)]; }

  model_config config_;
  checkpoint weights_;
  tensor embedding_;
  std::vector<decoder_layer> layers_;
  Eigen::RowVectorXf final_norm_;
  std::optional<any_linear> head_;
};

}  // namespace generate
