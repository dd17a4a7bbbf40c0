// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "case.hpp"
#include "core.hpp"

namespace conformance {

/// A batch of padded sequences and everything that is said about it.
struct padded_batch {
  explicit padded_batch(test_case& c);

  Index sequences, Q_heads, KV_groups, qk_dim, v_dim, q_len, kv_new, kv_past, kv_len;
  std::string layout;
  std::optional<double> scale;
  double softcap, factor = 1;
  bool causal, value_is_end_of_key = false;
  std::optional<Index> score_stage;
  std::optional<hr::sliding_window> window;
  std::vector<Index> positions, kv_lens, q_lens;
  tensor<std::uint8_t> valid, allowed;
  tensor<float> bias, slopes;

  bool heads_first() const { return layout == "B H S D"; }
  std::vector<Index> shape(Index tokens, Index heads, Index dim) const {
    if (heads_first()) return {sequences, heads, tokens, dim};
    if (layout == "B S H D") return {sequences, tokens, heads, dim};
    return {sequences, tokens, heads * dim};
  }
  /// The masks of sequence b.
  masks masks_of(Index b) const;
  /// Where its first query stands, if not where it stands by default.
  std::optional<Index> first_position(Index b) const {
    const Index p = positions.at(static_cast<std::size_t>(b));
    return p == kv_len - q_rows(b) || masks_of(b).top_left ? std::nullopt : std::optional(p);
  }
  Index q_rows(Index b) const {
    return q_lens.empty() ? q_len : q_lens.at(static_cast<std::size_t>(b));
  }
  /// Whether any query of sequence b sees key j.
  bool shows_key(Index b, Index j) const;

 private:
  void read_mask(test_case& c);
  void read_alibi(test_case& c);
};

}  // namespace conformance
