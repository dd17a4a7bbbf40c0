// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include "model.hpp"

#include <headroom/kv_cache.hpp>
#include <headroom/layer.hpp>

namespace conformance {

namespace {

constexpr int any = Eigen::Dynamic;

/// The attributes of a layer and of the calls on it.
struct layer_spec {
  explicit layer_spec(test_case& c);

  Index sequences, tokens, hidden, Q_heads, KV_groups, dim, first_position = 0;
  std::vector<Index> steps;
  double scale, softcap;
  bool causal;
  std::optional<hr::sliding_window> window;
  std::optional<hr::rope> rotary;
  tensor<float> slopes;
  tensor<std::uint8_t> valid;

  masks masks_of(Index b, Index kv_len) const;
};

layer_spec::layer_spec(test_case& c) {
  attributes& s = c.spec();
  sequences = s.integer("batch");
  tokens = s.integer("seq_len");
  hidden = s.integer("hidden");
  Q_heads = s.integer("num_q_heads");
  KV_groups = s.integer("num_kv_heads");
  dim = s.integer("head_dim");
  steps = s.integers("steps");
  scale = s.number("scale");
  softcap = s.number("softcap");
  causal = s.flag("causal");
  window = window_of(s.integer("window_left"), -1);
  if (s.given("position_offset")) first_position = s.integer("position_offset");
  s.explained_by_others({"window_note", "padded_rows"});
  if (s.given("rope")) {
    rotary = rope_of(s);
    c.check("inv_freq64", rotary->inverse_frequencies());
  }
  if (c.has("key_valid")) valid = c.flags("key_valid", {sequences, tokens});
  if (!s.given("alibi")) return;
  s.group("alibi").one_of("slopes", {"alibi_slopes"});
  s.group("alibi").one_of("slopes_rule", {"standard geometric slopes of the head count"});
  // Ours and a constant of the row, also where padding comes first.
  s.group("alibi").one_of("form", {"slope*index_among_valid_keys"});
  require(causal, "spec.alibi: a form that is ours only under causal");
  slopes = c.numbers<float>("alibi_slopes", {Q_heads});
  c.check("alibi_slopes", hr::alibi_slopes(Q_heads));
}

masks layer_spec::masks_of(Index b, Index kv_len) const {
  masks m;
  if (causal) m.causal.emplace();
  m.window = window;
  if (!valid.data.empty())
    m.padding.emplace(std::span(valid.entry(b), static_cast<std::size_t>(kv_len)));
  if (!slopes.data.empty()) m.alibi.emplace(slopes.data);
  return m;
}

/// The weights as the library wants them: queries, keys and values as three matrices, which may be
/// rows of one.
template <class T>
class layer_weights {
 public:
  layer_weights(test_case& c, const layer_spec& x) : o_(c, "w_o", x.hidden, x.Q_heads * x.dim) {
    attributes& s = c.spec();
    const Index q = x.Q_heads * x.dim, kv = x.KV_groups * x.dim;
    if (s.given("fused_qkv")) {
      weight<T>& fused = projections_.emplace_back(c, "w_qkv", q + 2 * kv, x.hidden);
      if (s.one_of("fused_qkv", {"q|k|v", "per-head (q,k,v)"}) != "q|k|v") {
        heads_last(fused.matrix, x);
        if (!fused.bias.data.empty()) heads_last(fused.bias, x);
      }
      all_.q = fused.rows(0, q);
      all_.k = fused.rows(q, q + kv);
      all_.v = fused.rows(q + kv, q + 2 * kv);
    } else {
      all_.q = projections_.emplace_back(c, "w_q", q, x.hidden);
      all_.k = projections_.emplace_back(c, "w_k", kv, x.hidden);
      all_.v = projections_.emplace_back(c, "w_v", kv, x.hidden);
    }
    all_.o = o_;
    if (s.given("qk_norm")) read_norms(c, x);
  }
  layer_weights(const layer_weights&) = delete;  // all_ refers to the others

  const hr::attention_weights<T>& all() const { return all_; }

 private:
  void read_norms(test_case& c, const layer_spec& x) {
    attributes& norm = c.spec().group("qk_norm");
    const bool each = norm.one_of("over", {"head", "all heads"}) == "head";
    q_gain_ = c.numbers<T>("q_norm", {each ? x.dim : x.dim * x.Q_heads}).data;
    k_gain_ = c.numbers<T>("k_norm", {each ? x.dim : x.dim * x.KV_groups}).data;
    if (norm.flag("unit_offset"))
      for (auto* gain : {&q_gain_, &k_gain_})
        for (T& g : *gain) g += 1;
    all_.q_norm = q_gain_;
    all_.k_norm = k_gain_;
    all_.norm_eps = norm.number("eps");
  }

  /// [heads, 3, dim, ...] -> [3, heads, dim, ...]
  static void heads_last(tensor<T>& rows, const layer_spec& x) {
    const Index block = rows.size() / (3 * x.Q_heads);
    tensor<T> moved = rows;
    for (Index h = 0; h < x.Q_heads; ++h)
      for (Index part = 0; part < 3; ++part)
        std::copy_n(rows.data.data() + (3 * h + part) * block, block,
                    moved.data.data() + (part * x.Q_heads + h) * block);
    rows = moved;
  }

  std::list<weight<T>> projections_;
  weight<T> o_;
  std::vector<T> q_gain_, k_gain_;
  hr::attention_weights<T> all_;
};

template <class T>
using dynamic_layer = hr::attention_layer<any, any, any, any, T, T>;

template <class T>
std::vector<T> keys_of(const std::vector<hr::kv_cache<T>>& caches, bool values = false) {
  std::vector<T> numbers;
  for (const auto& cache : caches) {
    const hr::view<const T> rows = values ? cache.value_view() : cache.key_view();
    for (Index g = 0; g < rows.heads(); ++g)
      for (Index t = 0; t < rows.tokens(); ++t)
        numbers.insert(numbers.end(), rows.row(t, g), rows.row(t, g) + rows.dim());
  }
  return numbers;
}

template <class T>
std::vector<hr::kv_cache<T>> empty_caches(const layer_spec& x, Index heads) {
  std::vector<hr::kv_cache<T>> caches;
  for (Index b = 0; b < x.sequences; ++b) caches.emplace_back(x.tokens, heads, x.dim, x.dim);
  return caches;
}

/// The rows of padding tokens mean nothing; the collection has zeros there.
template <class T>
void clear_padding(const layer_spec& x, std::vector<T>& rows) {
  const auto width = std::ssize(rows) / (x.sequences * x.tokens);
  for (Index i = 0; i < x.valid.size(); ++i)
    if (x.valid[i] == 0) std::fill_n(rows.begin() + i * width, width, T(0));
}

/// All steps through the layer, once with its output projection and once without.
template <class T>
void run_layer(test_case& c, const layer_spec& x) {
  const layer_weights<T> weights(c, x);
  const tensor<T> in = c.numbers<T>("x", {x.sequences, x.tokens, x.hidden});
  hr::layer_options<T> options{.rotary = x.rotary,
                               .scale = unless_default(x.scale, x.dim),
                               .softcap = static_cast<T>(x.softcap)};
  if (c.spec().given("sinks")) {
    c.spec().one_of("sinks", {"sinks"});
    options.sinks = c.numbers<T>("sinks", {x.Q_heads}).data;
  }
  const identity<T> unchanged(x.Q_heads * x.dim);
  for (const bool projected : {true, false}) {
    hr::attention_weights<T> chosen = weights.all();
    if (!projected) chosen.o = unchanged;
    const dynamic_layer<T> layer(attention_of(x.Q_heads, x.KV_groups, x.dim, x.dim), chosen,
                                 options);
    auto caches = empty_caches<T>(x, x.KV_groups);
    std::vector<T> out =
        run_steps(layer, in, caches, x.steps, x.first_position,
                  [&](Index b, Index kv_len) { return x.masks_of(b, kv_len).composed(); });
    clear_padding(x, out);
    c.check(expected<T>(projected ? "out" : "attn"), out);
    if (c.has("k_rot")) c.check("k_rot", keys_of(caches));
    if (c.has("v_heads")) c.check("v_heads", keys_of(caches, true));
  }
}

/// Queries are projected, normalised and rotated as keys are: the keys of a layer whose W_K is this
/// layer's W_Q are its queries.
template <class T>
void check_queries(test_case& c, const layer_spec& x) {
  const layer_weights<T> weights(c, x);
  hr::attention_weights<T> as_keys = weights.all();
  as_keys.k = as_keys.v = as_keys.q;
  as_keys.k_norm = as_keys.q_norm;
  const dynamic_layer<T> layer(attention_of(x.Q_heads, x.Q_heads, x.dim, x.dim), as_keys,
                               {.rotary = x.rotary});
  const tensor<T> in = c.numbers<T>("x", {x.sequences, x.tokens, x.hidden});
  auto caches = empty_caches<T>(x, x.Q_heads);
  for (Index b = 0; b < x.sequences; ++b)
    layer.append(hr::tokens_major(in.entry(b), x.tokens, 1, x.hidden),
                 caches[static_cast<std::size_t>(b)], hr::token_positions(x.first_position));
  c.check("q_rot", keys_of(caches));
}

/// From the reference's rotated queries and keys on.
void run_core(test_case& c, const layer_spec& x) {
  const auto read = [&](const char* name, Index heads) {
    return c.numbers<float>(name, {x.sequences, heads, x.tokens, x.dim});
  };
  const tensor<float> q = read("q_rot", x.Q_heads), k = read("k_rot", x.KV_groups);
  const tensor<float> v = read("v_heads", x.KV_groups);
  hr::attention_options<float> options{.scale = static_cast<float>(x.scale),
                                       .softcap = static_cast<float>(x.softcap)};
  std::vector<float> sinks, out = unwritten<float>(q.size());
  if (c.spec().given("sinks")) options.sinks = sinks = c.numbers<float>("sinks", {x.Q_heads}).data;
  for (Index b = 0; b < x.sequences; ++b)
    attention_of(x.Q_heads, x.KV_groups, x.dim, x.dim)(
        hr::heads_major(q.entry(b), x.tokens, x.Q_heads, x.dim),
        hr::heads_major(k.entry(b), x.tokens, x.KV_groups, x.dim),
        hr::heads_major(v.entry(b), x.tokens, x.KV_groups, x.dim),
        hr::tokens_major(out.data() + b * q.entry_size(), x.tokens, x.Q_heads, x.dim),
        x.masks_of(b, x.tokens).composed(), options);
  c.check("attn", out);
}

}  // namespace

void run_attention_layer(test_case& c) {
  const layer_spec x(c);
  run_layer<float>(c, x);
  run_layer<double>(c, x);
  if (!c.has("q_rot")) return;
  check_queries<float>(c, x);
  if (c.has("v_heads")) run_core(c, x);
}

}  // namespace conformance
