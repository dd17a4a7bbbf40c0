// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a group's tokens of a page lie one after another from a cache line on, in what keys and
// values are stored in; a pool's sizes are those of the template, or those given.
#include <headroom/int8_codec.hpp>
#include <headroom/page_pool.hpp>
#include <headroom/paged_cache.hpp>

#include "support/catch.hpp"
#include "support/problem.hpp"

#include <cstdint>
#include <limits>
#include <stdexcept>

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

bool on_line(const void* row) {
  return reinterpret_cast<std::uintptr_t>(row) % 64 == 0;
}

}  // namespace

TEST_CASE("a group's tokens lie page after page, each page on a cache line") {
  hr::page_pool<float, 3, 5, 2> pool(4, 7);
  const auto& keys = pool.key_pages();
  const auto& values = pool.value_pages();
  CHECK((keys.token_stride == 5 && keys.page_stride == 48 && keys.group_stride == 4 * 48));
  CHECK((values.token_stride == 2 && values.page_stride == 16 && values.group_stride == 4 * 16));
  for (hr::page_id page = 0; page < 4; ++page)
    for (Index g = 0; g < 3; ++g)
      CHECK((on_line(keys.row(page, g, 0)) && on_line(values.row(page, g, 0))));
  CHECK(pool.bytes() == 4 * 3 * (48 + 16) * 4);
  CHECK(pool.bytes_per_token() == 3 * (5 + 2) * 4);
}

TEST_CASE("a page of one token holds its groups side by side") {
  hr::page_pool<float, 3, 5> pool(4, 1);
  const auto& keys = pool.key_pages();
  CHECK((keys.group_stride == 5 && keys.page_stride == 16 && keys.token_stride == 16));
  CHECK(pool.bytes() == 2 * 4 * 16 * 4);
}

TEST_CASE("a run of a sequence is its page's memory") {
  const problem<> p({0, 11, 2, 2, 8, 4});
  hr::page_pool<float> pool(3, 4, 2, 8, 4);
  hr::paged_cache sequence(pool);
  sequence.append(p.keys(), p.values());
  const auto keys = sequence.keys(1, 5, 11);
  CHECK(keys.rows == pool.key_pages().row(sequence.block_table()[1], 1, 1));
  CHECK((keys.stride == 8 && keys.tokens == 3));
  const auto values = sequence.values(0, 9, 10);
  CHECK(values.rows == pool.value_pages().row(sequence.block_table()[2], 0, 1));
  CHECK((values.stride == 4 && values.tokens == 1));
}

TEST_CASE("keys and values are each stored in what they are said to be") {
  const hr::page_pool<Eigen::bfloat16, 8, 128> fixed(10, 16);
  CHECK((fixed.groups() == 8 && fixed.qk_dim() == 128 && fixed.v_dim() == 128));
  CHECK(fixed.bytes_per_token() == 2 * 8 * (128 + 128));
  CHECK(fixed.bytes() == 10 * 16 * fixed.bytes_per_token());
  const hr::page_pool<hr::int8_blocks, 2, 64, 32, Eigen::half> mixed(3, 16);
  CHECK(mixed.bytes_per_token() == 2 * ((64 + 2 * 4) + 32 * 2));
  const hr::page_pool<double> given(1, 1, 3, 5);
  CHECK((given.groups() == 3 && given.qk_dim() == 5 && given.v_dim() == 5));
  const hr::page_pool<float, Eigen::Dynamic, 4, 6> partly(1, 1, 2, 4);
  CHECK((partly.groups() == 2 && partly.v_dim() == 6));
}

TEST_CASE("a pool of impossible sizes is not made") {
  CHECK_THROWS_WITH(hr::page_pool<float>(4, 2, 0, 8),
                    contains("page_pool: KV_groups = 0 was given, expected at least 1"));
  CHECK_THROWS_WITH(hr::page_pool<float>(4, 2, 2, 0),
                    contains("page_pool: qk_dim = 0 was given, expected at least 1"));
  CHECK_THROWS_WITH(hr::page_pool<float>(4, 2, 2, 8, -1),
                    contains("page_pool: v_dim = -1 was given, expected at least 1"));
  CHECK_THROWS_WITH((hr::page_pool<float, 2, 8>(4, 2, 3, 8)),
                    contains("page_pool: KV_groups = 3 was given, expected 2 as in the template"));
}

TEST_CASE("a pool that no memory can hold is not made") {
  constexpr Index huge = Index(1) << 58;
  CHECK_THROWS_AS(hr::page_pool<float>(4, huge, 1, 16), std::invalid_argument);
  CHECK_THROWS_AS(hr::page_pool<float>(4, 1, huge, 16), std::invalid_argument);
  CHECK_THROWS_AS(hr::page_pool<float>(4, 16, 1, huge), std::invalid_argument);
  constexpr Index most = std::numeric_limits<int>::max();
  for (const Index pages : {0, 4}) {
    CHECK_THROWS_AS(hr::page_pool<float>(pages, most, most, 16), std::length_error);
    CHECK_THROWS_AS(hr::page_pool<float>(pages, 1, most, most), std::length_error);
    CHECK_THROWS_AS(hr::page_pool<float>(pages, most, 16, most), std::length_error);
    CHECK_THROWS_AS(hr::page_pool<hr::int8_blocks>(pages, most, 16, most), std::length_error);
  }
}
