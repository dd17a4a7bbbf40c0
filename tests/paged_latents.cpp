// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: paged_latents is a latent_cache on pages: latent attention over it gives the same bits in
// both forms, and as a sequence it does what paged_cache does.
#include <headroom/cost.hpp>
#include <headroom/fp8_codec.hpp>
#include <headroom/int8_codec.hpp>
#include <headroom/latent_cache.hpp>
#include <headroom/mla.hpp>
#include <headroom/paged_latents.hpp>
#include <headroom/token_slice.hpp>

#include "support/catch.hpp"
#include "support/pages.hpp"
#include "support/random.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <stdexcept>

namespace hr = headroom;
using Eigen::Index;
using headroom_tests::contains;
using headroom_tests::poison;
using headroom_tests::random_source;

namespace {

using matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

static_assert(hr::kv_source<hr::paged_latents<float, 8, 4>>);
static_assert(hr::kv_source<hr::paged_latents<Eigen::bfloat16>>);
static_assert(hr::kv_source<hr::paged_latents<hr::int8_blocks, 512, 64>>);
static_assert(!std::is_copy_constructible_v<hr::paged_latents<float>>);
static_assert(std::is_nothrow_move_constructible_v<hr::paged_latents<float>>);
static_assert(std::is_nothrow_move_assignable_v<hr::paged_latents<float>>);

matrix random_matrix(random_source& random, Index rows, Index cols) {
  matrix result(rows, cols);
  random.fill(hr::as_view(result, 1));
  return result;
}

bool same(const matrix& a, const matrix& b) {
  return std::equal(a.data(), a.data() + a.size(), b.data(), b.data() + b.size());
}

/// Both forms, over a prompt and over single tokens, against a latent_cache.
template <class Stored, class StoredRope = hr::detail::rope_key_storage<Stored>>
void require_same_bits(std::uint64_t seed, Index tokens, Index q_len, Index page_tokens) {
  constexpr int heads = 3, rank = 16, nope = 8, rope = 5, value = 6;
  random_source random(seed);
  const matrix c = random_matrix(random, tokens, rank), k_pe = random_matrix(random, tokens, rope);
  const matrix weight = random_matrix(random, heads * (nope + value), rank);
  const matrix q = random_matrix(random, q_len, heads * (nope + rope));

  hr::latent_cache<Stored, rank, rope, StoredRope> contiguous(tokens);
  contiguous.append(c, k_pe);
  hr::latent_page_pool<Stored, rank, rope, StoredRope> pool(tokens / page_tokens + 2, page_tokens);
  using Paged = hr::paged_latents<Stored, rank, rope, StoredRope>;
  headroom_tests::scramble<Paged>(pool, random,
                                  [&](Paged& to) { to.append(c.topRows(1), k_pe.topRows(1)); });
  poison(pool);
  Paged paged(pool);
  const Index first = tokens / 2;
  paged.append(c.topRows(first), k_pe.topRows(first));
  paged.append(c.bottomRows(tokens - first), k_pe.bottomRows(tokens - first));

  const hr::mla<heads, rank, nope, rope, value> attend;
  matrix out(q_len, heads * value), expected(q_len, heads * value);
  attend.expanded(q, paged, hr::linear(weight), out, hr::causal{});
  attend.expanded(q, contiguous, hr::linear(weight), expected, hr::causal{});
  REQUIRE(same(out, expected));
  attend.absorbed(q, paged, hr::linear(weight), out, hr::causal{});
  attend.absorbed(q, contiguous, hr::linear(weight), expected, hr::causal{});
  REQUIRE(same(out, expected));
  attend(q, paged, hr::linear(weight), out, hr::causal{});
  attend(q, contiguous, hr::linear(weight), expected, hr::causal{});
  REQUIRE(same(out, expected));
}

template <class... Stored>
void require_same_bits_of_lengths(std::uint64_t seed) {
  for (const Index page_tokens : {1, 5, 16, 64})
    for (const auto& [tokens, q_len] :
         {std::pair<Index, Index>{1, 1}, {70, 70}, {150, 3}, {1800, 1}, {1800, 2}}) {
      INFO("pages of " << page_tokens << ", " << q_len << " queries over " << tokens);
      require_same_bits<Stored...>(seed++, tokens, q_len, page_tokens);
    }
}

}  // namespace

TEST_CASE("latent attention over pages is latent attention over a latent_cache, bit by bit") {
  require_same_bits_of_lengths<float>(1);
  require_same_bits_of_lengths<Eigen::bfloat16>(100);
}

TEST_CASE("so it is where latents have a codec and rotary keys 16 bits or another scalar") {
  require_same_bits_of_lengths<hr::int8_blocks>(200);
  require_same_bits_of_lengths<hr::fp8_codec, Eigen::half>(300);
  require_same_bits_of_lengths<float, Eigen::bfloat16>(400);
}

TEST_CASE("keys are the row of latent and rotary key, values its prefix") {
  random_source random(4);
  const matrix c = random_matrix(random, 7, 5), k_pe = random_matrix(random, 7, 2);
  hr::latent_page_pool<float> pool(3, 3, 5, 2);
  CHECK(pool.bytes_per_token() == 7 * 4);
  CHECK(pool.bytes() == 3 * 32 * 4);  // 21 numbers, on whole cache lines
  hr::paged_latents paged(pool);
  paged.append(c, k_pe);
  CHECK((paged.groups() == 1 && paged.qk_dim() == 7 && paged.v_dim() == 5));
  CHECK(paged.bytes_per_token() == 28);
  for (Index j = 0; j < 7; ++j) {
    const auto key = paged.keys(0, j, 7), value = paged.values(0, j, 7);
    REQUIRE((key.rows == value.rows && key.tokens == value.tokens));
    REQUIRE((key.stride == 7 && key.tokens == std::min(3 - j % 3, 7 - j)));
    for (Index d = 0; d < 5; ++d) REQUIRE(key.rows[d] == c(j, d));
    for (Index d = 0; d < 2; ++d) REQUIRE(key.rows[5 + d] == k_pe(j, d));
  }
}

TEST_CASE("forks of latents share pages and part where they are written") {
  random_source random(5);
  const matrix c = random_matrix(random, 9, 4), k_pe = random_matrix(random, 9, 2);
  hr::latent_page_pool<Eigen::half, 4, 2> pool(6, 4);
  hr::paged_latents one(pool);
  one.append(c.topRows(6), k_pe.topRows(6));
  hr::paged_latents two = one.fork();
  CHECK(pool.pages_in_use() == 2);
  two.append(c.row(8), k_pe.row(8));
  one.append(c.row(6), k_pe.row(6));
  CHECK((pool.pages_in_use() == 3 && pool.pages_shared() == 1));
  CHECK(one.keys(0, 6, 7).rows[1] == static_cast<Eigen::half>(c(6, 1)));
  CHECK(two.keys(0, 6, 7).rows[1] == static_cast<Eigen::half>(c(8, 1)));
  CHECK(two.keys(0, 5, 7).rows[3] == static_cast<Eigen::half>(c(5, 3)));
  two.truncate(3);
  CHECK(pool.pages_in_use() == 2);
}

TEST_CASE("latents leave their pool and come back as they were stored") {
  random_source random(8);
  const matrix c = random_matrix(random, 20, 64), k_pe = random_matrix(random, 20, 6);
  hr::latent_page_pool<hr::int8_rows, 64, 6> pool(8, 3);
  poison(pool);
  hr::paged_latents one(pool), back(pool);
  one.append(c, k_pe);
  hr::latent_cache<hr::int8_rows, 64, 6> aside(30), expected(30);
  expected.append(c, k_pe);
  aside.append(one, 0, 11);
  aside.append(hr::token_slice(one, 11, 20), 0, 9);
  CHECK_THROWS_AS(back.append(one, 0, 4), std::length_error);
  CHECK_THROWS_WITH(back.append(aside, 2, 21),
                    contains("paged_latents: appending other's tokens [2, 21), expected a range "
                             "within size = 20"));
  CHECK((back.tokens() == 0 && pool.pages_free() == 1));
  one.clear();
  back.append(aside, 0, 20);
  back.append(back, 4, 7);
  expected.append(expected, 4, 7);
  REQUIRE(back.tokens() == 23);
  for (Index t = 0; t < 23; ++t) {
    const auto* const stored = back.keys(0, t, t + 1).rows;
    const Index bytes = expected.bytes_per_token();
    CHECK(std::memcmp(stored, expected.keys(0, t, t + 1).rows, std::size_t(bytes)) == 0);
  }
  const hr::latent_cache<hr::int8_rows, 64> of_any_rope(3, 64, 5);
  CHECK_THROWS_WITH(back.append(of_any_rope, 0, 0),
                    contains("paged_latents: other has rope = 5, expected 6"));
}

TEST_CASE("rows of a codec are those of a latent_cache, after forks and truncation too") {
  random_source random(6);
  const matrix c = random_matrix(random, 9, 64), k_pe = random_matrix(random, 9, 3);
  hr::latent_cache<hr::int8_blocks, 64, 3> expected(9);
  expected.append(c, k_pe);
  hr::latent_page_pool<hr::int8_blocks, 64, 3> pool(6, 4);
  poison(pool);
  hr::paged_latents one(pool);
  const auto append = [&](auto& to, Index first, Index count) {
    to.append(c.middleRows(first, count), k_pe.middleRows(first, count));
  };
  // Tokens [0, last) of `paged`, where token t is the expected one of number_of(t).
  const auto holds = [&](const auto& paged, Index tokens, const auto& number_of) {
    REQUIRE(paged.tokens() == tokens);
    for (Index t = 0; t < tokens; ++t) {
      const auto row = paged.keys(0, t, tokens), value = paged.values(0, t, tokens);
      const auto other = expected.keys(0, number_of(t), number_of(t) + 1);
      REQUIRE((row.rows == value.rows && row.stride == other.stride));
      // What fills a row up to whole alignments is nobody's.
      REQUIRE(std::equal(row.rows, row.rows + 64 + 2 * 4 + 3 * 2, other.rows));
    }
  };
  append(one, 0, 6);
  hr::paged_latents two = one.fork();
  append(two, 8, 1);
  append(one, 6, 2);
  holds(one, 8, [](Index t) { return t; });
  holds(two, 7, [](Index t) { return t < 6 ? t : 8; });
  CHECK((pool.pages_in_use() == 3 && pool.pages_shared() == 1));
  two.truncate(3);
  append(two, 3, 6);
  holds(two, 9, [](Index t) { return t; });
  holds(one, 8, [](Index t) { return t; });
}

TEST_CASE("latents are erased, and rotary keys written, as in a latent_cache; forks keep theirs") {
  random_source random(7);
  const matrix c = random_matrix(random, 21, 64), k_pe = random_matrix(random, 21, 3);
  const matrix written = random_matrix(random, 6, 3);
  using Cache = hr::latent_cache<hr::int8_blocks, 64, 3>;
  const auto same_rows = [](const auto& paged, const Cache& cache) {
    REQUIRE(paged.tokens() == cache.tokens());
    for (Index t = 0; t < cache.tokens(); ++t)
      REQUIRE(std::equal(cache.keys(0, t, t + 1).rows, cache.keys(0, t, t + 1).rows + 64 + 8 + 6,
                         paged.keys(0, t, t + 1).rows));
  };
  for (const Index page_tokens : {1, 4, 5, 32})
    for (const auto& [begin, end] :
         {std::array<Index, 2>{0, 1}, {3, 4}, {4, 12}, {2, 15}, {9, 9}, {1, 21}, {0, 21}}) {
      INFO("pages of " << page_tokens << ", tokens [" << begin << ", " << end << ")");
      Cache cache(21), before(21);
      cache.append(c, k_pe);
      before.append(c, k_pe);
      hr::latent_page_pool<hr::int8_blocks, 64, 3> pool(50, page_tokens);
      poison(pool);
      hr::paged_latents one(pool);
      one.append(c, k_pe);
      hr::paged_latents two = one.fork();
      one.write_rope_keys(11, written);
      cache.write_rope_keys(11, written);
      same_rows(one, cache);
      const Index pages = (17 + page_tokens - 1) / page_tokens - 11 / page_tokens;
      REQUIRE(pool.pages_in_use() == std::ssize(two.block_table()) + pages);
      const hr::paged_latents three = one.fork();
      one.erase(begin, end);
      same_rows(three, cache);
      two.erase_and_unshare(begin, end);
      cache.erase(begin, end);
      same_rows(one, cache);
      before.erase(begin, end);
      same_rows(two, before);
    }
}

TEST_CASE("rotary keys that cannot be written are refused by name") {
  hr::latent_page_pool<float> pool(3, 2, 3, 2);
  hr::paged_latents one(pool);
  one.append(matrix(matrix::Ones(4, 3)), matrix(matrix::Ones(4, 2)));
  const hr::paged_latents two = one.fork();
  CHECK_THROWS_WITH(
      one.write_rope_keys(3, matrix(2, 2)),
      "paged_latents: writing rotary keys of 2 tokens from 3 on, expected a range within "
      "size = 4");
  CHECK_THROWS_WITH(one.write_rope_keys(-1, matrix(1, 2)),
                    contains("paged_latents: writing rotary keys of 1 tokens from -1 on"));
  CHECK_THROWS_WITH(one.write_rope_keys(0, matrix(1, 3)),
                    contains("paged_latents: rope_keys are [1, 1, 3]"));
  CHECK_THROWS_WITH(one.write_rope_keys(0, matrix(3, 2)),
                    "paged_latents: writing tokens copies 2 shared pages, the pool has 1 free");
  CHECK_THROWS_WITH(one.erase(0, 1),
                    "paged_latents: erasing tokens copies 2 shared pages, the pool has 1 free");
  CHECK_THROWS_WITH(one.erase(3, 5), contains("paged_latents: erasing tokens [3, 5)"));
  CHECK_THROWS_WITH(one.unshare(3, 5), contains("paged_latents: unsharing tokens [3, 5)"));
  CHECK((pool.pages_free() == 1 && pool.pages_shared() == 2 && one.tokens() == 4));
}

TEST_CASE("a token of a codec takes on pages what it takes in a cache, as the cost model has it") {
  constexpr hr::mla_shape shape{.hidden = 7168,
                                .Q_heads = 128,
                                .latent_rank = 512,
                                .nope_dim = 128,
                                .rope_dim = 64,
                                .v_dim = 128};
  hr::latent_page_pool<hr::int8_blocks, 512, 64> pool(3, 16);
  CHECK(pool.bytes_per_token() == hr::latent_cache<hr::int8_blocks, 512, 64>(1).bytes_per_token());
  CHECK(pool.bytes_per_token() ==
        shape.cache_bytes<hr::int8_blocks, hr::scalar_codec<Eigen::bfloat16>>(1));
  CHECK(pool.bytes() == 3 * 16 * pool.bytes_per_token());
  CHECK(hr::paged_latents(pool).bytes_per_token() == 704);
}

TEST_CASE("latents without a rotary part are paged too") {
  hr::latent_page_pool<float> pool(2, 2, 3, 0);
  hr::paged_latents paged(pool);
  paged.append(matrix(matrix::Ones(3, 3)), matrix(3, 0));
  CHECK((paged.tokens() == 3 && paged.qk_dim() == 3));
}

TEST_CASE("what does not fit latents is refused by name") {
  hr::latent_page_pool<float> pool(3, 2, 3, 2);
  hr::paged_latents paged(pool);
  CHECK_THROWS_WITH(paged.append(matrix(1, 4), matrix(1, 2)),
                    contains("paged_latents: latents are [1, 1, 4], expected [tokens, 1, "
                             "latent_rank = 3]"));
  CHECK_THROWS_WITH(paged.append(matrix(1, 3), matrix(1, 1)),
                    contains("paged_latents: rope_keys are [1, 1, 1], expected [tokens, 1, rope = "
                             "2]"));
  CHECK_THROWS_WITH(paged.append(matrix(1, 3), matrix(2, 2)),
                    contains("paged_latents: rope_keys have 2 tokens, expected 1 as latents"));
  CHECK_THROWS_WITH(paged.append(matrix(7, 3), matrix(7, 2)),
                    contains("paged_latents: appending 7 tokens to 0 exceeds the capacity of 6"));
  CHECK(pool.pages_free() == 3);
  CHECK_THROWS_WITH(hr::latent_page_pool<float>(1, 1, 0, 2),
                    contains("latent_page_pool: latent_rank = 0 was given, expected at least 1"));
  CHECK_THROWS_WITH(hr::latent_page_pool<float>(1, 1, 2, -1),
                    contains("latent_page_pool: rope = -1 was given, expected at least 0"));
  CHECK_THROWS_WITH(hr::latent_page_pool<float>(1, 0, 2, 1),
                    contains("latent_page_pool: page_tokens = 0, expected at least 1"));
  constexpr Index most = std::numeric_limits<Index>::max();
  CHECK_THROWS_WITH(hr::latent_page_pool<float>(4, 2, most, most),
                    contains("expected at most 2147483647"));
}
