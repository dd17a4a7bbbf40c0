// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include "padded_batch.hpp"

namespace conformance {

namespace {

/// A mask that is shorter than the keys hides the rest of them.
template <class T>
void lengthen(tensor<T>& mask, Index by, T hidden) {
  const Index width = mask.shape.back(), rows = mask.size() / width;
  std::vector<T> longer;
  for (Index r = 0; r < rows; ++r) {
    longer.insert(longer.end(), mask.data.data() + r * width, mask.data.data() + (r + 1) * width);
    longer.insert(longer.end(), static_cast<std::size_t>(by), hidden);
  }
  mask.shape.back() += by;
  mask.data = longer;
}

/// Sequence b of a tensor that broadcasts, aligned at its last dimension, to [sequences, Q_heads,
/// q_len, kv_len].
template <class T>
hr::view<const T> broadcast(const tensor<T>& mask, const padded_batch& x, Index b) {
  const Index full[4] = {x.sequences, x.Q_heads, x.q_len, x.kv_len};
  Index extent[4] = {1, 1, 1, 1}, stride[4] = {0, 0, 0, 0}, step = 1;
  for (Index i = mask.rank() - 1, d = 3; i >= 0; --i, --d) {
    extent[d] = mask.extent(i);
    if (extent[d] > 1) stride[d] = step;
    require(extent[d] == full[d] || (extent[d] == 1 && d < 3), "mask: does not broadcast");
    step *= extent[d];
  }
  return {mask.data.data() + b * stride[0], x.q_len, extent[1], extent[3], stride[2], stride[1]};
}

}  // namespace

padded_batch::padded_batch(test_case& c) {
  attributes& s = c.spec();
  sequences = s.integer("batch");
  Q_heads = s.integer("num_q_heads");
  KV_groups = s.integer("num_kv_heads");
  qk_dim = s.integer("head_dim_qk");
  v_dim = s.integer("head_dim_v");
  q_len = s.integer("q_len");
  kv_new = s.integer("kv_len_new");
  kv_past = s.integer("kv_len_past");
  kv_len = s.integer("kv_len_total");
  layout = s.one_of("layout", {"B H S D", "B S H D", "B S (H D)"});
  scale = s.number("scale");
  if (s.flag("scale_is_default")) {
    require(!unless_default(*scale, qk_dim), "spec.scale: not the default");
    scale.reset();
  }
  softcap = s.number("softcap");
  causal = s.flag("causal");
  window = window_of(s.integer("window_left"), s.integer("window_right"));
  positions = s.integers("q_offset");
  if (s.given("kv_lens")) kv_lens = s.integers("kv_lens");
  if (s.given("q_lens")) q_lens = s.integers("q_lens");
  require(!c.has("kv_lens") || c.integers("kv_lens", {sequences}).data == kv_lens,
          "spec.kv_lens is not the tensor kv_lens");
  require(kv_len == kv_past + kv_new, "spec.kv_len_total is not the sum of its parts");
  for (const Index rows : q_lens) require(rows <= q_len, "spec.q_lens: more than q_len");
  if (s.given("prob_scale")) factor = s.number("prob_scale");
  if (s.given("qk_output_mode")) score_stage = s.integer("qk_output_mode");
  if (s.given("v_is_last_columns_of_k")) value_is_end_of_key = s.flag("v_is_last_columns_of_k");
  if (s.given("input_dtype")) s.one_of("input_dtype", {"float16", "float32", "float64"});
  if (s.given("softmax_precision"))
    s.one_of("softmax_precision", {"1"});  // float32, as always here
  s.explained_by_others({"q_offset_rule", "fully_masked_rows", "padded_q_rows", "window_note"});
  if (c.has("key_valid")) valid = c.flags("key_valid", {sequences, kv_len});
  if (s.given("mask")) read_mask(c);
  if (s.given("alibi")) read_alibi(c);
}

void padded_batch::read_mask(test_case& c) {
  attributes& mask = c.spec().group("mask");
  mask.one_of("tensor", {"mask"});
  const Index missing = mask.integer("short_by");
  if (mask.one_of("kind", {"bool", "additive"}) == "bool") {
    allowed = c.flags("mask", c.shape_of("mask"));
    lengthen(allowed, missing, std::uint8_t(0));
  } else {
    bias = c.numbers<float>("mask", c.shape_of("mask"));
    lengthen(bias, missing, -std::numeric_limits<float>::infinity());
  }
  require(mask.integer("rank") == (allowed.data.empty() ? bias.rank() : allowed.rank()),
          "spec.mask.rank is not that of the tensor mask");
}

void padded_batch::read_alibi(test_case& c) {
  attributes& s = c.spec();
  attributes& alibi = s.group("alibi");
  alibi.one_of("slopes", {"alibi_slopes"});
  const bool per_sequence = c.shape_of("alibi_slopes").size() == 2;
  slopes = c.numbers<float>("alibi_slopes",
                            per_sequence ? std::vector{sequences, Q_heads} : std::vector{Q_heads});
  if (alibi.given("slopes_rule")) {
    alibi.one_of("slopes_rule", {"standard geometric slopes of the head count"});
    c.check("alibi_slopes", hr::alibi_slopes(Q_heads));
  }
  // The first form differs from ours by a constant of the row, which the softmax does not see.
  const bool shifted =
      alibi.one_of("form", {"slope*(j-(Skv-1))", "-slope*|p-j|"}) != "-slope*|p-j|";
  require(!shifted || (causal && !s.given("lse")),
          "spec.alibi: slope*(j-(Skv-1)) is -slope*|p-j| only under causal, but for lse");
}

masks padded_batch::masks_of(Index b) const {
  masks m;
  if (causal) m.causal.emplace();
  m.window = window;
  if (!kv_lens.empty()) m.length.emplace(kv_lens.at(static_cast<std::size_t>(b)));
  if (!valid.data.empty())
    m.padding.emplace(std::span(valid.entry(b), static_cast<std::size_t>(kv_len)));
  if (!allowed.data.empty()) m.allowed.emplace(broadcast(allowed, *this, b));
  if (!bias.data.empty()) m.bias.emplace(broadcast(bias, *this, b));
  if (!slopes.data.empty())
    m.alibi.emplace(std::span(slopes.rank() == 2 ? slopes.entry(b) : slopes.entry(0),
                              static_cast<std::size_t>(Q_heads)));
  // Without a cache ONNX's causal is top-left, whatever the number of keys.
  if (causal && !window && slopes.data.empty() && kv_past == 0 &&
      positions.at(static_cast<std::size_t>(b)) == 0) {
    m.causal.reset();
    m.top_left.emplace();
  }
  return m;
}

bool padded_batch::shows_key(Index b, Index j) const {
  const auto mask = masks_of(b).composed();
  for (Index t = 0; t < q_rows(b); ++t)
    for (Index h = 0; h < Q_heads; ++h)
      if (hr::sees(mask, {h, t, positions.at(static_cast<std::size_t>(b)) + t, kv_len}, j))
        return true;
  return false;
}

}  // namespace conformance
