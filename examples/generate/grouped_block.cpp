// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include "grouped_block.hpp"

#include <headroom/kv_cache.hpp>

namespace generate {

std::unique_ptr<attention_block> make_grouped_block(weight_reader& weights, const std::string& name,
                                                    const model_config& config,
                                                    const cache_config& cache) {
  const tensor& first =
      weights.get(name + ".q_proj.weight", {config.heads * config.head_dim, config.hidden});
  return with_scalar(first.dtype, [&]<class Weight>(const Weight*) {
    return with_scalar(cache.dtype,
                       [&]<class Cached>(const Cached*) -> std::unique_ptr<attention_block> {
                         return std::make_unique<grouped_block<Weight, headroom::kv_cache<Cached>>>(
                             weights, name, config, cache.capacity);
                       });
  });
}

}  // namespace generate
