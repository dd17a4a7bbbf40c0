// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/cost.hpp>
#include <headroom/latent_cache.hpp>
#include <headroom/mla_layer.hpp>

#include "attention_block.hpp"

namespace generate {

/// Multi-head latent attention with DeepSeek-V2's names.
///
/// \tparam Cache      a latent_cache
/// \tparam RopeCodec  what its rotary keys are stored by
template <class Weight, class Cache, class RopeCodec = typename Cache::ValueCodec>
class latent_block : public attention_block {
  static constexpr int dynamic = Eigen::Dynamic;  // every size comes from config.json
  using core = headroom::mla<dynamic, dynamic, dynamic, dynamic, dynamic>;
  using layer = headroom::mla_layer<dynamic, dynamic, dynamic, dynamic, dynamic, Weight, float>;

 public:
  latent_block(weight_reader& weights, const std::string& name, const model_config& config,
               const latent_config& latent, Index capacity)
      : shape_{.hidden = config.hidden,
               .Q_heads = config.heads,
               .latent_rank = latent.rank,
               .nope_dim = latent.nope,
               .rope_dim = latent.rope,
               .v_dim = latent.value,
               .query_rank = latent.query_rank},
        weights_(read(weights, name, config, latent)),
        layer_(
            core(config.heads, latent.rank, latent.nope, latent.rope, latent.value), weights_,
            {.rotary = headroom::rope(latent.rope, config.rope), .scale = config.latent_scale()}),
        cache_(capacity, latent.rank, latent.rope) {}

  void operator()(const Matrix& x, Matrix& out, const threads& executor) override {
    layer_(x, cache_, out, headroom::causal{}, {}, executor);
  }

  void truncate(Index tokens) override { cache_.truncate(tokens); }

  footprint predicted() const override {
    const auto bytes = [&](Index tokens) {
      return shape_.cache_bytes<typename Cache::ValueCodec, RopeCodec>(tokens);
    };
    return {shape_.parameters(), bytes(1), bytes(cache_.capacity())};
  }

  footprint measured() const override {
    Index parameters = 0;
    for (const auto* matrix : {&weights_.q, &weights_.q_down, &weights_.q_up, &weights_.kv_down,
                               &weights_.kv_up, &weights_.o})
      parameters += numbers(*matrix);
    const Index bytes = row_bytes(cache_.keys(0, 0, 1));
    return {parameters, bytes, bytes * cache_.capacity()};
  }

 private:
  // The norms inside keep the eps of mla_weights, 1e-6, as DeepSeek's code does whatever
  // rms_norm_eps says.
  static headroom::mla_weights<Weight> read(weight_reader& weights, const std::string& name,
                                            const model_config& c, const latent_config& l) {
    const auto matrix = [&](const char* part, Index out, Index in) {
      return typed_linear<Weight>(weights, name + part, out, in);
    };
    const Index q_width = c.heads * (l.nope + l.rope);
    headroom::mla_weights<Weight> w;
    if (l.query_rank > 0) {
      w.q_down = matrix(".q_a_proj", l.query_rank, c.hidden);
      w.q_norm = typed_span<Weight>(weights, name + ".q_a_layernorm.weight", {l.query_rank});
      w.q_up = matrix(".q_b_proj", q_width, l.query_rank);
    } else {
      w.q = matrix(".q_proj", q_width, c.hidden);
    }
    w.kv_down = matrix(".kv_a_proj_with_mqa", l.rank + l.rope, c.hidden);
    w.kv_norm = typed_span<Weight>(weights, name + ".kv_a_layernorm.weight", {l.rank});
    w.kv_up = matrix(".kv_b_proj", c.heads * (l.nope + l.value), l.rank);
    w.o = matrix(".o_proj", c.hidden, c.heads * l.value);
    return w;
  }

  headroom::mla_shape shape_;
  headroom::mla_weights<Weight> weights_;
  layer layer_;
  Cache cache_;
};

}  // namespace generate
