// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include "model.hpp"

#include <algorithm>
#include <headroom/rms_norm.hpp>
#include <stdexcept>
#include <utility>

namespace generate {

namespace {

// A prompt is read in pieces of this many tokens, so that the activations of a long one stay small.
constexpr Index prefill_chunk = 512;

}  // namespace

std::unique_ptr<attention_block> make_attention_block(weight_reader& weights,
                                                      const std::string& name,
                                                      const model_config& config,
                                                      const cache_config& cache) {
  return config.latent ? make_latent_block(weights, name, config, cache)
                       : make_grouped_block(weights, name, config, cache);
}

language_model::language_model(const model_config& config, checkpoint weights,
                               const run_options& options)
    : config_(config), options_(options), weights_(std::move(weights)) {
  weight_reader reader(weights_);
  const std::string embedding = "model.embed_tokens", head = "lm_head";
  embedding_ = reader.get(embedding + ".weight", {config.vocabulary, config.hidden});
  for (Index layer = 0; layer < config.layers; ++layer)
    layers_.push_back(read_layer(reader, layer));
  final_norm_ = reader.vector("model.norm.weight", config.hidden);
  head_.emplace(reader, config.tied_head ? embedding : head, config.vocabulary, config.hidden);
  // Some exports of tied models store the same matrix twice.
  if (config.tied_head && weights_.tensors().contains(head + ".weight"))
    reader.get(head + ".weight", {config.vocabulary, config.hidden});
  reader.require_all_used();
}

language_model::decoder_layer language_model::read_layer(weight_reader& weights,
                                                         Index layer) const {
  using any_mlp = std::variant<swiglu, mixture_of_experts>;
  const std::string name = "model.layers." + std::to_string(layer);
  const auto read_mlp = [&]() -> any_mlp {
    if (config_.has_experts(layer))
      return mixture_of_experts(weights, name + ".mlp", config_.hidden, *config_.experts);
    return swiglu(weights, name + ".mlp", config_.hidden, config_.mlp_width, config_.mlp_bias);
  };
  return {weights.vector(name + ".input_layernorm.weight", config_.hidden),
          weights.vector(name + ".post_attention_layernorm.weight", config_.hidden),
          make_attention_block(weights, name + ".self_attn", config_,
                               {options_.kv_dtype, options_.capacity}),
          read_mlp()};
}

Index language_model::parameters() const {
  Index sum = 0;
  for (const auto& [name, t] : weights_.tensors()) sum += t.numbers();
  return sum;
}

footprint language_model::predicted_attention() const {
  footprint sum;
  for (const decoder_layer& layer : layers_) sum += layer.attention->predicted();
  return sum;
}

footprint language_model::measured_attention() const {
  footprint sum;
  for (const decoder_layer& layer : layers_) sum += layer.attention->measured();
  return sum;
}

void language_model::check(std::span<const Index> ids) const {
  for (const Index id : ids)
    if (id < 0 || id >= config_.vocabulary)
      throw std::invalid_argument("token id " + std::to_string(id) + ", expected [0, " +
                                  std::to_string(config_.vocabulary) + ")");
  if (tokens_ + static_cast<Index>(ids.size()) > options_.capacity)
    throw std::length_error("the sequence exceeds its capacity of " +
                            std::to_string(options_.capacity) + " tokens");
}

Matrix language_model::embed(std::span<const Index> ids) const {
  Matrix x(static_cast<Index>(ids.size()), config_.hidden);
  for (Index t = 0; t < x.rows(); ++t)
    x.row(t) =
        to_float(embedding_, ids[static_cast<std::size_t>(t)] * config_.hidden, config_.hidden);
  return x;
}

void language_model::normalise(Matrix& x, const Eigen::RowVectorXf& gain) const {
  headroom::rms_norm(headroom::tokens_major(x.data(), x.rows(), 1, x.cols()),
                     std::span<const float>(gain.data(), static_cast<std::size_t>(gain.size())),
                     config_.norm_eps);
}

Matrix language_model::hidden_states(std::span<const Index> ids, const reporter& report) {
  Matrix x = embed(ids), normalised, update(x.rows(), x.cols());
  double layers_done = 0;
  for (decoder_layer& layer : layers_) {
    normalised = x;
    normalise(normalised, layer.attention_norm);
    (*layer.attention)(normalised, update, options_.executor);
    x += update;
    normalised = x;
    normalise(normalised, layer.mlp_norm);
    std::visit([&](const auto& mlp) { mlp(normalised, update, options_.executor); }, layer.mlp);
    x += update;
    if (report) report(++layers_done / static_cast<double>(layers_.size()));
  }
  tokens_ += x.rows();
  return x;
}

Matrix language_model::apply_head(Matrix x) const {
  normalise(x, final_norm_);
  Matrix logits(x.rows(), config_.vocabulary);
  (*head_)(x, logits, options_.executor);
  return logits;
}

Matrix language_model::logits(std::span<const Index> ids) {
  check(ids);
  Matrix all(static_cast<Index>(ids.size()), config_.vocabulary);
  for (Index begin = 0; begin < all.rows(); begin += prefill_chunk) {
    const Index count = std::min(prefill_chunk, all.rows() - begin);
    all.middleRows(begin, count) = apply_head(hidden_states(
        ids.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(count))));
  }
  return all;
}

Eigen::RowVectorXf language_model::next_logits(std::span<const Index> ids, const reporter& report) {
  check(ids);
  if (ids.empty()) throw std::invalid_argument("no token was given, expected at least one");
  Matrix last;
  for (std::size_t begin = 0; begin < ids.size(); begin += prefill_chunk) {
    const auto chunk = ids.subspan(begin, std::min<std::size_t>(prefill_chunk, ids.size() - begin));
    const auto of_chunk = [&](double fraction) {
      report((static_cast<double>(begin) + fraction * static_cast<double>(chunk.size())) /
             static_cast<double>(ids.size()));
    };
    last = hidden_states(chunk, report ? reporter(of_chunk) : reporter()).bottomRows(1);
  }
  return apply_head(std::move(last)).row(0);
}

void language_model::truncate(Index tokens) {
  for (decoder_layer& layer : layers_) layer.attention->truncate(tokens);
  tokens_ = tokens;
}

}  // namespace generate
