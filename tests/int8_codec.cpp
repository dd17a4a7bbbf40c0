// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a number comes back within half a step of its block, the step being the largest of the
// block over 127; and attention over such a cache is attention over the numbers that come back.
#include <headroom/cost.hpp>
#include <headroom/int8_codec.hpp>
#include <headroom/score_mod.hpp>

#include "support/codec_laws.hpp"

#include <cmath>
#include <limits>
#include <type_traits>

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

template <std::size_t block>
double half_step(const std::vector<float>& row, std::size_t d) {
  return block_range(row, d, block).size * (1 / 254. + 2e-7) +
         127 * 0x1p-126;  // a block below that rounds to 0
}

template <class Codec, std::size_t block>
void check_codec() {
  check_error<Codec>(half_step<block>);
  check_readings<Codec>();
  check_kernels<Codec>();
  check_appending<Codec>();
}

}  // namespace

TEST_CASE("a number comes back within half a step, however it is read") {
  check_codec<hr::int8_blocks, 32>();
  check_codec<hr::int8_codec<20>, 20>();
  check_codec<hr::int8_rows, 1000>();
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
  check_poison<hr::int8_blocks>(32);
  check_poison<hr::int8_rows>(70);
}

TEST_CASE("the largest floats come back within half a step, too") {
  const float largest = std::numeric_limits<float>::max();
  const std::vector<float> row{largest, -largest, largest / 2, 1};
  const auto back = round_trip<hr::int8_rows, double>(row);
  for (std::size_t d = 0; d < row.size(); ++d)
    CHECK(std::abs(back[d] - double(row[d])) <= half_step<4>(row, d));
}

TEST_CASE("numbers without a scale come back within a half, up to the last there is") {
  // A float that is no more than 127.5 rounds to 127 at most, and so errs by a half too.
  check_error<hr::saturating_int8>([](const std::vector<float>& row, std::size_t d) {
    return std::max(0.5, std::abs(double(row[d])) - 127);
  });
  check_readings<hr::saturating_int8>();
  check_kernels<hr::saturating_int8>();
  check_appending<hr::saturating_int8>();
  std::vector<float> row(255);
  for (std::size_t i = 0; i < row.size(); ++i) row[i] = float(int(i) - 127);
  CHECK(round_trip<hr::saturating_int8, float>(row) == row);
}

TEST_CASE("without a scale what is too large is clipped, and a NaN is lost") {
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> row = {0.5f, 1.5f, 127.6f, -128, 1e30f, -infinity, quiet_nan<float>()};
  CHECK(round_trip<hr::saturating_int8, float>(row) ==
        std::vector<float>{0, 2, 127, -127, 127, -127, 0});
}

TEST_CASE("attention over a cache is attention over what it holds") {
  check_attention<hr::int8_blocks>();
  check_attention<hr::int8_rows, hr::int8_blocks>();
  check_attention<hr::int8_codec<64>, hr::saturating_int8>();
  check_attention<hr::int8_blocks, hr::int8_codec<20>>();
  check_attention<hr::saturating_int8, hr::int8_rows>();
  check_attention<hr::int8_rows, hr::scalar_codec<Eigen::half>>();
}

TEMPLATE_TEST_CASE("what is no number stays in its block, and in a hidden token", "",
                   hr::int8_blocks, hr::int8_rows) {
  constexpr Index tokens = 70, dim = 64, at = 40;  // the second block of a row
  for (const Index q_len : {1, 2, 30}) {
    problem<float> p({q_len, tokens, 4, 1, dim, dim});
    p.v(7, 0, at) = quiet_nan<float>();
    hr::kv_cache<TestType> cache(tokens, 1, dim);
    cache.append(p.keys(), p.values());
    tensor<float> out(q_len, 4, dim), without(q_len, 4, dim);
    hr::gqa<4, 1, dim>()(p.queries(), cache, out.view(), hr::causal());
    for (Index t = 0; t < q_len; ++t)
      for (Index d = 0; d < dim; ++d) {
        const bool of_block = std::is_same_v<TestType, hr::int8_rows> || d / 32 == at / 32;
        REQUIRE(std::isnan(out(t, 0, d)) == of_block);
      }
    p.k(7, 0, at) = quiet_nan<float>();
    hr::kv_cache<TestType> poisoned(tokens, 1, dim), clean(tokens, 1, dim);
    poisoned.append(p.keys(), p.values());
    p.k(7, 0, at) = p.v(7, 0, at) = 0;
    clean.append(p.keys(), p.values());
    const auto seen = hr::mask([](const hr::query_row&, Index key) { return key != 7; });
    hr::gqa<4, 1, dim>()(p.queries(), poisoned, out.view(), hr::causal() & seen);
    hr::gqa<4, 1, dim>()(p.queries(), clean, without.view(), hr::causal() & seen);
    for (Index t = 0; t < q_len; ++t)
      for (Index h = 0; h < 4; ++h)
        for (Index d = 0; d < dim; ++d) REQUIRE(std::abs(out(t, h, d) - without(t, h, d)) <= 1e-4f);
  }
}

TEST_CASE("a token takes a byte a number, and its scales") {
  const hr::kv_cache<hr::int8_blocks, 8, 128> blocks(1);
  CHECK(blocks.bytes_per_token() == 8 * 2 * (128 + 4 * 4));
  constexpr hr::attention_shape shape{.hidden = 4096, .Q_heads = 32, .KV_groups = 8, .qk_dim = 128};
  static_assert(shape.cache_bytes<hr::int8_blocks>(100) == 100 * 8 * 2 * (128 + 4 * 4));
  static_assert(shape.cache_bytes<hr::int8_rows>(100) == 100 * 8 * 2 * (128 + 4));
  static_assert(shape.cache_bytes<hr::saturating_int8>(100) == 100 * 8 * 2 * 128);
  const hr::kv_cache<hr::int8_rows, 8, 128, 64, Eigen::half> mixed(1);
  CHECK(mixed.bytes_per_token() == 8 * (128 + 4 + 64 * 2));
}
