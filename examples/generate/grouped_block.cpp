// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include "grouped_block.hpp"

#include <headroom/kv_cache.hpp>
#include <headroom/ring_cache.hpp>
#include <optional>

namespace generate {

namespace {

/// The ring that keeps less than all tokens, if there is one.
std::optional<headroom::ring_shape> ring_for(const model_config& config,
                                             const cache_config& cache) {
  if (!cache.ring || !config.window ||
      headroom::ring_tokens(*config.window, 0, cache.chunk) >= cache.capacity)
    return std::nullopt;
  return headroom::ring_shape{.window = *config.window, .chunk = cache.chunk};
}

}  // namespace

std::unique_ptr<attention_block> make_grouped_block(weight_reader& weights, const std::string& name,
                                                    const model_config& config,
                                                    const cache_config& cache) {
  const tensor& first =
      weights.get(name + ".q_proj.weight", {config.heads * config.head_dim, config.hidden});
  const auto ring = ring_for(config, cache);
  return with_scalar(first.dtype, [&]<class Weight>(const Weight*) {
    return with_scalar(
        cache.dtype, [&]<class Cached>(const Cached*) -> std::unique_ptr<attention_block> {
          using Tokens = headroom::kv_cache<Cached>;
          if (ring)
            return std::make_unique<grouped_block<Weight, headroom::ring_cache<Tokens>>>(
                weights, name, config, *ring);
          return std::make_unique<grouped_block<Weight, Tokens>>(weights, name, config,
                                                                 cache.capacity);
        });
  });
}

}  // namespace generate
