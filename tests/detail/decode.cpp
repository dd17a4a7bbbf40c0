// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: the keys are cut at places that depend on their number alone, and the merged states of the
// parts are the state of the whole, also where a mask hides some parts altogether.
#include <headroom/detail/decode.hpp>

#include "support/catch.hpp"
#include "support/kernel_call.hpp"
#include "support/sizes.hpp"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;
using hr::detail::split_keys;

namespace {

const auto decode = [](const auto& call, const auto& source) {
  hr::detail::decode(call, source, hr::serial());
};

// Runs items in an order of chance: results must not depend on it.
const auto decode_in_order = [](std::uint64_t seed) {
  return [seed](const auto& call, const auto& source) {
    hr::detail::decode(call, source, [seed](Index count, const auto& work) {
      std::vector<Index> order(static_cast<std::size_t>(count));
      std::iota(order.begin(), order.end(), Index(0));
      std::shuffle(order.begin(), order.end(), std::mt19937_64(seed));
      for (const Index item : order) work(item);
    });
  };
};

}  // namespace

TEST_CASE("splits are whole tiles, not short, and not many") {
  for (Index kv_len = 1; kv_len < 300'000; kv_len += kv_len < 3000 ? 1 : 997) {
    const Index split = split_keys(kv_len);
    REQUIRE(split % hr::detail::tile_keys == 0);
    REQUIRE((split >= kv_len) == (kv_len <= hr::detail::most_unsplit_keys));
    REQUIRE((split >= kv_len || split > hr::detail::most_unsplit_keys / 2));
    REQUIRE((kv_len + split - 1) / split <= hr::detail::most_splits);
  }
}

TEST_CASE("decoding any number of keys is attention") {
  for (const Index kv_len : long_lengths)
    for (const auto& [q_len, heads, groups] :
         {std::array<Index, 3>{1, 6, 2}, {1, 1, 1}, {7, 2, 1}, {33, 4, 2}, {1, 9, 9}}) {
      INFO("q_len " << q_len << ", kv_len " << kv_len);
      const problem p({q_len, kv_len, heads, groups, 9, 5});
      REQUIRE(error_ratio(answer_by(decode, p, hr::causal()), p.exact(hr::causal())) <= 1);
    }
}

TEST_CASE("keys of fewer than a split are decoded too, but there must be one") {
  REQUIRE_THROWS_AS(answer_by(decode, problem({2, 0, 4, 2, 8, 8}), hr::none()), eigen_assertion);
  for (const Index kv_len : {1, 95, 96, 97}) {
    const problem p({2, kv_len, 4, 2, 8, 8});
    REQUIRE(error_ratio(answer_by(decode, p, hr::none()), p.exact()) <= 1);
  }
}

TEST_CASE("splits that a mask hides leave the others as they are") {
  const problem p({2, 4 * hr::detail::most_unsplit_keys, 2, 1, 8, 8});
  const auto window = hr::causal() & hr::sliding_window(100);
  REQUIRE(error_ratio(answer_by(decode, p, window), p.exact(window)) <= 1);
  const auto first_keys = hr::key_length(70);
  REQUIRE(error_ratio(answer_by(decode, p, first_keys), p.exact(first_keys)) <= 1);
  const auto ends = hr::sliding_window(3) | hr::prefix(3);
  REQUIRE(error_ratio(answer_by(decode, p, ends), p.exact(ends)) <= 1);
  const auto nothing = hr::prefix(0);
  REQUIRE(error_ratio(answer_by(decode, p, nothing), p.exact(nothing)) <= 1);
}

TEST_CASE("sinks are applied once, after the merge") {
  const problem p({1, 3000, 2, 1, 8, 8});
  const std::vector<float> sinks = {5, 9};
  const hr::attention_options<float> options{.sinks = sinks};
  REQUIRE(error_ratio(answer_by(decode, p, hr::none(), options), p.exact(hr::none(), options)) <=
          1);
}

TEST_CASE("the order in which the parts are computed does not change a bit") {
  const problem p({3, 5000, 4, 2, 16, 8});
  const auto in_order = answer_by(decode, p, hr::causal());
  for (std::uint64_t seed = 1; seed <= 8; ++seed)
    CHECK(same_bits(answer_by(decode_in_order(seed), p, hr::causal()), in_order));
}
