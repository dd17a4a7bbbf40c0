// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a number comes back within half a step of its block, the steps covering what the block
// covers; and attention over such a cache is attention over the numbers that come back.
#include <headroom/cost.hpp>
#include <headroom/int4_codec.hpp>
#include <headroom/int8_codec.hpp>

#include "support/codec_laws.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

template <int block>
double half_step(const std::vector<float>& row, std::size_t d) {
  const block_range range(row, d, block);
  return (range.most - range.least + std::abs(range.least) / 128) / 29.7 + 2e-7 * range.size +
         0x1p-133;
}

// Of blocks whose halves fill packets for some instruction sets, or for none.
template <int block>
void check_codec() {
  using codec = hr::int4_codec<block>;
  check_error<codec>(half_step<block>);
  check_readings<codec>();
  check_kernels<codec>();
  check_appending<codec>();
}

}  // namespace

TEST_CASE("a number comes back within half a step, however it is read") {
  check_codec<6>();
  check_codec<32>();
}

TEST_CASE("whole numbers from a whole minimum to 15 above it are exact; zeros are") {
  std::vector<float> row(64);
  for (std::size_t i = 0; i < row.size(); ++i) row[i] = float(i % 16) - (i < 32 ? 7 : -3);
  CHECK(round_trip<hr::int4_blocks, float>(row) == row);
  const std::vector<float> zeros(40);
  CHECK(round_trip<hr::int4_blocks, float>(zeros) == zeros);
}

TEST_CASE("what is not finite makes its block so, and no other") {
  check_poison<hr::int4_blocks>(32);
  std::vector<float> row(64, 1.f);
  row[3] = 0x1.000002p126f;
  CHECK(std::isnan(round_trip<hr::int4_blocks, float>(row)[31]));
  row[3] = -0x1p126f;
  CHECK(round_trip<hr::int4_blocks, float>(row)[3] == row[3]);
}

TEST_CASE("attention over a cache is attention over what it holds") {
  check_attention<hr::int4_blocks>();
  check_attention<hr::int8_rows, hr::int4_codec<6>>();
}

TEST_CASE("a token takes half a byte a number, and steps") {
  const hr::kv_cache<hr::int4_blocks, 8, 128> blocks(1);
  CHECK(blocks.bytes_per_token() == 8 * 2 * (128 / 2 + 4 * 4));
  constexpr hr::attention_shape shape{.hidden = 4096, .Q_heads = 32, .KV_groups = 8, .qk_dim = 128};
  static_assert(shape.cache_bytes<hr::int4_blocks>(100) == 100 * 8 * 2 * (128 / 2 + 4 * 4));
  const hr::kv_cache<hr::int8_rows, 1, 80, 80, hr::int4_blocks> mixed(1);
  CHECK(mixed.bytes_per_token() == 80 + 4 + 3 * 20);
}
