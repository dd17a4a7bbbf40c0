// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include "decoder.hpp"

#include <headroom/rms_norm.hpp>
#include <stdexcept>
#include <utility>

namespace generate {

decoder::decoder(const model_config& config, checkpoint weights,
                 const attention_reader& read_attention)
    : config_(config), weights_(std::move(weights)) {
  weight_reader reader(weights_);
  const std::string embedding = "model.embed_tokens", head = "lm_head";
  embedding_ = reader.get(embedding + ".weight", {config.vocabulary, config.hidden});
  for (Index number = 0; number < config.layers; ++number)
    layers_.push_back(read_layer(reader, number, read_attention));
  final_norm_ = reader.vector("model.norm.weight", config.hidden);
  head_.emplace(reader, config.tied_head ? embedding : head, config.vocabulary, config.hidden);
  // Some exports of tied models store the same matrix twice.
  if (config.tied_head && weights_.tensors().contains(head + ".weight"))
    reader.get(head + ".weight", {config.vocabulary, config.hidden});
  reader.require_all_used();
}

decoder::decoder_layer decoder::read_layer(weight_reader& weights, Index number,
                                           const attention_reader& read_attention) const {
  using any_mlp = std::variant<swiglu, mixture_of_experts>;
  const std::string name = "model.layers." + std::to_string(number);
  Eigen::RowVectorXf attention_norm =
      weights.vector(name + ".input_layernorm.weight", config_.hidden);
  Eigen::RowVectorXf mlp_norm =
      weights.vector(name + ".post_attention_layernorm.weight", config_.hidden);
  read_attention(weights, name + ".self_attn");
  const auto read_mlp = [&]() -> any_mlp {
    if (config_.has_experts(number))
      return mixture_of_experts(weights, name + ".mlp", config_.hidden, *config_.experts);
    return swiglu(weights, name + ".mlp", config_.hidden, config_.mlp_width, config_.mlp_bias);
  };
  return {std::move(attention_norm), std::move(mlp_norm), read_mlp()};
}

Index decoder::parameters() const {
  Index sum = 0;
  for (const auto& [name, t] : weights_.tensors()) sum += t.numbers();
  return sum;
}

void decoder::check(std::span<const Index> ids) const {
  for (const Index id : ids)
    if (id < 0 || id >= config_.vocabulary)
      throw std::invalid_argument("token id " + std::to_string(id) + ", expected [0, " +
                                  std::to_string(config_.vocabulary) + ")");
}

Matrix decoder::embed(std::span<const Index> ids) const {
  Matrix x(static_cast<Index>(ids.size()), config_.hidden);
  for (Index t = 0; t < x.rows(); ++t)
    x.row(t) =
        to_float(embedding_, ids[static_cast<std::size_t>(t)] * config_.hidden, config_.hidden);
  return x;
}

void decoder::normalise(Matrix& x, const Eigen::RowVectorXf& gain) const {
  headroom::rms_norm(headroom::tokens_major(x.data(), x.rows(), 1, x.cols()),
                     std::span<const float>(gain.data(), static_cast<std::size_t>(gain.size())),
                     config_.norm_eps);
}

Matrix decoder::attention_input(Index layer, const Matrix& x) const {
  Matrix normalised = x;
  normalise(normalised, at(layer).attention_norm);
  return normalised;
}

void decoder::add_mlp(Index layer, Matrix& x, const threads& executor) const {
  Matrix normalised = x, update(x.rows(), x.cols());
  normalise(normalised, at(layer).mlp_norm);
  std::visit([&](const auto& mlp) { mlp(normalised, update, executor); }, at(layer).mlp);
  x += update;
}

Matrix decoder::logits(Matrix x, const threads& executor) const {
  normalise(x, final_norm_);
  Matrix result(x.rows(), config_.vocabulary);
  (*head_)(x, result, executor);
  return result;
}

}  // namespace generate
