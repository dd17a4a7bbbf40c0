// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <headroom/cost.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/layer.hpp>

#include "attention_block.hpp"

namespace generate {

namespace {

constexpr int dynamic = Eigen::Dynamic;  // every size comes from config.json

/// Multi-head, grouped-query and multi-query attention: they differ in the number of groups alone.
template <class Weight, class Cached>
class grouped_block : public attention_block {
  using core = headroom::attention<dynamic, dynamic, dynamic, dynamic>;
  using layer = headroom::attention_layer<dynamic, dynamic, dynamic, dynamic, Weight, float>;

 public:
  grouped_block(weight_reader& weights, const std::string& name, const model_config& config,
                Index capacity)
      : shape_{config.hidden, config.heads, config.kv_heads, config.head_dim},
        weights_(read(weights, name, config)),
        layer_(core(config.heads, config.kv_heads, config.head_dim, config.head_dim), weights_,
               {.rotary = headroom::rope(config.head_dim, config.rope)}),
        cache_(capacity, config.kv_heads, config.head_dim),
        // A window as long as the cache hides nothing: one mask, compiled once, serves both cases.
        mask_(headroom::causal{} &
              headroom::sliding_window(config.window.value_or(std::max<Index>(capacity, 1)))) {}

  void operator()(const Matrix& x, Matrix& out, const threads& executor) override {
    layer_(x, cache_, out, mask_, {}, executor);
  }

  void truncate(Index tokens) override { cache_.truncate(tokens); }

  footprint predicted() const override {
    return {shape_.parameters(), shape_.cache_bytes(1, sizeof(Cached))};
  }

  footprint measured() const override {
    return {numbers(weights_.q) + numbers(weights_.k) + numbers(weights_.v) + numbers(weights_.o),
            (bytes(cache_.key_view()) + bytes(cache_.value_view())) / cache_.tokens()};
  }

 private:
  static headroom::attention_weights<Weight> read(weight_reader& weights, const std::string& name,
                                                  const model_config& c) {
    const Index q_width = c.heads * c.head_dim, kv_width = c.kv_heads * c.head_dim;
    const auto matrix = [&](const char* part, Index out, Index in, bool bias) {
      return typed_linear<Weight>(weights, name + part, out, in, bias);
    };
    headroom::attention_weights<Weight> w{.q = matrix(".q_proj", q_width, c.hidden, c.qkv_bias),
                                          .k = matrix(".k_proj", kv_width, c.hidden, c.qkv_bias),
                                          .v = matrix(".v_proj", kv_width, c.hidden, c.qkv_bias),
                                          .o = matrix(".o_proj", c.hidden, q_width, c.output_bias),
                                          .norm_eps = c.norm_eps};
    if (c.qk_norm) {
      w.q_norm = typed_span<Weight>(weights, name + ".q_norm.weight", {c.head_dim});
      w.k_norm = typed_span<Weight>(weights, name + ".k_norm.weight", {c.head_dim});
    }
    return w;
  }

  headroom::attention_shape shape_;
  headroom::attention_weights<Weight> weights_;
  layer layer_;
  headroom::kv_cache<Cached> cache_;
  headroom::both_masks<headroom::causal, headroom::sliding_window> mask_;
};

}  // namespace

std::unique_ptr<attention_block> make_grouped_block(weight_reader& weights, const std::string& name,
                                                    const model_config& config,
                                                    const cache_config& cache) {
  const tensor& first =
      weights.get(name + ".q_proj.weight", {config.heads * config.head_dim, config.hidden});
  return with_scalar(first.dtype, [&]<class Weight>(const Weight*) {
    return with_scalar(cache.dtype,
                       [&]<class Cached>(const Cached*) -> std::unique_ptr<attention_block> {
                         return std::make_unique<grouped_block<Weight, Cached>>(
                             weights, name, config, cache.capacity);
                       });
  });
}

}  // namespace generate
