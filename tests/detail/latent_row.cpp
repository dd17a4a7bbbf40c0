// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a token's row is, as a key, its latent and then its rotary key, and, as a value, its
// latent; the rotary key can be written alone.
#include <headroom/detail/latent_row.hpp>
#include <headroom/int4_codec.hpp>
#include <headroom/int8_codec.hpp>

#include "support/codec_laws.hpp"
#include "support/refusal.hpp"

#include <type_traits>
#include <vector>

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

template <class Stored, class StoredRope, int fixed_rank>
void check_row(Index rank, Index rope) {
  using row = hr::detail::latent_row<Stored, StoredRope, fixed_rank>;
  random_source random(61);
  const auto c = random.numbers(rank), first = random.numbers(rope), second = random.numbers(rope);
  std::vector<typename row::Storage> stored(
      static_cast<std::size_t>(row::KeyCodec::storage_size(rank + rope)));
  const auto check = [&](const std::vector<float>& k_pe) {
    const auto latent = round_trip<typename row::ValueCodec, float>(c);
    const auto rotary = round_trip<typename row::RopeCodec, float>(k_pe);
    auto key = latent;
    key.insert(key.end(), rotary.begin(), rotary.end());
    CHECK(decoded<float, typename row::KeyCodec>(stored, key.size()) == key);
    CHECK(decoded<float, typename row::ValueCodec>(stored, latent.size()) == latent);
  };
  row::encode(c.data(), rank, first.data(), rope, stored.data());
  check(first);
  row::RopeCodec::encode(second.data(), row::rope_key(stored.data(), rank), rope);
  check(second);
}

}  // namespace

TEST_CASE("a row is a latent and a rotary key, and its latent alone") {
  check_row<float, float, Eigen::Dynamic>(33, 5);
  check_row<Eigen::bfloat16, Eigen::bfloat16, 64>(64, 8);
  check_row<Eigen::half, float, 20>(20, 7);
  check_row<hr::int8_rows, Eigen::bfloat16, 33>(33, 6);  // ends at an odd byte
  check_row<hr::int8_blocks, hr::int4_blocks, 64>(64, 32);
}

TEST_CASE("rotary keys are in 16 bits where latents have a codec") {
  using hr::detail::rope_key_storage;
  STATIC_REQUIRE(std::is_same_v<rope_key_storage<hr::int8_blocks>, Eigen::bfloat16>);
  STATIC_REQUIRE(std::is_same_v<rope_key_storage<float>, float>);
}

TEST_CASE("latents and rotary keys of other shapes are refused by the name of the cache") {
  const std::vector<float> numbers(64);
  const auto rows = [&](Index tokens, Index heads, Index dim) {
    return hr::tokens_major(numbers.data(), tokens, heads, dim);
  };
  const auto refused = [&](const auto& latents, const auto& rope_keys) {
    return refusal_of([&] { hr::detail::new_latents("cache", latents, rope_keys, 8, 4); });
  };
  CHECK(refused(rows(3, 1, 8), rows(3, 1, 4)) == "nothing was thrown");
  CHECK(refused(rows(3, 1, 7), rows(3, 1, 4)) ==
        "cache: latents are [3, 1, 7], expected [tokens, 1, latent_rank = 8]");
  CHECK(refused(rows(3, 1, 8), rows(3, 2, 2)) ==
        "cache: rope_keys are [3, 2, 2], expected [tokens, 1, rope = 4]");
  CHECK(refused(rows(3, 1, 8), rows(2, 1, 4)) ==
        "cache: rope_keys have 2 tokens, expected 3 as latents");
}
