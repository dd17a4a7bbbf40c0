// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/view.hpp>

#include <optional>
#include <span>

namespace headroom::inline HEADROOM_ISA {

/// Everything about one attention call that is neither data nor mask. Written in braces at the
/// call: `gqa(q, k, v, out, causal{}, {.softcap = 50.f, .lse = lse})`.
///
/// \tparam Scalar  the output's scalar, float or double; also what is computed in
template <class Scalar>
struct attention_options {
  /// Factor on q.k before the softmax, any finite number; 1 / sqrt(qk_dim) if not given.
  std::optional<Scalar> scale = std::nullopt;

  /// Scores become softcap * tanh(score / softcap), before bias and mask; 0 turns it off.
  Scalar softcap = Scalar(0);

  /// One learnt logit per query head, [Q_heads], or empty; referred to, not copied. It joins the
  /// softmax's denominator only, is compared with the scaled score, and is itself neither scaled
  /// nor capped.
  std::span<const Scalar> sinks = {};

  /// Receives log(sum_j exp(score_j)) of every row, [q_len, Q_heads], natural logarithm, sinks
  /// excluded; minus infinity for a row that sees no key. Of this size before the call; absent by
  /// default.
  token_head_view<Scalar> lse = {};

  /// Position of q's first row among the keys, for causal, windows and ALiBi; kv_len - q_len if
  /// not given, which is right for self-attention over a cache. May be negative; at most
  /// sliding_window::unlimited from 0, so that masks can add to it.
  std::optional<Index> first_position = std::nullopt;
};

}  // namespace headroom::inline HEADROOM_ISA
