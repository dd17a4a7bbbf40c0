// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "checkpoint.hpp"
#include "config.hpp"

namespace generate {

/// A model that was made from another one in memory.
struct converted_model {
  model_config config;
  checkpoint weights;
};

/// Grouped-query attention from a trained multi-head model: the key and value heads of each group
/// become their mean. Attention's weights are float32 afterwards, so that the mean is not rounded
/// to the checkpoint's scalar.
///
/// \throws model_error if the model has latent attention, or biases or norms of keys
converted_model pool_heads(const model_config& config, const checkpoint& weights, Index groups);

/// The same, each group keeping one head as it is.
///
/// \param sources  [layers][groups], the heads to keep
converted_model keep_heads(const model_config& config, const checkpoint& weights,
                           const std::vector<std::vector<Index>>& sources);

}  // namespace generate
