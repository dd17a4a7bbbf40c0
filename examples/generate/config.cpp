// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include "config.hpp"

#include "json_file.hpp"
#include "rope_config.hpp"

namespace generate {

namespace {

/// Llama and the families that differ from it in a bias, a norm or a window.
void read_llama_family(const json_object& file, model_config& config) {
  config.kv_heads = file.size_or("num_key_value_heads", config.heads);
  if (config.heads % config.kv_heads != 0)
    file.fail_value("num_key_value_heads", "which does not divide num_attention_heads");
  if (!file.has("head_dim") && config.model_type != "qwen3" && config.hidden % config.heads != 0)
    file.fail_value("hidden_size", "which num_attention_heads does not divide");
  config.head_dim = config.model_type == "qwen3"
                        ? file.size_or("head_dim", 128)
                        : file.size_or("head_dim", config.hidden / config.heads);
  file.require("partial_rotary_factor", 1.0);
  config.mlp_bias = file.get_or("mlp_bias", false);
  if (config.model_type == "qwen2") {
    config.qkv_bias = true;
  } else {
    config.qkv_bias = config.output_bias = file.get_or("attention_bias", false);
  }
  config.qk_norm = config.model_type == "qwen3";
  if (config.model_type == "mistral") {
    // An absent key means Mistral 7B's window, a null that there is none.
    if (!file.value().contains("sliding_window"))
      config.window = 4096;
    else if (file.has("sliding_window"))
      config.window = file.size("sliding_window");
  } else {
    file.require("use_sliding_window", false);
  }
}

void read_experts(const json_object& file, model_config& config) {
  expert_config e;
  e.experts = file.size("n_routed_experts");
  e.shared = file.size_or("n_shared_experts", 0, 0);
  e.per_token = file.size("num_experts_per_tok");
  e.width = file.size("moe_intermediate_size");
  e.normalise = file.get_or("norm_topk_prob", false);
  e.factor = file.get_or("routed_scaling_factor", 1.0);
  e.first_layer = file.size_or("first_k_dense_replace", 0, 0);
  e.frequency = file.size_or("moe_layer_freq", 1);
  file.require("scoring_func", "softmax");
  const auto method = file.get_or<std::string>("topk_method", "greedy");
  if (method != "greedy" && method != "group_limited_greedy")
    file.fail_value("topk_method", "which is not supported, only greedy and group_limited_greedy");
  const bool limited = method == "group_limited_greedy";
  e.groups = limited ? file.size("n_group") : 1;
  e.kept_groups = limited ? file.size("topk_group") : 1;
  if (e.experts % e.groups != 0)
    file.fail_value("n_group", "which does not divide n_routed_experts");
  if (e.kept_groups > e.groups) file.fail_value("topk_group", "expected at most n_group");
  if (e.per_token > e.experts / e.groups * e.kept_groups)
    file.fail_value("num_experts_per_tok", "more than there are experts to choose from");
  config.experts = e;
}

void read_deepseek(const json_object& file, model_config& config) {
  config.latent = latent_config{.query_rank = file.size_or("q_lora_rank", 0, 0),
                                .rank = file.size("kv_lora_rank"),
                                .nope = file.size("qk_nope_head_dim"),
                                .rope = file.size("qk_rope_head_dim"),
                                .value = file.size("v_head_dim")};
  config.kv_heads = config.heads;
  config.head_dim = config.latent->nope + config.latent->rope;
  file.require("attention_bias", false);
  file.require("mlp_bias", false);
  if (file.has("n_routed_experts")) read_experts(file, config);
}

/// One number, a list of them, or none.
std::vector<Index> read_end_tokens(const json_object& file) {
  const std::string key = "eos_token_id";
  if (!file.has(key)) return {};
  const nlohmann::json& value = file.value()[key];
  const nlohmann::json list = value.is_array() ? value : nlohmann::json::array({value});
  for (const nlohmann::json& id : list)
    if (!id.is_number_integer()) file.fail_value(key, "expected a token id or a list of them");
  return list.get<std::vector<Index>>();
}

}  // namespace

model_config read_config(const std::filesystem::path& directory) {
  if (!std::filesystem::is_directory(directory)) fail(directory.string(), ": no such directory");
  const json_object file = json_object::read(directory / "config.json");
  model_config config{};
  config.model_type = file.get<std::string>("model_type");
  config.vocabulary = file.size("vocab_size");
  config.hidden = file.size("hidden_size");
  config.layers = file.size("num_hidden_layers");
  config.mlp_width = file.size("intermediate_size");
  config.heads = file.size("num_attention_heads");
  config.context = file.size("max_position_embeddings");
  config.norm_eps = file.get_or("rms_norm_eps", 1e-6);
  if (config.norm_eps < 0) file.fail_value("rms_norm_eps", "expected 0 or more");
  config.tied_head = file.get_or("tie_word_embeddings", false);
  config.end_tokens = read_end_tokens(file);
  file.require("hidden_act", "silu");
  if (file.has("quantization_config"))
    file.fail_value("quantization_config", "which is not supported");

  const std::string& type = config.model_type;
  if (type == "deepseek_v2")
    read_deepseek(file, config);
  else if (type == "llama" || type == "mistral" || type == "qwen2" || type == "qwen3")
    read_llama_family(file, config);
  else
    file.fail_value("model_type",
                    "which is not supported, only llama, mistral, qwen2, qwen3 and deepseek_v2");
  read_rope(file, config);
  return config;
}

}  // namespace generate
