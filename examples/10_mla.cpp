// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Multi-head latent attention, DeepSeek's: instead of keys and values a token leaves a short latent
// c, from which every head makes its own, and one rotary key k_pe for all heads.
//
//   k_h = [W_UK[h] c, k_pe],   v_h = W_UV[h] c
//
// Expanded, they are made, and attention is multi-head. Absorbed, W_UK moves over to the query and
// W_UV to the result, and attention is multi-query, over the latents as they lie in the cache.
#include <headroom/attention.hpp>
#include <headroom/cost.hpp>
#include <headroom/latent_cache.hpp>
#include <headroom/linear.hpp>
#include <headroom/mla.hpp>

#include "ladder.hpp"

constexpr Index Q_heads = 4, rank = 48, nope = 16, rope = 8, value = 16;
constexpr Index q_len = 9, kv_len = 150;

// Every head's key and value of every token, in memory: what the latents save.
Matrix by_hand(const Matrix& q, const Matrix& c, const Matrix& k_pe,
               const headroom::linear<float>& up) {
  Matrix made(kv_len, Q_heads * (nope + value)), out(q_len, Q_heads * value);
  up(c, made);
  Matrix k(kv_len, Q_heads * (nope + rope)), v(kv_len, Q_heads * value);
  for (Index h = 0; h < Q_heads; ++h) {
    k.middleCols(h * (nope + rope), nope) = made.middleCols(h * (nope + value), nope);
    k.middleCols(h * (nope + rope) + nope, rope) = k_pe;
    v.middleCols(h * value, value) = made.middleCols(h * (nope + value) + nope, value);
  }
  headroom::mha<Q_heads, nope + rope, value>()(q, k, v, out, headroom::causal{});
  return out;
}

int main() {
  const Matrix q = Matrix::Random(q_len, Q_heads * (nope + rope));
  const Matrix c = Matrix::Random(kv_len, rank), k_pe = Matrix::Random(kv_len, rope);
  const Matrix up_matrix = Matrix::Random(Q_heads * (nope + value), rank) / 4;  // W_UK and W_UV
  const headroom::linear up(up_matrix);

  headroom::latent_cache<float, rank, rope> cache(kv_len);
  cache.append(c, k_pe);
  const headroom::mla<Q_heads, rank, nope, rope, value> attend;
  Matrix expanded(q_len, Q_heads * value), absorbed = expanded, chosen = expanded;
  attend.expanded(q, cache, up, expanded, headroom::causal{});
  attend.absorbed(q, cache, up, absorbed, headroom::causal{});
  attend(q, cache, up, chosen, headroom::causal{});  // whichever costs fewer flops
  const Matrix expected = by_hand(q, c, k_pe, up);
  bool holds = agree("expanded, and multi-head attention by hand", expanded, expected);
  holds &= agree("absorbed, and multi-head attention by hand", absorbed, expected);
  holds &= agree("the form that is chosen", chosen, expected);

  // The attention of DeepSeek-V2-Lite, beside the multi-head attention that it stands for.
  constexpr headroom::mla_shape latent{.hidden = 2048,
                                       .Q_heads = 16,
                                       .latent_rank = 512,
                                       .nope_dim = 128,
                                       .rope_dim = 64,
                                       .v_dim = 128};
  constexpr headroom::attention_shape multi_head{
      .hidden = 2048, .Q_heads = 16, .KV_groups = 16, .qk_dim = 192, .v_dim = 128};
  constexpr Index tokens = 4096, bytes = 2;
  static_assert(latent.cache_numbers_per_token() == 512 + 64);
  static_assert(latent.cache_bytes(tokens, bytes) * 8 < multi_head.cache_bytes(tokens, bytes));
  const auto mib = [](Index size) { return static_cast<double>(size) / (1 << 20); };
  std::printf("DeepSeek-V2-Lite, a layer, %td tokens: %.1f MiB of latents, else %.1f MiB\n", tokens,
              mib(latent.cache_bytes(tokens, bytes)), mib(multi_head.cache_bytes(tokens, bytes)));
  std::printf("absorbed is cheaper up to %.0f queries\n", latent.crossover(tokens));
  return verdict(holds && latent.expanded_is_cheaper(tokens, tokens, tokens * tokens) &&
                 !latent.expanded_is_cheaper(1, tokens, tokens));
}
