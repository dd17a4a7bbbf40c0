// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <headroom/cost.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/layer.hpp>
#include <headroom/ring_cache.hpp>
#include <type_traits>

#include "attention_block.hpp"

namespace generate {

/// Multi-head, grouped-query and multi-query attention: they differ in the number of groups alone.
///
/// \tparam Cache  a kv_cache whose sizes are known at run time, or a cache around one, such as a
///                ring of the model's window
template <class Weight, class Cache>
class grouped_block : public attention_block {
  static constexpr int dynamic = Eigen::Dynamic;  // every size comes from config.json
  using core = headroom::attention<dynamic, dynamic, dynamic, dynamic>;
  using layer = headroom::attention_layer<dynamic, dynamic, dynamic, dynamic, Weight, float>;

 public:
  /// \param room  the cache's tokens, or the shape of a ring
  template <class Room>
  grouped_block(weight_reader& weights, const std::string& name, const model_config& config,
                const Room& room)
      : shape_{config.hidden, config.heads, config.kv_heads, config.head_dim},
        weights_(read(weights, name, config)),
        layer_(core(config.heads, config.kv_heads, config.head_dim, config.head_dim), weights_,
               {.rotary = headroom::rope(config.head_dim, config.rope)}),
        kept_(tokens_in(room)),
        cache_(room, config.kv_heads, config.head_dim),
        // A window as long as the cache hides nothing: one mask, compiled once, serves both cases.
        mask_(headroom::causal{} &
              headroom::sliding_window(config.window.value_or(std::max<Index>(kept_, 1)))) {}

  void operator()(const Matrix& x, Matrix& out, const threads& executor) override {
    layer_(x, cache_, out, mask_, {}, executor);
  }

  void truncate(Index tokens) override { cache_.truncate(tokens); }

  Cache& cache() { return cache_; }

  footprint predicted() const override {
    using Stored = std::remove_cvref_t<decltype(stored())>;
    const auto bytes = [&](Index tokens) {
      return shape_.cache_bytes<typename Stored::KeyCodec, typename Stored::ValueCodec>(tokens);
    };
    return {shape_.parameters(), bytes(1), bytes(kept_)};
  }

  footprint measured() const override {
    const Index bytes =
        cache_.groups() * (row_bytes(stored().keys(0, 0, 1)) + row_bytes(stored().values(0, 0, 1)));
    return {numbers(weights_.q) + numbers(weights_.k) + numbers(weights_.v) + numbers(weights_.o),
            bytes, bytes * cache_.capacity()};
  }

 private:
  static Index tokens_in(Index capacity) { return capacity; }
  static Index tokens_in(const headroom::ring_shape& ring) {
    return headroom::ring_tokens(ring.window, ring.prefix, ring.chunk);
  }

  /// The cache, without what is around it.
  const auto& stored() const {
    if constexpr (headroom::wrapping_cache<Cache>)
      return cache_.stored();
    else
      return cache_;
  }

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
  Index kept_;  // tokens
  Cache cache_;
  headroom::both_masks<headroom::causal, headroom::sliding_window> mask_;
};

}  // namespace generate
