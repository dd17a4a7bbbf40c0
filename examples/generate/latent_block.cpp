// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include "latent_block.hpp"

namespace generate {

std::unique_ptr<attention_block> make_latent_block(weight_reader& weights, const std::string& name,
                                                   const model_config& config,
                                                   const cache_config& cache) {
  const latent_config& latent = config.latent.value();
  const tensor& first =
      weights.get(name + ".kv_a_proj_with_mqa.weight", {latent.rank + latent.rope, config.hidden});
  return with_scalar(first.dtype, [&]<class Weight>(const Weight*) {
    return with_scalar(
        cache.dtype, [&]<class Cached>(const Cached*) -> std::unique_ptr<attention_block> {
          return std::make_unique<latent_block<Weight, headroom::latent_cache<Cached>>>(
              weights, name, config, latent, cache.capacity);
        });
  });
}

}  // namespace generate
