// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Costs that are known from elsewhere, as compile-time facts.
#include <headroom/cost.hpp>

namespace {

using headroom::attention_shape;
using headroom::mla_shape;

// Hidden width 256 and 8 heads of 32, with 8, 4 and 1 key/value heads: 1 : 0.75 : 0.5625.
constexpr attention_shape mha{.hidden = 256, .Q_heads = 8, .KV_groups = 8, .qk_dim = 32};
constexpr attention_shape gqa{.hidden = 256, .Q_heads = 8, .KV_groups = 4, .qk_dim = 32};
constexpr attention_shape mqa{.hidden = 256, .Q_heads = 8, .KV_groups = 1, .qk_dim = 32};
static_assert(mha.parameters() == 4 * 256 * 256);
static_assert(mha.parameters() == 262144);
static_assert(gqa.parameters() * 4 == mha.parameters() * 3);
static_assert(mqa.parameters() * 16 == mha.parameters() * 9);

// The same width as MLA, 0.42 of MHA: keys and values are compressed to 64 and so are the queries;
// each of the three "up" matrices W_UQ, W_UK, W_UV is 64 -> 128, which is 16 channels for each of
// the 8 heads; each query head has 26 rotary channels, made from the query's latent, and all heads
// share one rotary key of 26, made from the input; W_O reads the 128 value channels.
//   W_DQ, W_DKV 2 * 256 * 64 + W_UQ, W_UK, W_UV 3 * 64 * 128 + W_QR 64 * 8 * 26 + W_KR 256 * 26
//   + W_O 128 * 256 = 110,080. Norm gains are not counted.
constexpr mla_shape mla{.hidden = 256,
                        .Q_heads = 8,
                        .latent_rank = 64,
                        .nope_dim = 16,
                        .rope_dim = 26,
                        .v_dim = 16,
                        .query_rank = 64};
static_assert(mla.parameters() == 110080);
static_assert(mla.parameters() == 2 * 256 * 64 + 3 * 64 * 128 + 64 * 8 * 26 + 256 * 26 + 128 * 256);

// Llama 3 8B: 8 groups of 128 keep 4 KiB a token and layer in 16 bits, a quarter of MHA's; each
// byte read in decode feeds 2 * 4 / 2 flops.
constexpr attention_shape llama3{.hidden = 4096, .Q_heads = 32, .KV_groups = 8, .qk_dim = 128};
static_assert(llama3.parameters() == 2 * 4096 * 4096 + 2 * 4096 * 1024);
static_assert(llama3.cache_numbers_per_token() == 2048);
static_assert(llama3.cache_bytes(8192, 2) == 8192 * 4096);
static_assert(llama3.decode_intensity(2) == 4);
static_assert(llama3.attention_flops(1) == 4 * 32 * 128);

// The same in a ring of 4096 tokens: 16 MiB, however long the context. A chunk of 512 needs 511
// tokens more, for its first query sees as many before the window of its last.
static_assert(llama3.cache_bytes(headroom::ring_tokens(4096), 2) == 16 * 1024 * 1024);
static_assert(headroom::ring_tokens(4096, 4, 512) == 4 + 4096 + 511);

// DeepSeek-V3: 576 numbers a token instead of 40,960; 81,920 flops a query-key pair expanded and
// 278,528 absorbed; the expanded form wins from 170.7 queries on over a long context and from 128
// over 512 tokens; a decode step does 242 flops per byte of a 16-bit cache.
constexpr mla_shape deepseek_v3{.hidden = 7168,
                                .Q_heads = 128,
                                .latent_rank = 512,
                                .nope_dim = 128,
                                .rope_dim = 64,
                                .v_dim = 128,
                                .query_rank = 1536};
static_assert(deepseek_v3.parameters() == 187105280);
static_assert(deepseek_v3.cache_numbers_per_token() == 576);
static_assert(deepseek_v3.expanded_numbers_per_token() == 40960);
static_assert(deepseek_v3.expanded_flops(1) == 81920);
static_assert(deepseek_v3.absorbed_flops(1) == 278528);
static_assert(deepseek_v3.up_projection_flops() == 33554432);
static_assert(deepseek_v3.crossover(512) == 128);
static_assert(deepseek_v3.long_context_crossover() > 170.66 &&
              deepseek_v3.long_context_crossover() < 170.67);
static_assert(deepseek_v3.decode_intensity(2) > 241.7 && deepseek_v3.decode_intensity(2) < 241.8);

// A fresh prefill always favours the expanded form, a decode step the absorbed one.
static_assert(deepseek_v3.expanded_is_cheaper(4096, 4096, headroom::causal_pairs(4096, 4096)));
static_assert(deepseek_v3.expanded_is_cheaper(50'000'000, 50'000'000,
                                              headroom::all_pairs(50'000'000, 50'000'000)));
static_assert(!deepseek_v3.expanded_is_cheaper(1, 4096, headroom::causal_pairs(1, 4096)));

// DeepSeek-V2-Lite makes its queries with one matrix.
constexpr mla_shape v2_lite{.hidden = 2048,
                            .Q_heads = 16,
                            .latent_rank = 512,
                            .nope_dim = 128,
                            .rope_dim = 64,
                            .v_dim = 128};
static_assert(v2_lite.parameters() ==
              2048 * 16 * 192 + 2048 * 576 + 512 * 16 * 256 + 16 * 128 * 2048);
static_assert(v2_lite.expanded_numbers_per_token() == 5120);

static_assert(headroom::causal_pairs(4, 4) == 10);
static_assert(headroom::causal_pairs(1, 4096) == 4096);
static_assert(headroom::causal_pairs(5, 2) == 3);
static_assert(headroom::window_pairs(4, 4, 2) == 7);

}  // namespace
