// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: the first part of a row is a row of the first codec, the rest one of the second.
#include <headroom/fp8_codec.hpp>
#include <headroom/int4_codec.hpp>
#include <headroom/int8_codec.hpp>
#include <headroom/joined_codec.hpp>
#include <headroom/kv_cache.hpp>

#include "support/codec_laws.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

using bfloat16_codec = hr::scalar_codec<Eigen::bfloat16>;

template <class First, Index width, class Second>
void check_joined() {
  using codec = hr::joined_codec<First, width, Second>;
  random_source random(53);
  for (const Index dim : {width, width + 1, width + 64}) {
    const auto row = random.numbers(dim);
    const auto middle = row.begin() + width;
    const auto stored = encoded<codec>(row);
    const std::vector<float> first(row.begin(), middle), second(middle, row.end());
    auto expected = round_trip<First, float>(first);
    const auto rest = round_trip<Second, float>(second);
    expected.insert(expected.end(), rest.begin(), rest.end());
    REQUIRE(decoded<float, codec>(stored, row.size()) == expected);
    REQUIRE(decoded<float, First>(stored, first.size()) == round_trip<First, float>(first));
  }
  check_readings<codec>(width);
  check_kernels<codec>(width);
}

}  // namespace

TEST_CASE("a row is two rows, and its first part is one of its own") {
  check_joined<hr::int8_blocks, 32, bfloat16_codec>();
  check_joined<hr::fp8_codec, 48, hr::scalar_codec<float>>();
  check_joined<hr::int8_rows, 33, bfloat16_codec>();  // ends at an odd byte
  check_joined<hr::scalar_codec<Eigen::half>, 20, hr::int4_blocks>();
  check_joined<hr::int4_blocks, 64, hr::int8_blocks>();
}

TEST_CASE("the second part is aligned, in every row") {
  static_assert(hr::joined_codec<hr::int8_rows, 33, bfloat16_codec>::storage_size(33 + 3) ==
                33 + 4 + 1 + 3 * 2);
  static_assert(hr::joined_codec<hr::int8_rows, 32, hr::int8_rows>::storage_size(32 + 3) ==
                32 + 4 + 3 + 4);
  static_assert(hr::joined_codec<hr::scalar_codec<double>, 2, bfloat16_codec>::storage_size(5) ==
                2 + 1);
  static_assert(hr::joined_codec<hr::int8_blocks, 512, bfloat16_codec>::storage_size(576) ==
                512 + 16 * 4 + 64 * 2);
}

TEST_CASE("a row narrower than its first part is refused, before memory is taken") {
  using codec = hr::joined_codec<hr::scalar_codec<float>, 64, hr::scalar_codec<float>>;
  CHECK_THROWS_WITH(hr::kv_cache<codec>(2, 1, 32),
                    "joined_codec: a row has 32 numbers, expected at least 64, those of its first "
                    "part");
}
