// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "npy.hpp"

#include <cmath>
#include <headroom/attention.hpp>
#include <headroom/dense_mask.hpp>
#include <headroom/mask.hpp>
#include <headroom/reference.hpp>
#include <headroom/score_mod.hpp>
#include <limits>
#include <optional>
#include <span>

// What the runners of attention share: masks put together at run time, layouts, and one call that
// goes through the library or through the definition.

namespace conformance {

namespace hr = headroom;

/// A mask that may be absent.
template <hr::attention_mask Mask>
struct if_given : hr::mask_defaults {
  static constexpr bool modifies_scores = Mask::modifies_scores;
  std::optional<Mask> mask;

  if_given(std::optional<Mask> given) : mask(std::move(given)) {}

  hr::key_range keys(const hr::query_row& row) const {
    return mask ? mask->keys(row) : mask_defaults::keys(row);
  }
  bool visible(const hr::query_row& row, Index key) const {
    return !mask || mask->visible(row, key);
  }
  template <class Score>
  Score modify(Score score, const hr::query_row& row, Index key) const {
    return mask ? mask->modify(score, row, key) : score;
  }
  void check(const hr::mask_shape& shape) const {
    if (mask) mask->check(shape);
  }
};

/// The masks of one sequence; together they are one mask, composed with the library's &.
struct masks {
  std::optional<hr::causal> causal = {};
  std::optional<hr::causal_top_left> top_left = {};
  std::optional<hr::sliding_window> window = {};
  std::optional<hr::key_length> length = {};
  std::optional<hr::key_padding<std::uint8_t>> padding = {};
  std::optional<hr::dense_mask<std::uint8_t>> allowed = {};
  std::optional<hr::dense_bias<float>> bias = {};
  std::optional<hr::alibi> alibi = {};

  auto composed() const {
    return if_given(causal) & if_given(top_left) & if_given(window) & if_given(length) &
           if_given(padding) & if_given(allowed) & if_given(bias) & if_given(alibi);
  }
  bool only_ranges() const { return !length && !padding && !allowed && !bias && !alibi; }
};

/// Windows as the collection states them: keys beside the own one, -1 for no bound.
inline std::optional<hr::sliding_window> window_of(Index left, Index right) {
  if (left < 0 && right < 0) return {};
  constexpr Index unlimited = hr::sliding_window::unlimited;
  return hr::sliding_window(left < 0 ? unlimited : left + 1, right < 0 ? unlimited : right);
}

/// A dense [tokens, heads, dim] or, with heads_first, [heads, tokens, dim] buffer, in place.
template <class T>
hr::view<T> in_place(T* data, bool heads_first, Index tokens, Index heads, Index dim) {
  return heads_first ? hr::heads_major(data, tokens, heads, dim)
                     : hr::tokens_major(data, tokens, heads, dim);
}

/// The scale, if it is not the one that goes without saying.
inline std::optional<double> unless_default(double scale, Index qk_dim) {
  const double otherwise = 1 / std::sqrt(static_cast<double>(qk_dim));
  return std::abs(scale - otherwise) < 1e-15 ? std::nullopt : std::optional(scale);
}

/// Room for results; what is not written stays NaN and agrees with nothing.
template <class T>
std::vector<T> unwritten(Index size) {
  return std::vector<T>(static_cast<std::size_t>(size), std::numeric_limits<T>::quiet_NaN());
}

template <class T>
void fill_rows(const hr::view<T>& rows, T number) {
  for (Index t = 0; t < rows.tokens(); ++t)
    for (Index h = 0; h < rows.heads(); ++h)
      std::fill(rows.row(t, h), rows.row(t, h) + rows.dim(), number);
}

/// The attention of these sizes, each of them known at run time only.
inline hr::attention<Eigen::Dynamic, Eigen::Dynamic> attention_of(Index Q_heads, Index KV_groups,
                                                                  Index qk_dim, Index v_dim) {
  return {Q_heads, KV_groups, qk_dim, v_dim};
}

/// The same call through the definition, with keys and values of any source.
template <class T, hr::kv_source Source, hr::attention_mask Mask>
void define(hr::view<const T> q, const Source& source, hr::view<T> out, const Mask& mask,
            const hr::attention_options<T>& options, const hr::reference_scores<T>& scores = {}) {
  const Index kv_len = source.tokens(), groups = source.groups();
  std::vector<T> keys = unwritten<T>(kv_len * groups * source.qk_dim());
  std::vector<T> values = unwritten<T>(kv_len * groups * source.v_dim());
  const auto k = hr::tokens_major(keys.data(), kv_len, groups, source.qk_dim());
  const auto v = hr::tokens_major(values.data(), kv_len, groups, source.v_dim());
  for (Index g = 0; g < groups; ++g)
    for (Index j = 0; j < kv_len; ++j) {
      Source::KeyCodec::decode(source.keys(g, j, j + 1).rows, k.row(j, g), k.dim());
      Source::ValueCodec::decode(source.values(g, j, j + 1).rows, v.row(j, g), v.dim());
    }
  hr::reference_attention(q, hr::view<const T>(k), hr::view<const T>(v), out, mask, options,
                          scores);
}

}  // namespace conformance
