// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// latent_cache: the latents and rotary keys of the tokens so far. As a source it is one group with
// keys [c, k_pe] and values c, the prefix of the same row; what is appended comes back rounded to
// the stored scalar; truncating is exact; tokens of another cache are the same bits as there; a
// refused append leaves it as it was.

#include <headroom/attention.hpp>
#include <headroom/cost.hpp>
#include <headroom/int8_codec.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/latent_cache.hpp>

#include "support/catch.hpp"
#include "support/random.hpp"
#include "support/refusal.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <type_traits>
#include <vector>

namespace {

using headroom::Index;
using headroom_tests::random_source;
using headroom_tests::refusal_of;
using matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

static_assert(headroom::kv_source<headroom::latent_cache<float, 8, 4>>);
static_assert(headroom::kv_source<headroom::latent_cache<Eigen::bfloat16>>);
static_assert(headroom::kv_source<headroom::latent_cache<headroom::int8_blocks, 512, 64>>);

// It moves, and is not copied by accident.
using any_cache = headroom::latent_cache<float>;
static_assert(std::is_nothrow_move_constructible_v<any_cache> &&
              std::is_nothrow_move_assignable_v<any_cache>);
static_assert(!std::is_copy_constructible_v<any_cache> && !std::is_copy_assignable_v<any_cache>);

matrix random_matrix(random_source& random, Index rows, Index cols) {
  matrix result(rows, cols);
  random.fill(headroom::as_view(result, 1));
  return result;
}

matrix ones(Index rows, Index cols) {
  return matrix::Ones(rows, cols);
}

// Whether the tokens of `cache` from `first` on are stored as tokens [begin, end) of `other`.
template <class Cache>
bool stored_alike(const Cache& cache, Index first, const Cache& other, Index begin, Index end) {
  const auto rows = cache.keys(0, first, first + end - begin), others = other.keys(0, begin, end);
  return rows.stride == others.stride &&
         std::memcmp(rows.rows, others.rows,
                     static_cast<std::size_t>(cache.bytes_per_token() * (end - begin))) == 0;
}

}  // namespace

TEST_CASE("keys are the row of latent and rotary key, values its prefix") {
  random_source random(4);
  const matrix c = random_matrix(random, 7, 5), k_pe = random_matrix(random, 7, 2);
  headroom::latent_cache<float> cache(9, 5, 2);
  cache.append(c.topRows(3), k_pe.topRows(3));
  cache.append(c.bottomRows(4), k_pe.bottomRows(4));
  REQUIRE(cache.tokens() == 7);
  REQUIRE(cache.groups() == 1);
  REQUIRE(cache.qk_dim() == 7);
  REQUIRE(cache.v_dim() == 5);
  REQUIRE(cache.bytes_per_token() == 28);
  const auto keys = cache.keys(0, 2, 7);
  const auto values = cache.values(0, 2, 7);
  REQUIRE(keys.tokens == 5);
  REQUIRE(values.tokens == 5);
  for (Index j = 2; j < 7; ++j) {
    for (Index d = 0; d < 5; ++d) {
      REQUIRE(keys.rows[(j - 2) * keys.stride + d] == c(j, d));
      REQUIRE(values.rows[(j - 2) * values.stride + d] == c(j, d));
      REQUIRE(cache.latent_view()(j, 0, d) == c(j, d));
    }
    for (Index d = 0; d < 2; ++d) {
      REQUIRE(keys.rows[(j - 2) * keys.stride + 5 + d] == k_pe(j, d));
      REQUIRE(cache.rope_key_view()(j, 0, d) == k_pe(j, d));
    }
  }
}

TEST_CASE("numbers are rounded once, to the stored scalar") {
  random_source random(5);
  const matrix c = random_matrix(random, 3, 6), k_pe = random_matrix(random, 3, 4);
  headroom::latent_cache<Eigen::bfloat16, 6, 4> cache(3);
  cache.append(c, k_pe);
  for (Index j = 0; j < 3; ++j)
    for (Index d = 0; d < 6; ++d)
      REQUIRE(cache.latent_view()(j, 0, d) == static_cast<Eigen::bfloat16>(c(j, d)));
}

TEST_CASE("latents may have a codec, beside rotary keys in 16 bits or another scalar") {
  random_source random(8);
  const matrix c = random_matrix(random, 5, 64), k_pe = random_matrix(random, 5, 6);
  headroom::latent_cache<headroom::int8_blocks, 64, 6> coded(9);
  headroom::latent_cache<float, 64, Eigen::Dynamic, Eigen::half> mixed(9, 64, 6);
  REQUIRE(coded.bytes_per_token() == 64 + 2 * 4 + 6 * 2);
  REQUIRE(mixed.bytes_per_token() == 64 * 4 + 6 * 2);
  for (const auto& [begin, count] : {std::pair<int, int>{0, 2}, {2, 3}}) {
    coded.append(c.middleRows(begin, count), k_pe.middleRows(begin, count));
    mixed.append(c.middleRows(begin, count), k_pe.middleRows(begin, count));
  }
  const auto keys = coded.keys(0, 1, 5), values = coded.values(0, 1, 5);
  REQUIRE(keys.tokens == 4);
  for (Index j = 1; j < 5; ++j) {
    std::vector<float> key(70), value(64), alone(64);
    decltype(coded)::KeyCodec::decode(keys.rows + (j - 1) * keys.stride, key.data(), 70);
    decltype(coded)::ValueCodec::decode(values.rows + (j - 1) * values.stride, value.data(), 64);
    std::vector<std::int8_t> stored(64 + 2 * 4);
    headroom::int8_blocks::encode(c.row(j).data(), stored.data(), 64);
    headroom::int8_blocks::decode(stored.data(), alone.data(), 64);
    REQUIRE(value == alone);
    REQUIRE(std::equal(value.begin(), value.end(), key.begin()));
    for (Index d = 0; d < 6; ++d) {
      REQUIRE(key[std::size_t(64 + d)] == float(Eigen::bfloat16(k_pe(j, d))));
      REQUIRE(coded.rope_key_view()(j, 0, d) == Eigen::bfloat16(k_pe(j, d)));
      REQUIRE(mixed.rope_key_view()(j, 0, d) == Eigen::half(k_pe(j, d)));
    }
    for (Index d = 0; d < 64; ++d) REQUIRE(mixed.latent_view()(j, 0, d) == c(j, d));
  }
}

TEST_CASE("truncating and appending again gives what appending at once gives") {
  random_source random(6);
  const matrix c = random_matrix(random, 6, 3), k_pe = random_matrix(random, 6, 2);
  headroom::latent_cache<float> cache(6, 3, 2);
  cache.append(c, k_pe);
  cache.truncate(2);
  REQUIRE(cache.tokens() == 2);
  cache.append(c.middleRows(2, 3), k_pe.middleRows(2, 3));
  for (Index j = 0; j < 5; ++j) REQUIRE(cache.latent_view()(j, 0, 0) == c(j, 0));
  cache.clear();
  REQUIRE(cache.tokens() == 0);
  cache.append(c, k_pe);
  REQUIRE(cache.tokens() == 6);
}

TEST_CASE("tokens are written over others, rotary keys alone too, and erased from the middle") {
  random_source random(7);
  const matrix c = random_matrix(random, 6, 64), k_pe = random_matrix(random, 6, 2);
  headroom::latent_cache<headroom::int8_blocks, 64, 2> cache(6), expected(6);
  expected.append(c, k_pe);
  const auto same = [&](Index t, Index as) {
    const auto row = cache.keys(0, t, t + 1), other = expected.keys(0, as, as + 1);
    return std::equal(row.rows, row.rows + row.stride, other.rows);
  };
  cache.append(ones(4, 64), ones(4, 2));
  cache.write(0, c.topRows(3), k_pe.topRows(3));
  CHECK(cache.tokens() == 4);
  cache.write(3, c.bottomRows(3), k_pe.bottomRows(3));
  CHECK(cache.tokens() == 6);
  cache.write_rope_keys(1, ones(2, 2));
  CHECK(cache.rope_key_view()(2, 0, 1) == Eigen::bfloat16(1));
  cache.write_rope_keys(1, k_pe.middleRows(1, 2));
  for (Index t = 0; t < 6; ++t) CHECK(same(t, t));
  CHECK_THROWS_WITH(cache.write(7, ones(1, 64), ones(1, 2)),
                    "latent_cache: writing after tokens [0, 7), expected a range within size = 6");
  CHECK_THROWS_AS(cache.write(5, ones(2, 64), ones(2, 2)), std::length_error);
  CHECK_THROWS_WITH(
      cache.write_rope_keys(5, ones(2, 2)),
      "latent_cache: writing rotary keys of 2 tokens from 5 on, expected a range within "
      "size = 6");
  CHECK_THROWS_WITH(cache.write_rope_keys(5, ones(1, 3)),
                    "latent_cache: rope_keys are [1, 1, 3], expected [tokens, 1, rope = 2]");
  CHECK_THROWS_WITH(cache.erase(5, 7),
                    "latent_cache: erasing tokens [5, 7), expected a range within size = 6");
  for (Index t = 0; t < 6; ++t) CHECK(same(t, t));
  cache.erase(1, 3);
  CHECK(cache.tokens() == 4);
  for (Index t = 0; t < 4; ++t) CHECK(same(t, t < 1 ? t : t + 2));
}

// Rotary keys beside codecs are in 16 bits.
TEMPLATE_TEST_CASE("tokens of another cache are appended as they are stored there", "", float,
                   Eigen::bfloat16, headroom::int8_rows, headroom::int8_blocks) {
  random_source random(9);
  const matrix c = random_matrix(random, 11, 64), k_pe = random_matrix(random, 11, 6);
  headroom::latent_cache<TestType, 64, 6> other(14), cache(30);
  other.append(c, k_pe);
  cache.append(other, 4, 9);
  CHECK(cache.tokens() == 5);
  for (const Index at : {0, 6, 11}) cache.append(other, at, at);
  CHECK(cache.tokens() == 5);
  cache.append(other, 0, 11);
  REQUIRE(cache.tokens() == 16);
  CHECK(stored_alike(cache, 0, other, 4, 9));
  CHECK(stored_alike(cache, 5, other, 0, 11));
  // Its own, up to the last.
  cache.append(cache, 2, 16);
  REQUIRE(cache.tokens() == 30);
  CHECK(stored_alike(cache, 16, cache, 2, 16));
  CHECK(stored_alike(cache, 5, other, 0, 11));

  const matrix q = random_matrix(random, 2, 3 * 70);
  const auto attend_to = [&](const auto& source) {
    matrix z(2, 3 * 64);
    headroom::attention<3, 1, 70, 64>()(q, source, z, headroom::causal());
    return z;
  };
  headroom::latent_cache<TestType, 64, 6> copy(20);
  copy.append(other, 0, 11);
  CHECK(attend_to(copy) == attend_to(other));
  copy.append(c.topRows(3), k_pe.topRows(3));
  other.append(c.topRows(3), k_pe.topRows(3));
  CHECK(attend_to(copy) == attend_to(other));
}

TEST_CASE("tokens of another cache that do not fit are refused, all or nothing") {
  const auto filled = [](Index tokens, Index rank, Index rope) {
    headroom::latent_cache<float> cache(tokens, rank, rope);
    cache.append(ones(tokens, rank), ones(tokens, rope));
    return cache;
  };
  const auto other = filled(5, 3, 2);
  headroom::latent_cache<float> cache(4, 3, 2);
  cache.append(other, 0, 2);
  const auto refused = [&](const headroom::latent_cache<float>& from, Index begin, Index end) {
    return refusal_of([&] { cache.append(from, begin, end); });
  };
  CHECK(refused(filled(1, 4, 2), 0, 1) == "latent_cache: other has latent_rank = 4, expected 3");
  CHECK(refused(filled(1, 3, 1), 0, 0) == "latent_cache: other has rope = 1, expected 2");
  CHECK(refused(other, 4, 6) ==
        "latent_cache: appending other's tokens [4, 6), expected a range within size = 5");
  CHECK(refused(other, 2, 1) ==
        "latent_cache: appending other's tokens [2, 1), expected a range within size = 5");
  CHECK(refused(cache, -1, 1) ==
        "latent_cache: appending other's tokens [-1, 1), expected a range within size = 2");
  CHECK(refusal_of<std::length_error>([&] { cache.append(other, 0, 3); }) ==
        "latent_cache: appending 3 tokens to 2 exceeds the capacity of 4");
  CHECK(cache.tokens() == 2);
  CHECK(stored_alike(cache, 0, other, 0, 2));
}

TEST_CASE("the cost model knows what a token takes") {
  constexpr headroom::mla_shape shape{.hidden = 7168,
                                      .Q_heads = 128,
                                      .latent_rank = 512,
                                      .nope_dim = 128,
                                      .rope_dim = 64,
                                      .v_dim = 128};
  const headroom::latent_cache<headroom::int8_blocks, 512, 64> cache(1);
  static_assert(shape.cache_bytes<headroom::int8_blocks, headroom::scalar_codec<Eigen::bfloat16>>(
                    10) == 10 * 704);
  REQUIRE(cache.bytes_per_token() == 704);
}

TEST_CASE("latents without a rotary part are a cache too") {
  headroom::latent_cache<float> cache(2, 3, 0);
  cache.append(ones(2, 3), matrix(2, 0));
  REQUIRE(cache.qk_dim() == 3);
  REQUIRE(cache.tokens() == 2);
}

TEST_CASE("a refused append names what disagrees and changes nothing") {
  headroom::latent_cache<float> cache(4, 3, 2);
  cache.append(ones(3, 3), ones(3, 2));
  REQUIRE_THROWS_WITH(cache.append(matrix(1, 4), matrix(1, 2)),
                      "latent_cache: latents are [1, 1, 4], expected [tokens, 1, latent_rank = 3]");
  REQUIRE_THROWS_WITH(cache.append(matrix(1, 3), matrix(1, 1)),
                      "latent_cache: rope_keys are [1, 1, 1], expected [tokens, 1, rope = 2]");
  REQUIRE_THROWS_WITH(cache.append(matrix(1, 3), matrix(2, 2)),
                      "latent_cache: rope_keys have 2 tokens, expected 1 as latents");
  REQUIRE_THROWS_AS(cache.append(ones(2, 3), ones(2, 2)), std::length_error);
  REQUIRE_THROWS_WITH(cache.append(ones(2, 3), ones(2, 2)),
                      "latent_cache: appending 2 tokens to 3 exceeds the capacity of 4");
  REQUIRE_THROWS_WITH(cache.truncate(4),
                      "latent_cache: truncate to 4 tokens, expected 0 to size = 3");
  REQUIRE_THROWS_WITH(headroom::latent_cache<float>(1, 0, 2),
                      "latent_cache: latent_rank = 0 was given, expected at least 1");
  REQUIRE(cache.tokens() == 3);
  for (Index j = 0; j < 3; ++j) REQUIRE(cache.latent_view()(j, 0, 2) == 1);
}
