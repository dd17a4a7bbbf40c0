// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "case.hpp"
#include "core.hpp"

#include <headroom/cached_layer.hpp>
#include <headroom/linear.hpp>
#include <headroom/rope.hpp>

// What the runners of rotary embeddings and of layers share.

namespace conformance {

inline hr::rope_scaling scaling_of(attributes& scaling) {
  const std::string type = scaling.one_of("type", {"none", "linear", "llama3", "yarn"});
  if (type == "none") return hr::unscaled_rope{};
  const double factor = scaling.number("factor");
  if (type == "linear") return hr::linear_scaling{factor};
  const Index length = scaling.integer("original_len");
  if (type == "llama3")
    return hr::llama3_scaling{factor, length, scaling.number("low_freq_factor"),
                              scaling.number("high_freq_factor")};
  // Not to clamp makes no difference in these cases: their frequencies are checked.
  scaling.explained_by_others({"clamp"});
  return hr::yarn_scaling{factor, length, scaling.number("beta_fast"), scaling.number("beta_slow"),
                          scaling.flag("round")};
}

/// The rotation that spec.rope describes.
inline hr::rope rope_of(attributes& spec) {
  attributes& r = spec.group("rope");
  const bool half = r.one_of("style", {"half", "interleaved"}) == "half";
  r.explained_by_others({"reference_rope_parameters"});
  return hr::rope(r.integer("rotary_dim"),
                  {.base = r.number("theta"),
                   .pairing = half ? hr::rope_pairing::half : hr::rope_pairing::interleaved,
                   .scaling = scaling_of(r.group("scaling")),
                   .amplitude = r.number("attention_factor")});
}

/// A weight of a layer, [out_features, in_features], with its bias where there is one.
template <class T>
struct weight {
  tensor<T> matrix, bias;

  weight(test_case& c, const std::string& name, Index out_features, Index in_features)
      : matrix(c.numbers<T>(name, {out_features, in_features})) {
    if (c.has(name + "_bias")) bias = c.numbers<T>(name + "_bias", {out_features});
  }

  hr::linear<T> rows(Index begin, Index end) const {
    return {matrix.entry(begin), end - begin, matrix.extent(1),
            bias.data.empty() ? nullptr : bias.data.data() + begin};
  }
  operator hr::linear<T>() const { return rows(0, matrix.extent(0)); }
};

/// The identity as an output projection: what is projected comes out as it is.
template <class T>
struct identity {
  Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> matrix;

  explicit identity(Index width) { matrix.setIdentity(width, width); }
  operator hr::linear<T>() const { return hr::linear<T>(matrix); }
};

/// Runs a layer over x [sequences, tokens, hidden] in steps of these lengths, each a call on one
/// cache per sequence: a plain call for one sequence, a batch for several. mask_of(b, kv_len)
/// returns the mask of sequence b once its cache holds kv_len tokens.
template <class T, class Layer, class Cache, class MaskOf>
std::vector<T> run_steps(const Layer& layer, const tensor<T>& x, std::vector<Cache>& caches,
                         const std::vector<Index>& steps, Index first_position,
                         const MaskOf& mask_of) {
  using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Index sequences = x.extent(0), tokens = x.extent(1), hidden = x.extent(2);
  const Index width = layer.output().out_features();
  const Eigen::Map<const Matrix> in(x.data.data(), sequences * tokens, hidden);
  std::vector<T> result = unwritten<T>(sequences * tokens * width);
  Eigen::Map<Matrix> out(result.data(), sequences * tokens, width);
  Index kv_len = 0;
  for (const Index count : steps) {
    const Index done = kv_len;
    kv_len += count;
    std::optional<hr::token_positions> positions;
    if (first_position != 0) positions.emplace(first_position + done);
    if (sequences == 1) {
      layer(in.middleRows(done, count), caches[0], out.middleRows(done, count), mask_of(0, kv_len),
            positions);
      continue;
    }
    Matrix packed(sequences * count, hidden), packed_out(sequences * count, width);
    std::vector<hr::layer_sequence<Cache>> batch;
    for (Index b = 0; b < sequences; ++b) {
      packed.middleRows(b * count, count) = in.middleRows(b * tokens + done, count);
      batch.push_back({count, &caches[static_cast<std::size_t>(b)], positions});
    }
    layer.batch(packed, std::span<const hr::layer_sequence<Cache>>(batch), packed_out,
                [&](Index b) { return mask_of(b, kv_len); });
    for (Index b = 0; b < sequences; ++b)
      out.middleRows(b * tokens + done, count) = packed_out.middleRows(b * count, count);
  }
  return result;
}

}  // namespace conformance
