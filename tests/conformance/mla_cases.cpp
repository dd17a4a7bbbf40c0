// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include "model.hpp"

#include <headroom/latent_cache.hpp>
#include <headroom/mla.hpp>
#include <headroom/mla_layer.hpp>

namespace conformance {

namespace {

constexpr int any = Eigen::Dynamic;
using dynamic_mla = hr::mla<any, any, any, any, any>;

/// The attributes of a layer of latent attention and of the calls on it.
struct mla_spec {
  explicit mla_spec(test_case& c);

  Index sequences, tokens, hidden, heads, query_rank, rank, nope, rope, value, first_position;
  std::vector<Index> steps;
  double scale, norm_eps;
  hr::rope rotary;
  masks mask;

  dynamic_mla sizes() const { return {heads, rank, nope, rope, value}; }
};

/// The magnitudes that YaRN adds, from the numbers of the model's configuration.
hr::rope_magnitude magnitude_of(attributes& s) {
  if (!s.flag("yarn")) return {};
  attributes& r = s.group("rope");
  if (r.given("reference_rope_parameters")) {
    attributes& config = r.group("reference_rope_parameters");
    config.explained_by_others(
        {"rope_type", "rope_theta", "beta_fast", "beta_slow", "original_max_position_embeddings"});
    return hr::deepseek_yarn_magnitude(config.number("factor"), config.number("mscale"),
                                       config.number("mscale_all_dim"));
  }
  attributes& scaling = r.group("scaling");
  return hr::deepseek_inference_yarn_magnitude(scaling.number("factor"), scaling.number("mscale"));
}

void require_close(double actual, double stated, const std::string& what) {
  require(std::abs(actual - stated) <= 1e-12, what + " is not what the library makes of the model");
}

mla_spec::mla_spec(test_case& c) : rotary(rope_of(c.spec())) {
  attributes& s = c.spec();
  sequences = s.integer("batch");
  tokens = s.integer("seq_len");
  hidden = s.integer("hidden");
  heads = s.integer("num_heads");
  query_rank = s.integer("q_lora_rank");
  rank = s.integer("kv_lora_rank");
  nope = s.integer("qk_nope_head_dim");
  rope = s.integer("qk_rope_head_dim");
  value = s.integer("v_head_dim");
  first_position = s.integer("position_offset");
  steps = s.integers("steps");
  scale = s.number("softmax_scale");
  norm_eps = s.number("norm_eps");
  if (s.flag("causal")) mask.causal.emplace();
  if (s.given("max_seq_len"))
    require(s.flag("yarn") == (s.integer("max_seq_len") > s.integer("original_seq_len")),
            "spec.yarn: not as DeepSeek turns it on");
  s.explained_by_others({"softmax_scale_formula", "mscale_value", "causal_rule"});
  c.check("inv_freq64", rotary.inverse_frequencies());
  const hr::rope_magnitude magnitude = magnitude_of(s);
  require_close(magnitude.softmax_factor / std::sqrt(static_cast<double>(nope + rope)), scale,
                "spec.softmax_scale");
  require_close(magnitude.amplitude, rotary.amplitude(), "spec.rope.attention_factor");
}

/// The checkpoint's weights; queries are made with or without a rank between.
template <class T>
class mla_layer_weights {
 public:
  mla_layer_weights(test_case& c, const mla_spec& x)
      : kv_down_(c, "w_dkv", x.rank + x.rope, x.hidden),
        kv_up_(c, "w_ukv", x.heads * (x.nope + x.value), x.rank),
        o_(c, "w_o", x.hidden, x.heads * x.value),
        kv_norm_(c.numbers<T>("kv_norm", {x.rank}).data) {
    const Index q = x.heads * (x.nope + x.rope);
    if (x.query_rank > 0) {
      q_norm_ = c.numbers<T>("q_norm", {x.query_rank}).data;
      all_.q_down = queries_.emplace_back(c, "w_dq", x.query_rank, x.hidden);
      all_.q_norm = q_norm_;
      all_.q_up = queries_.emplace_back(c, "w_uq", q, x.query_rank);
    } else {
      all_.q = queries_.emplace_back(c, "w_q", q, x.hidden);
    }
    all_.kv_down = kv_down_;
    all_.kv_norm = kv_norm_;
    all_.kv_up = kv_up_;
    all_.o = o_;
    all_.norm_eps = x.norm_eps;
  }
  mla_layer_weights(const mla_layer_weights&) = delete;  // all_ refers to the others

  const hr::mla_weights<T>& all() const { return all_; }

 private:
  std::list<weight<T>> queries_;
  weight<T> kv_down_, kv_up_, o_;
  std::vector<T> q_norm_, kv_norm_;
  hr::mla_weights<T> all_;
};

/// Compares rotated channels [rows, rope]. A reference may write the first members of all pairs,
/// then the second ones, after reading them side by side.
template <class T>
void check_rotated(test_case& c, const mla_spec& x, const char* name,
                   const std::vector<T>& numbers) {
  attributes& r = c.spec().group("rope");
  r.explained_by_others({"output_layout_note"});
  r.one_of("output_layout", {"same", "half"});
  c.check(name, numbers, difference::order_of_rotated_channels, [&](std::vector<T>& channels) {
    const std::vector<T> pairs = channels;
    const auto width = static_cast<std::size_t>(x.rope);
    for (std::size_t i = 0; i < channels.size(); ++i) {
      const std::size_t k = i % width, half = width / 2;
      channels[i] = pairs[i - k + (k < half ? 2 * k : 2 * (k - half) + 1)];
    }
  });
}

template <class T>
void append_rows(const hr::view<const T>& rows, std::vector<T>& to) {
  for (Index t = 0; t < rows.tokens(); ++t)
    for (Index h = 0; h < rows.heads(); ++h)
      to.insert(to.end(), rows.row(t, h), rows.row(t, h) + rows.dim());
}

template <class T>
void check_caches(test_case& c, const mla_spec& x, const std::vector<hr::latent_cache<T>>& caches) {
  std::vector<T> latents, rope_keys;
  for (const auto& cache : caches) {
    append_rows(cache.latent_view(), latents);
    append_rows(cache.rope_key_view(), rope_keys);
  }
  c.check("ckv", latents);
  check_rotated(c, x, "k_pe", rope_keys);
}

/// All steps through the layer, once with its output projection and once without.
template <class T>
void run_layer(test_case& c, const mla_spec& x) {
  const mla_layer_weights<T> weights(c, x);
  const tensor<T> in = c.numbers<T>("x", {x.sequences, x.tokens, x.hidden});
  const identity<T> unchanged(x.heads * x.value);
  for (const bool projected : {true, false}) {
    hr::mla_weights<T> chosen = weights.all();
    if (!projected) chosen.o = unchanged;
    const hr::mla_layer<any, any, any, any, any, T, T> layer(
        x.sizes(), chosen, {.rotary = x.rotary, .scale = unless_default(x.scale, x.nope + x.rope)});
    std::vector<hr::latent_cache<T>> caches;
    for (Index b = 0; b < x.sequences; ++b) caches.emplace_back(x.tokens, x.rank, x.rope);
    const auto out = run_steps(layer, in, caches, x.steps, x.first_position,
                               [&](Index, Index) { return x.mask.composed(); });
    c.check(expected<T>(projected ? "out" : "attn"), out);
    check_caches(c, x, caches);
  }
}

/// The queries on their way into the core, made of the same parts that the layer is made of.
void check_queries(test_case& c, const mla_spec& x) {
  const mla_layer_weights<float> weights(c, x);
  const tensor<float> in = c.numbers<float>("x", {x.sequences, x.tokens, x.hidden});
  const Index qk = x.nope + x.rope;
  std::vector<float> nope, rope;
  for (Index b = 0; b < x.sequences; ++b) {
    const auto tokens = hr::tokens_major(in.entry(b), x.tokens, 1, x.hidden);
    std::vector<float> made = unwritten<float>(x.tokens * x.heads * qk);
    const auto projected = hr::tokens_major(made.data(), x.tokens, 1, x.heads * qk);
    if (x.query_rank > 0) {
      std::vector<float> low = unwritten<float>(x.tokens * x.query_rank);
      const auto low_rows = hr::tokens_major(low.data(), x.tokens, 1, x.query_rank);
      weights.all().q_down(tokens, low_rows);
      hr::rms_norm(low_rows, weights.all().q_norm, x.norm_eps);
      weights.all().q_up(low_rows, projected);
    } else {
      weights.all().q(tokens, projected);
    }
    const auto q = hr::tokens_major(made.data(), x.tokens, x.heads, qk);
    x.rotary(q.slice_dim(x.nope, qk), x.first_position);
    append_rows(hr::view<const float>(q.slice_dim(0, x.nope)), nope);
    append_rows(hr::view<const float>(q.slice_dim(x.nope, qk)), rope);
  }
  c.check("q_nope", nope);
  check_rotated(c, x, "q_pe", rope);
}

/// The reference's queries, [position-free or absorbed part, rotary part].
tensor<float> joined_queries(test_case& c, const mla_spec& x, const char* name, Index width) {
  return join_last(c.numbers<float>(name, {x.sequences, x.tokens, x.heads, width}),
                   c.numbers<float>("q_pe", {x.sequences, x.tokens, x.heads, x.rope}));
}

hr::latent_cache<float> reference_cache(test_case& c, const mla_spec& x, Index b) {
  const tensor<float> latents = c.numbers<float>("ckv", {x.sequences, x.tokens, x.rank});
  const tensor<float> rope_keys = c.numbers<float>("k_pe", {x.sequences, x.tokens, x.rope});
  hr::latent_cache<float> cache(x.tokens, x.rank, x.rope);
  cache.append(hr::tokens_major(latents.entry(b), x.tokens, 1, x.rank),
               hr::tokens_major(rope_keys.entry(b), x.tokens, 1, x.rope));
  return cache;
}

/// From the reference's queries and latents on: the two forms, and the choice between them.
void run_core(test_case& c, const mla_spec& x) {
  const tensor<float> q = joined_queries(c, x, "q_nope", x.nope);
  const weight<float> up(c, "w_ukv", x.heads * (x.nope + x.value), x.rank);
  const dynamic_mla core = x.sizes();
  enum { expanded, absorbed, cheaper };
  for (const auto form : {expanded, absorbed, cheaper}) {
    std::vector<float> out = unwritten<float>(x.sequences * x.tokens * x.heads * x.value);
    const Index rows = x.tokens * x.heads;
    for (Index b = 0; b < x.sequences; ++b) {
      const auto queries = hr::tokens_major(q.entry(b), x.tokens, x.heads, x.nope + x.rope);
      const auto result =
          hr::tokens_major(out.data() + b * rows * x.value, x.tokens, x.heads, x.value);
      const auto cache = reference_cache(c, x, b);
      const hr::linear<float> w = up;
      const hr::attention_options<float> options{.scale = static_cast<float>(x.scale)};
      if (form == expanded)
        core.expanded(queries, cache, w, result, x.mask.composed(), options);
      else if (form == absorbed)
        core.absorbed(queries, cache, w, result, x.mask.composed(), options);
      else
        core(queries, cache, w, result, x.mask.composed(), options);
    }
    c.check("attn", out);
  }
}

/// From the reference's absorbed queries on: multi-query attention over the latents as they are.
void run_latent_core(test_case& c, const mla_spec& x) {
  const tensor<float> q = joined_queries(c, x, "q_absorbed", x.rank);
  std::vector<float> out = unwritten<float>(x.sequences * x.tokens * x.heads * x.rank);
  for (Index b = 0; b < x.sequences; ++b)
    attention_of(x.heads, 1, x.rank + x.rope, x.rank)(
        hr::tokens_major(q.entry(b), x.tokens, x.heads, x.rank + x.rope), reference_cache(c, x, b),
        hr::tokens_major(out.data() + b * x.tokens * x.heads * x.rank, x.tokens, x.heads, x.rank),
        x.mask.composed(), {.scale = static_cast<float>(x.scale)});
  c.check("o_latent", out);
}

}  // namespace

void run_mla_layer(test_case& c) {
  const mla_spec x(c);
  run_layer<float>(c, x);
  run_layer<double>(c, x);
  check_queries(c, x);
  run_core(c, x);
  if (c.has("q_absorbed")) run_latent_core(c, x);
}

}  // namespace conformance
