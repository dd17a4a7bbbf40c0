// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/codec.hpp>
#include <headroom/detail/config.hpp>

#include <algorithm>
#include <limits>

// What one attention layer costs, before it runs: parameters, floating-point operations, cache
// numbers, bytes, and the operations done per byte read. All of it is constexpr.
//
// What is counted. A multiplication with its addition is two flops. The projections and the two
// products with keys and values count; norms, biases, rotary embedding and the softmax itself,
// which grow with one dimension less, do not. Parameters are the weight matrices alone. A "number"
// is one stored scalar, whatever its width. For a model, multiply by its layers.

namespace headroom::inline HEADROOM_ISA {

/// Query-key pairs that are visible without a mask: q_len * kv_len.
constexpr Index all_pairs(Index q_len, Index kv_len) {
  return q_len * kv_len;
}

/// Query-key pairs that `causal` leaves visible, the last query seeing every key.
/// With more queries than keys the first q_len - kv_len queries see none.
constexpr Index causal_pairs(Index q_len, Index kv_len) {
  const Index rows = std::min(q_len, kv_len);
  return rows * (kv_len - rows) + rows * (rows + 1) / 2;
}

/// Query-key pairs that `causal` and a sliding window leave visible together.
///
/// \param window  keys a query sees at most, its own position included; at least 1
constexpr Index window_pairs(Index q_len, Index kv_len, Index window) {
  // The query at position p sees min(p + 1, window) keys: its causal share, less the same share of
  // a sequence that starts `window` tokens later.
  return causal_pairs(q_len, kv_len) - causal_pairs(q_len, std::max<Index>(kv_len - window, 0));
}

/// Tokens that a ring_cache holds, whatever the length of the context: window + chunk - 1, for the
/// first query of a chunk sees window - 1 tokens before it, and what is kept of the beginning. Its
/// bytes are cache_bytes of these; on pages it holds less than a chunk and two pages more.
///
/// \param window  keys a query sees at most, its own position included; at least 1
/// \param prefix  first tokens of the context that are kept beside the window
/// \param chunk   most tokens that are appended at once; at least 1
constexpr Index ring_tokens(Index window, Index prefix = 0, Index chunk = 1) {
  return prefix + window + chunk - 1;
}

/// One attention layer in which Q_heads query heads share KV_groups key/value heads: multi-head,
/// grouped-query and multi-query attention, with output projection.
struct attention_shape {
  Index hidden;          ///< width of the layer's input and output
  Index Q_heads;         ///< query heads
  Index KV_groups;       ///< key/value heads; divides Q_heads
  Index qk_dim;          ///< width of a query or key head
  Index v_dim = qk_dim;  ///< width of a value head

  /// Numbers in the Q, K, V and output projections:
  /// hidden * (Q_heads + KV_groups) * (qk_dim + v_dim).
  ///
  /// That is 4 hidden^2 for multi-head attention whose heads fill the hidden width.
  constexpr Index parameters() const { return hidden * (Q_heads + KV_groups) * (qk_dim + v_dim); }

  /// Numbers that a cache keeps per token: KV_groups * (qk_dim + v_dim).
  constexpr Index cache_numbers_per_token() const { return KV_groups * (qk_dim + v_dim); }

  /// Bytes of a cache of `tokens` tokens in a storage scalar of `bytes_per_number` bytes.
  constexpr Index cache_bytes(Index tokens, Index bytes_per_number) const {
    return tokens * cache_numbers_per_token() * bytes_per_number;
  }

  /// The same where keys and values are stored by codecs, such as int8_blocks.
  template <codec KeyCodec, codec ValueCodec = KeyCodec>
  constexpr Index cache_bytes(Index tokens) const {
    return tokens * KV_groups *
           (detail::row_bytes<KeyCodec>(qk_dim) + detail::row_bytes<ValueCodec>(v_dim));
  }

  /// Flops of projecting `tokens` tokens to q, k, v and of the output projection.
  constexpr Index projection_flops(Index tokens) const { return 2 * tokens * parameters(); }

  /// Flops of attention itself: 2 * Q_heads * (qk_dim + v_dim) for each visible query-key pair.
  constexpr Index attention_flops(Index pairs) const {
    return 2 * Q_heads * (qk_dim + v_dim) * pairs;
  }

  /// Flops of the whole layer over a prompt of `tokens` tokens, causal, from an empty cache.
  constexpr Index prefill_flops(Index tokens) const {
    return projection_flops(tokens) + attention_flops(causal_pairs(tokens, tokens));
  }

  /// Flops of the whole layer for one new token that sees `kv_len` tokens, itself included.
  constexpr Index decode_flops(Index kv_len) const {
    return projection_flops(1) + attention_flops(all_pairs(1, kv_len));
  }

  /// Flops of attention per byte read from the cache, when q_len new tokens attend to a long one:
  /// 2 * q_len * heads_per_group / bytes_per_number. Head widths and context cancel.
  constexpr double decode_intensity(Index bytes_per_number, Index q_len = 1) const {
    return static_cast<double>(attention_flops(q_len)) /
           static_cast<double>(cache_bytes(1, bytes_per_number));
  }
};

/// One layer of multi-head latent attention, with output projection.
/// \source DeepSeek-AI 2024 (DeepSeek-V2), arXiv 2405.04434, section 2.1.
struct mla_shape {
  Index hidden;          ///< width of the layer's input and output
  Index Q_heads;         ///< query heads
  Index latent_rank;     ///< width of the cached latent
  Index nope_dim;        ///< width of a head's part without position
  Index rope_dim;        ///< width of a head's rotary part, and of the one rotary key
  Index v_dim;           ///< width of a value head
  Index query_rank = 0;  ///< width of the query's latent; 0 if one matrix makes the queries

  /// Numbers in the weight matrices. With a query rank W_DQ, W_UQ, W_QR replace the one W_Q:
  ///
  ///   W_DQ [query_rank, hidden], W_UQ and W_QR [Q_heads * (nope_dim + rope_dim), query_rank]
  ///   W_DKV and W_KR [latent_rank + rope_dim, hidden]
  ///   W_UK and W_UV [Q_heads * (nope_dim + v_dim), latent_rank],  W_O [hidden, Q_heads * v_dim]
  constexpr Index parameters() const {
    const Index query_width = Q_heads * (nope_dim + rope_dim);
    const Index query = query_rank > 0 ? query_rank * (hidden + query_width) : hidden * query_width;
    return query + (latent_rank + rope_dim) * hidden + Q_heads * (nope_dim + v_dim) * latent_rank +
           hidden * Q_heads * v_dim;
  }

  /// Numbers that a latent cache keeps per token: latent_rank + rope_dim, for all heads together.
  constexpr Index cache_numbers_per_token() const { return latent_rank + rope_dim; }

  /// Numbers per token if the expanded keys and values of every head were kept instead.
  constexpr Index expanded_numbers_per_token() const {
    return Q_heads * (nope_dim + rope_dim + v_dim);
  }

  /// Bytes of a latent cache of `tokens` tokens in a storage scalar of `bytes_per_number` bytes.
  constexpr Index cache_bytes(Index tokens, Index bytes_per_number) const {
    return tokens * cache_numbers_per_token() * bytes_per_number;
  }

  /// The same where latents are stored by a codec and rotary keys by another, each part in whole
  /// elements of both: see joined_codec.
  template <codec LatentCodec, codec RopeCodec>
  constexpr Index cache_bytes(Index tokens) const {
    constexpr Index unit = std::max<Index>(sizeof(typename LatentCodec::Storage),
                                           alignof(typename RopeCodec::Storage));
    return tokens * unit *
           (detail::parts(detail::row_bytes<LatentCodec>(latent_rank), unit) +
            detail::parts(detail::row_bytes<RopeCodec>(rope_dim), unit));
  }

  /// Flops of passing `tokens` tokens through every matrix once. Of these, W_UK and W_UV are spent
  /// either on the new keys and values (expanded) or on the queries and outputs (absorbed): the
  /// same number.
  constexpr Index projection_flops(Index tokens) const { return 2 * tokens * parameters(); }

  /// Flops of W_UK and W_UV for one token: of expanding one cached latent, or of absorbing them
  /// into one query and one output.
  constexpr Index up_projection_flops() const {
    return 2 * latent_rank * Q_heads * (nope_dim + v_dim);
  }

  /// Flops of attention over expanded keys and values, up-projections not counted.
  constexpr Index expanded_flops(Index pairs) const {
    return 2 * Q_heads * (nope_dim + rope_dim + v_dim) * pairs;
  }

  /// Flops of attention over the latents themselves, up-projections not counted.
  constexpr Index absorbed_flops(Index pairs) const {
    return 2 * Q_heads * (2 * latent_rank + rope_dim) * pairs;
  }

  /// Flops of the whole layer over a prompt of `tokens` tokens, causal, from an empty cache, in the
  /// expanded form.
  constexpr Index prefill_flops(Index tokens) const {
    return projection_flops(tokens) + expanded_flops(causal_pairs(tokens, tokens));
  }

  /// Flops of the whole layer for one new token that sees `kv_len` tokens, itself included, in the
  /// absorbed form.
  constexpr Index decode_flops(Index kv_len) const {
    return projection_flops(1) + absorbed_flops(all_pairs(1, kv_len));
  }

  /// Flops of absorbed attention per byte read from the cache, when q_len new tokens attend to a
  /// long one: 2 * q_len * Q_heads * (2 latent_rank + rope_dim) / (bytes of one token).
  constexpr double decode_intensity(Index bytes_per_number, Index q_len = 1) const {
    return static_cast<double>(absorbed_flops(q_len)) /
           static_cast<double>(cache_bytes(1, bytes_per_number));
  }

  /// Whether the expanded form costs fewer flops than the absorbed one, when nothing but the
  /// latents of kv_len tokens is at hand.
  ///
  /// \param pairs  visible query-key pairs, such as all_pairs(q_len, kv_len) or
  ///               causal_pairs(q_len, kv_len)
  constexpr bool expanded_is_cheaper(Index q_len, Index kv_len, Index pairs) const {
    // Both over the 2 flops and the heads that they have in common: longer contexts do not
    // overflow.
    const Index up = latent_rank * (nope_dim + v_dim);
    return (nope_dim + rope_dim + v_dim) * pairs + up * kv_len <
           (2 * latent_rank + rope_dim) * pairs + up * q_len;
  }

  /// Queries above which the expanded form costs fewer flops, every query seeing all kv_len keys:
  ///
  ///   q* = dc (dn + dv) / (2 dc - dn - dv + dc (dn + dv) / kv_len)
  ///
  /// with latent rank dc, nope width dn, value width dv; the number of heads and the rotary width
  /// cancel. Infinite where the expanded form never is cheaper.
  constexpr double crossover(Index kv_len) const {
    const double up = static_cast<double>(latent_rank) * static_cast<double>(nope_dim + v_dim);
    const double per_pair = static_cast<double>(2 * latent_rank - nope_dim - v_dim);
    const double denominator = per_pair + up / static_cast<double>(kv_len);
    return denominator > 0 ? up / denominator : std::numeric_limits<double>::infinity();
  }

  /// The crossover over a context without end: dc (dn + dv) / (2 dc - dn - dv).
  constexpr double long_context_crossover() const {
    return crossover(std::numeric_limits<Index>::max());
  }
};

}  // namespace headroom::inline HEADROOM_ISA
