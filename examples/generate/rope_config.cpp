// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include "rope_config.hpp"

namespace generate {

namespace {

/// Where the magnitude of a YaRN model goes depends on its family. DeepSeek puts a ratio on cos and
/// sin, usually 1, and the rest on the softmax scale; the others put all of it on cos and sin.
headroom::rope_magnitude yarn_magnitude(const json_object& scaling, bool deepseek) {
  const double factor = scaling.get<double>("factor");
  const double mscale = scaling.get_or("mscale", 0.0);
  const double all = scaling.get_or("mscale_all_dim", 0.0);
  if (deepseek) return headroom::deepseek_yarn_magnitude(factor, mscale, all);
  if (scaling.has("attention_factor")) return {scaling.get<double>("attention_factor"), 1};
  if (mscale != 0 && all != 0)
    return {headroom::yarn_mscale(factor, mscale) / headroom::yarn_mscale(factor, all), 1};
  return headroom::yarn_magnitude(factor);
}

headroom::rope_scaling read_scaling(const std::string& type, const json_object& scaling,
                                    Index context) {
  const auto factor = [&] { return scaling.get<double>("factor"); };
  if (type == "default") return headroom::unscaled_rope{};
  if (type == "linear") return headroom::linear_scaling{factor()};
  if (type == "yarn")
    return headroom::yarn_scaling{
        .factor = factor(),
        .original_length = scaling.size_or("original_max_position_embeddings", context),
        .beta_fast = scaling.get_or("beta_fast", 32.0),
        .beta_slow = scaling.get_or("beta_slow", 1.0),
        .truncate = scaling.get_or("truncate", true)};
  if (type == "llama3")
    return headroom::llama3_scaling{
        .factor = factor(),
        .original_length = scaling.size("original_max_position_embeddings"),
        .low_freq_factor = scaling.get<double>("low_freq_factor"),
        .high_freq_factor = scaling.get<double>("high_freq_factor")};
  fail(scaling.where(), ": rope_type is \"", type,
       "\", which is not supported, only default, linear, yarn and llama3");
}

}  // namespace

void read_rope(const json_object& file, model_config& config) {
  const bool deepseek = config.latent.has_value();
  config.rope.pairing =
      deepseek ? headroom::rope_pairing::interleaved : headroom::rope_pairing::half;
  config.rope.base = file.get_or("rope_theta", 10000.0);
  const char* const key = file.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
  if (file.has(key)) {
    const json_object scaling = file.object(key);
    config.rope.base = scaling.get_or("rope_theta", config.rope.base);
    const std::string old_key = scaling.get_or<std::string>("type", "default");
    const auto type = scaling.get_or("rope_type", old_key);
    config.rope.scaling = read_scaling(type, scaling, config.context);
    if (type == "yarn") {
      const headroom::rope_magnitude magnitude = yarn_magnitude(scaling, deepseek);
      config.rope.amplitude = magnitude.amplitude;
      config.softmax_factor = magnitude.softmax_factor;
    }
  }
  constexpr Index widest = 1 << 16;  // no model comes near, and a table of frequencies is made
  if (config.rotary_dim() > widest)
    fail(file.where(), ": RoPE turns ", config.rotary_dim(),
         " numbers of a head, expected at most ", widest);
  try {
    headroom::rope(config.rotary_dim(), config.rope);
  } catch (const std::invalid_argument& wrong) {
    fail(file.where(), ": ", wrong.what());
  }
}

}  // namespace generate
