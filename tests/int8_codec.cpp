// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a number comes back within half a step of its block, the step being the largest of the
// block over 127; and attention over such a cache is attention over the numbers that come back.
#include <headroom/attention.hpp>
#include <headroom/cost.hpp>
#include <headroom/int8_codec.hpp>
#include <headroom/kv_cache.hpp>

#include "support/catch.hpp"
#include "support/problem.hpp"

#include <vector>

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

template <class Codec, class Out, class In>
std::vector<Out> round_trip(const std::vector<In>& row) {
  const Index dim = Index(row.size());
  std::vector<std::int8_t> stored(std::size_t(Codec::storage_size(dim)));
  Codec::encode(row.data(), stored.data(), dim);
  std::vector<Out> decoded(row.size());
  Codec::decode(stored.data(), decoded.data(), dim);
  return decoded;
}

template <class Codec>
void check_bound(std::size_t block) {
  random_source random(51);
  for (const Index dim : {1, 16, 31, 32, 33, 100, 128})
    for (const double deviation : {1e-30, 1., 1e30}) {
      const std::vector<float> row = random.numbers(dim, deviation);
      const auto decoded = round_trip<Codec, double>(row);
      for (std::size_t begin = 0; begin < row.size(); begin += block) {
        const std::size_t end = std::min(begin + block, row.size());
        float largest = 0;
        for (std::size_t d = begin; d < end; ++d) largest = std::max(largest, std::abs(row[d]));
        for (std::size_t d = begin; d < end; ++d)
          REQUIRE(std::abs(decoded[d] - double(row[d])) <= double(largest) * (1 / 254. + 2e-7));
      }
    }
}

/// Attention over a cache, and over the numbers that its codecs give back.
template <class KeyCodec, class ValueCodec>
void check_attention(const problem_size& size) {
  INFO(size.q_len << " x " << size.kv_len << ", width " << size.qk_dim);
  const problem<float> p(size);
  hr::kv_cache<KeyCodec, Eigen::Dynamic, Eigen::Dynamic, Eigen::Dynamic, ValueCodec> cache(
      size.kv_len, size.KV_groups, size.qk_dim, size.v_dim);
  cache.append(p.keys(), p.values());
  tensor<float> k(size.kv_len, size.KV_groups, size.qk_dim);
  tensor<float> v(size.kv_len, size.KV_groups, size.v_dim);
  for (Index g = 0; g < size.KV_groups; ++g) {
    const auto keys = cache.keys(g, 0, size.kv_len);
    const auto values = cache.values(g, 0, size.kv_len);
    for (Index t = 0; t < size.kv_len; ++t) {
      KeyCodec::decode(keys.rows + t * keys.stride, k.view().row(t, g), size.qk_dim);
      ValueCodec::decode(values.rows + t * values.stride, v.view().row(t, g), size.v_dim);
    }
  }
  const auto exact = exact_attention<float>(p.queries(), hr::view<const float>(k.view()),
                                            hr::view<const float>(v.view()), hr::causal());
  answer<float> got{{size.q_len, size.Q_heads, size.v_dim}, {size.q_len, size.Q_heads, 1}};
  hr::attention_options<float> options;
  options.lse = got.lse.per_head();
  any_attention(size.Q_heads, size.KV_groups, size.qk_dim, size.v_dim)(
      p.queries(), cache, got.out.view(), hr::causal(), options);
  REQUIRE(error_ratio(got, exact) <= 1);
}

}  // namespace

TEST_CASE("a number comes back within half a step") {
  check_bound<hr::int8_blocks>(32);
  check_bound<hr::int8_rows>(1000);
}

TEST_CASE("whole numbers up to 127 are exact where 127 is among them; zeros are") {
  std::vector<float> row(64);
  for (std::size_t i = 0; i < row.size(); ++i) row[i] = float(127 - 4 * int(i));
  row[63] = -127;
  CHECK(round_trip<hr::int8_rows, float>(row) == row);
  const std::vector<float> zeros(40);
  CHECK(round_trip<hr::int8_blocks, float>(zeros) == zeros);
}

TEST_CASE("what is not finite makes its block so, and no other") {
  for (const float odd : {quiet_nan<float>(), std::numeric_limits<float>::infinity()}) {
    std::vector<float> row(70, 1.f);
    row[40] = odd;
    const auto decoded = round_trip<hr::int8_blocks, float>(row);
    for (std::size_t d = 0; d < row.size(); ++d)
      CHECK(std::isnan(decoded[d]) == (d >= 32 && d < 64));
  }
}

TEST_CASE("attention over a cache is attention over what it holds") {
  for (const problem_size& size :
       {problem_size{1, 900, 8, 2, 64, 64}, problem_size{1, 70, 2, 2, 33, 20},
        problem_size{5, 300, 4, 1, 128, 40}, problem_size{40, 120, 4, 2, 32, 32}}) {
    check_attention<hr::int8_blocks, hr::int8_blocks>(size);
    check_attention<hr::int8_rows, hr::int8_rows>(size);
    check_attention<hr::int8_rows, hr::scalar_codec<Eigen::half>>(size);
  }
}

TEST_CASE("a token takes a byte a number, and its scales") {
  const hr::kv_cache<hr::int8_blocks, 8, 128> blocks(1);
  CHECK(blocks.bytes_per_token() == 8 * 2 * (128 + 4 * 4));
  constexpr hr::attention_shape shape{.hidden = 4096, .Q_heads = 32, .KV_groups = 8, .qk_dim = 128};
  static_assert(shape.cache_bytes<hr::int8_blocks>(100) == 100 * 8 * 2 * (128 + 4 * 4));
  const hr::kv_cache<hr::int8_rows, 8, 128, 64, Eigen::half> mixed(1);
  CHECK(mixed.bytes_per_token() == 8 * (128 + 4 + 64 * 2));
}
