// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include "fewer_heads.hpp"

#include <headroom/convert.hpp>
#include <string>

namespace generate {

namespace {

Matrix to_float_matrix(const tensor& t) {
  Matrix m(t.shape.at(0), t.shape.at(1));
  for (Index row = 0; row < m.rows(); ++row) m.row(row) = to_float(t, row * m.cols(), m.cols());
  return m;
}

/// `convert(projection, layer)` makes a key or value projection with fewer heads.
template <class Convert>
converted_model convert_layers(const model_config& config, const checkpoint& weights, Index groups,
                               const Convert& convert) {
  if (config.latent || config.qkv_bias || config.qk_norm)
    fail(weights.where(), ": only models with plain key and value projections can be converted");
  converted_model result{config, weights};
  result.config.kv_heads = groups;
  for (Index layer = 0; layer < config.layers; ++layer) {
    const std::string attention = "model.layers." + std::to_string(layer) + ".self_attn.";
    for (const char* name : {"q_proj", "k_proj", "v_proj", "o_proj"}) {
      const std::string key = attention + name + ".weight";
      const Matrix projection = to_float_matrix(weights.at(key));
      const bool has_kv_heads = *name == 'k' || *name == 'v';
      result.weights.replace(key, has_kv_heads ? Matrix(convert(projection, layer)) : projection);
    }
  }
  return result;
}

}  // namespace

converted_model pool_heads(const model_config& config, const checkpoint& weights, Index groups) {
  return convert_layers(config, weights, groups, [&](const Matrix& projection, Index) {
    return headroom::mean_pool_heads(projection, config.kv_heads, groups);
  });
}

converted_model keep_heads(const model_config& config, const checkpoint& weights,
                           const std::vector<std::vector<Index>>& sources) {
  if (static_cast<Index>(sources.size()) != config.layers)
    fail(weights.where(), ": heads to keep are given for ", sources.size(),
         " layers, expected num_hidden_layers = ", config.layers);
  const auto groups = static_cast<Index>(sources.front().size());
  return convert_layers(config, weights, groups, [&](const Matrix& projection, Index layer) {
    return headroom::select_heads(projection, config.kv_heads,
                                  std::span<const Index>(sources[static_cast<std::size_t>(layer)]));
  });
}

}  // namespace generate
