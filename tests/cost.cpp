// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a closed form costs what a count of the loops costs. Known totals are in static/cost.cpp.
#include <headroom/cost.hpp>
#include <headroom/fp8_codec.hpp>
#include <headroom/int4_codec.hpp>
#include <headroom/int8_codec.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/latent_cache.hpp>
#include <headroom/rotated_cache.hpp>
#include <headroom/scaled_cache.hpp>

#include "support/catch.hpp"

namespace hr = headroom;
using Eigen::Index;

namespace {

/// Keys that the query in row t sees under a causal window, one by one.
Index count_pairs(Index q_len, Index kv_len, Index window) {
  Index pairs = 0;
  for (Index t = 0; t < q_len; ++t)
    for (Index j = 0; j < kv_len; ++j) {
      const Index position = t + kv_len - q_len;
      if (j <= position && j > position - window) ++pairs;
    }
  return pairs;
}

/// Multiplies and adds of a product [rows, inner] x [inner, cols].
Index product_flops(Index rows, Index inner, Index cols) {
  return 2 * rows * inner * cols;
}

/// Bytes from one token of a cache to the next, as they lie in memory.
template <class Cache>
Index bytes_apart(const Cache& cache) {
  const auto k = cache.keys(0, 0, 1);
  const auto v = cache.values(0, 0, 1);
  return cache.groups() * (k.stride * Index(sizeof(*k.rows)) + v.stride * Index(sizeof(*v.rows)));
}

template <class KeyCodec, class ValueCodec = KeyCodec>
void check_cache_bytes() {
  using cache_type =
      hr::kv_cache<KeyCodec, Eigen::Dynamic, Eigen::Dynamic, Eigen::Dynamic, ValueCodec>;
  for (const Index dim : {1, 20, 33, 64, 128}) {
    const hr::attention_shape s{
        .hidden = 1, .Q_heads = 6, .KV_groups = 3, .qk_dim = dim, .v_dim = dim + 7};
    const Index bytes = s.cache_bytes<KeyCodec, ValueCodec>(1);
    CHECK(bytes_apart(cache_type(1, 3, dim, dim + 7)) == bytes);
    CHECK(cache_type(1, 3, dim, dim + 7).bytes_per_token() == bytes);
    CHECK(hr::rotated_cache<cache_type>(1, 3, dim, dim + 7).bytes_per_token() == bytes);
    CHECK(hr::scaled_cache<cache_type>(1, 3, dim, dim + 7).bytes_per_token() == bytes);
    CHECK(s.cache_bytes<KeyCodec, ValueCodec>(100) == 100 * bytes);
  }
}

template <class LatentCodec, int rank = 96, int rope = 6>
void check_latent_bytes() {
  const hr::mla_shape s{
      .hidden = 1, .Q_heads = 4, .latent_rank = rank, .nope_dim = 8, .rope_dim = rope, .v_dim = 8};
  const hr::latent_cache<LatentCodec, rank, rope> cache(1);
  CHECK(cache.bytes_per_token() ==
        s.cache_bytes<LatentCodec, hr::scalar_codec<Eigen::bfloat16>>(1));
}

}  // namespace

TEST_CASE("a token takes the bytes in a cache that are predicted, whatever it is stored by") {
  check_cache_bytes<hr::scalar_codec<float>, hr::scalar_codec<Eigen::half>>();
  check_cache_bytes<hr::int8_blocks>();
  check_cache_bytes<hr::int8_rows, hr::int4_blocks>();
  check_cache_bytes<hr::saturating_int8, hr::scalar_codec<Eigen::bfloat16>>();
  check_cache_bytes<hr::fp8_codec>();
  check_cache_bytes<hr::int4_codec<16>>();
  check_latent_bytes<hr::int8_blocks>();
  check_latent_bytes<hr::int8_rows>();
  check_latent_bytes<hr::saturating_int8>();
  check_latent_bytes<hr::fp8_codec>();
  check_latent_bytes<hr::int4_blocks>();
  check_latent_bytes<hr::fp8_codec, 33, 5>();  // rows filled up to whole numbers of 16 bits
  check_latent_bytes<hr::saturating_int8, 33>();
}

TEST_CASE("visible pairs are those that the masks leave, counted one by one") {
  for (Index q_len = 0; q_len <= 9; ++q_len)
    for (Index kv_len = 0; kv_len <= 9; ++kv_len) {
      CHECK(hr::causal_pairs(q_len, kv_len) == count_pairs(q_len, kv_len, 100));
      for (Index window = 1; window <= 11; ++window)
        CHECK(hr::window_pairs(q_len, kv_len, window) == count_pairs(q_len, kv_len, window));
    }
}

TEST_CASE("flops and parameters of a layer are those of its matrix products") {
  const hr::attention_shape s{
      .hidden = 96, .Q_heads = 6, .KV_groups = 2, .qk_dim = 20, .v_dim = 12};
  const Index n = 7;
  const Index projections = product_flops(n, 96, 6 * 20) + product_flops(n, 96, 2 * 20) +
                            product_flops(n, 96, 2 * 12) + product_flops(n, 6 * 12, 96);
  CHECK(s.projection_flops(n) == projections);
  CHECK(s.parameters() == projections / (2 * n));
  const Index per_pair = 6 * (product_flops(1, 20, 1) + product_flops(1, 1, 12));
  CHECK(s.prefill_flops(n) == projections + per_pair * count_pairs(n, n, n));
  CHECK(s.decode_flops(50) == projections / n + per_pair * 50);
  CHECK(s.cache_numbers_per_token() == 2 * (20 + 12));
  CHECK(s.decode_intensity(4) == double(per_pair) / (4 * 2 * (20 + 12)));
  CHECK(s.decode_intensity(4, 3) == 3 * s.decode_intensity(4));
}

TEST_CASE("decoding a prompt token by token costs what prefilling it costs") {
  const hr::attention_shape s{.hidden = 64, .Q_heads = 4, .KV_groups = 1, .qk_dim = 16};
  Index steps = 0;
  for (Index kv_len = 1; kv_len <= 33; ++kv_len) steps += s.decode_flops(kv_len);
  CHECK(steps == s.prefill_flops(33));
}

TEST_CASE("flops and parameters of MLA are those of its matrix products, in both forms") {
  const Index hidden = 48, heads = 3, dc = 20, dn = 8, dr = 6, dv = 10;
  const Index rank = GENERATE(0, 14);
  const hr::mla_shape s{hidden, heads, dc, dn, dr, dv, rank};
  const Index query =
      rank == 0 ? product_flops(1, hidden, heads * (dn + dr))
                : product_flops(1, hidden, rank) + product_flops(1, rank, heads * (dn + dr));
  const Index rest = product_flops(1, hidden, dc + dr) + product_flops(1, heads * dv, hidden);
  const Index up = product_flops(1, dc, heads * dn) + product_flops(1, dc, heads * dv);
  CHECK(s.up_projection_flops() == up);
  CHECK(s.parameters() == (query + rest + up) / 2);
  const Index expanded = heads * (product_flops(1, dn + dr, 1) + product_flops(1, 1, dv));
  const Index absorbed = heads * (product_flops(1, dc + dr, 1) + product_flops(1, 1, dc));
  CHECK(s.prefill_flops(9) == 9 * (query + rest + up) + expanded * count_pairs(9, 9, 9));
  CHECK(s.decode_flops(9) == query + rest + up + absorbed * 9);
}

TEST_CASE("the crossover is where the two forms of MLA change places") {
  const hr::mla_shape shapes[] = {{7168, 128, 512, 128, 64, 128, 1536},
                                  {2048, 16, 512, 128, 64, 128},
                                  {64, 4, 32, 16, 8, 16},
                                  {64, 2, 24, 12, 16, 20}};
  for (const auto& s : shapes)
    for (const Index kv_len : {1, 19, 128, 512, 1999, 65536}) {
      const double crossover = s.crossover(kv_len);
      CHECK(crossover < double(kv_len));  // a fresh prefill is beyond it
      for (const Index q_len : {1, 2, 17, 127, 128, 129, 170, 171, 1024})
        CHECK(s.expanded_is_cheaper(q_len, kv_len, hr::all_pairs(q_len, kv_len)) ==
              (double(q_len) > crossover));
    }
}

TEST_CASE("a latent as narrow as the heads leaves the absorbed form cheaper at any length") {
  const hr::mla_shape s{
      .hidden = 64, .Q_heads = 2, .latent_rank = 8, .nope_dim = 32, .rope_dim = 4, .v_dim = 32};
  CHECK(s.crossover(1000) == std::numeric_limits<double>::infinity());
  CHECK_FALSE(s.expanded_is_cheaper(1000, 1000, hr::causal_pairs(1000, 1000)));
}
