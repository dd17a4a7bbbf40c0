// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include "model.hpp"

#include <algorithm>
#include <iterator>
#include <stdexcept>
#include <utility>

namespace generate {

namespace {

// A prompt is read in pieces, so that the activations of a long one stay small; and of a window's
// length at most, so that a ring is never twice as long as that.
Index prefill_chunk(const model_config& config, const run_options& options) {
  constexpr Index most = 512;
  return options.rings ? std::min(most, config.window.value_or(most)) : most;
}

}  // namespace

std::unique_ptr<attention_block> make_attention_block(weight_reader& weights,
                                                      const std::string& name,
                                                      const model_config& config,
                                                      const cache_config& cache) {
  const bool coded = std::any_of(std::begin(cache_codecs), std::end(cache_codecs),
                                 [&](const cache_codec& c) { return c.name == cache.dtype; });
  return coded           ? make_coded_block(weights, name, config, cache)
         : config.latent ? make_latent_block(weights, name, config, cache)
                         : make_grouped_block(weights, name, config, cache);
}

language_model::language_model(const model_config& config, checkpoint weights,
                               const run_options& options)
    : options_(options),
      chunk_(prefill_chunk(config, options)),
      decoder_(config, std::move(weights), [&](weight_reader& reader, const std::string& name) {
        attention_.push_back(make_attention_block(
            reader, name, config, {options.kv_dtype, options.capacity, chunk_, options.rings}));
      }) {}

footprint language_model::predicted_attention() const {
  footprint sum;
  for (const auto& block : attention_) sum += block->predicted();
  return sum;
}

footprint language_model::measured_attention() const {
  footprint sum;
  for (const auto& block : attention_) sum += block->measured();
  return sum;
}

void language_model::check(std::span<const Index> ids) const {
  decoder_.check(ids);
  if (tokens_ + static_cast<Index>(ids.size()) > options_.capacity)
    throw std::length_error("the sequence exceeds its capacity of " +
                            std::to_string(options_.capacity) + " tokens");
}

Matrix language_model::hidden_states(std::span<const Index> ids, const reporter& report) {
  Matrix x = decoder_.embed(ids), update(x.rows(), x.cols());
  for (Index layer = 0; layer < config().layers; ++layer) {
    (*attention_[static_cast<std::size_t>(layer)])(decoder_.attention_input(layer, x), update,
                                                   options_.executor);
    x += update;
    decoder_.add_mlp(layer, x, options_.executor);
    if (report) report(static_cast<double>(layer + 1) / static_cast<double>(config().layers));
  }
  tokens_ += x.rows();
  return x;
}

Matrix language_model::logits(std::span<const Index> ids) {
  check(ids);
  Matrix all(static_cast<Index>(ids.size()), config().vocabulary);
  for (Index begin = 0; begin < all.rows(); begin += chunk_) {
    const Index count = std::min(chunk_, all.rows() - begin);
    all.middleRows(begin, count) =
        decoder_.logits(hidden_states(ids.subspan(static_cast<std::size_t>(begin),
                                                  static_cast<std::size_t>(count))),
                        options_.executor);
  }
  return all;
}

Eigen::RowVectorXf language_model::next_logits(std::span<const Index> ids, const reporter& report) {
  check(ids);
  if (ids.empty()) throw std::invalid_argument("no token was given, expected at least one");
  Matrix last;
  const auto most = static_cast<std::size_t>(chunk_);
  for (std::size_t begin = 0; begin < ids.size(); begin += most) {
    const auto chunk = ids.subspan(begin, std::min(most, ids.size() - begin));
    const auto of_chunk = [&](double fraction) {
      report((static_cast<double>(begin) + fraction * static_cast<double>(chunk.size())) /
             static_cast<double>(ids.size()));
    };
    last = hidden_states(chunk, report ? reporter(of_chunk) : reporter()).bottomRows(1);
  }
  return decoder_.logits(std::move(last), options_.executor).row(0);
}

void language_model::truncate(Index tokens) {
  for (const auto& block : attention_) block->truncate(tokens);
  tokens_ = tokens;
}

}  // namespace generate
