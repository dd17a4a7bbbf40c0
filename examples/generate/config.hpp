// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <filesystem>
#include <headroom/rope.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tensor.hpp"

namespace generate {

/// Multi-head latent attention, as DeepSeek-V2 has it.
struct latent_config {
  Index query_rank;  ///< 0: one matrix makes the queries
  Index rank;
  Index nope, rope, value;  ///< widths of a head
};

/// Mixture of experts, as DeepSeek-V2 has it.
struct expert_config {
  Index experts;    ///< that are routed to
  Index shared;     ///< that every token passes, merged into one; may be 0
  Index per_token;  ///< routed experts of a token
  Index width;      ///< inner width of one expert
  Index groups;     ///< runs of experts, of which a token may use kept_groups; 1: no limit
  Index kept_groups;
  bool normalise;  ///< weights of the chosen experts sum to one; else they are times factor
  double factor;
  Index first_layer;  ///< layers before it are dense,
  Index frequency;    ///< and so are those that are no multiple of this
};

/// What this program needs of a config.json in the Hugging Face layout.
struct model_config {
  std::string model_type;
  Index vocabulary, hidden, layers, mlp_width;
  Index heads, kv_heads, head_dim;  ///< kv_heads and head_dim are of no meaning where latent is set
  Index context;                    ///< tokens that the model was trained for
  double norm_eps;
  bool tied_head;            ///< the embedding is the output matrix too
  bool qkv_bias = false;     ///< of the query, key and value projections
  bool output_bias = false;  ///< of the attention's output projection
  bool mlp_bias = false;
  bool qk_norm = false;         ///< an RMSNorm over each query and key head
  std::optional<Index> window;  ///< tokens a query sees, its own included
  headroom::rope_options rope;
  double softmax_factor = 1;  ///< on 1 / sqrt(qk_dim)
  std::optional<latent_config> latent;
  std::optional<expert_config> experts;
  std::vector<Index> end_tokens;  ///< generation stops at any of them

  /// Width of the part of a head that RoPE turns.
  Index rotary_dim() const { return latent ? latent->rope : head_dim; }

  /// Factor on q.k of latent attention.
  float latent_scale() const {
    return static_cast<float>(softmax_factor /
                              std::sqrt(static_cast<double>(latent->nope + latent->rope)));
  }

  /// Whether layer number `layer` has experts in place of one MLP.
  bool has_experts(Index layer) const {
    return experts && layer >= experts->first_layer && layer % experts->frequency == 0;
  }
};

/// Reads `directory`/config.json. Families: llama, mistral, qwen2, qwen3 and deepseek_v2.
///
/// \throws model_error naming key and value of what is missing, wrong or not supported
model_config read_config(const std::filesystem::path& directory);

}  // namespace generate
