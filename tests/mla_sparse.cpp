// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: latent attention of each query to a list of tokens is latent attention over all of them
// with a mask that shows it these alone, whatever the other mask; lists that are none are refused.
#include <headroom/dense_mask.hpp>
#include <headroom/mla_sparse.hpp>
#include <headroom/paged_latents.hpp>

#include "support/allocation_counter.hpp"
#include "support/any_mask.hpp"
#include "support/catch.hpp"
#include "support/latent_problem.hpp"
#include "support/poison.hpp"
#include "support/problem.hpp"
#include "support/refusal.hpp"

#include <vector>

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

// Masks are one type: each type is kernels of its own.
using some_mask =
    any_mask<hr::none, hr::causal, hr::both_masks<hr::causal, hr::sliding_window>, hr::key_length>;

const some_mask everything{hr::none()}, causal{hr::causal()};

// Lists of tokens for each query, at random; one may be empty.
struct token_lists {
  std::vector<Index> offsets = {0};
  std::vector<int> tokens;
  std::vector<char> flags;  // [q_len, kv_len], the same as a tensor
  Index q_len, kv_len;

  token_lists(random_source& random, Index queries, Index keys) : q_len(queries), kv_len(keys) {
    for (Index t = 0; t < q_len; ++t) {
      const double share = t == 1 ? 0 : random.pick<double>({0.1, 0.5, 1});
      for (Index j = 0; j < kv_len; ++j) {
        flags.push_back(random.chance(share));
        if (flags.back()) tokens.push_back(static_cast<int>(j));
      }
      offsets.push_back(static_cast<Index>(tokens.size()));
    }
  }
  hr::dense_mask<char> mask() const {
    return hr::dense_mask<char>(hr::tokens_major(flags.data(), q_len, 1, kv_len));
  }
};

template <class Scalar, class Latents, class Executor = hr::serial>
matrix<Scalar> attend_listed(const latent_problem<Scalar>& p, const Latents& latents,
                             const token_lists& lists, const some_mask& mask,
                             const Executor& executor = {}) {
  matrix<Scalar> out(p.q_len, p.heads * p.value);
  hr::attend_tokens(p.core(), p.q, latents, lists.offsets, lists.tokens, hr::linear(p.up), out,
                    mask, {}, executor);
  return out;
}

}  // namespace

TEMPLATE_TEST_CASE("a list of latents is a mask that shows no others", "", float, double) {
  random_source random(41);
  for (int round = 0; round < 60; ++round) {
    const Index q_len = random.integer(0, 9), kv_len = random.integer(q_len, 300);
    latent_problem<TestType> p(static_cast<std::uint64_t>(round), random.integer(1, 20), 48, 16, 8,
                               12, q_len, kv_len);
    const token_lists lists(random, q_len, kv_len);
    const auto check = [&](const some_mask& mask) {
      const matrix<double> exact = p.exact(mask & lists.mask());
      const matrix<TestType> in_one_piece = attend_listed(p, p.cache(), lists, mask);
      REQUIRE(difference(in_one_piece.template cast<double>(), exact) <= p.bound);
      hr::latent_page_pool<TestType> pool(100, 5, p.rank, p.rope);
      hr::paged_latents<TestType> pages(pool);
      pages.append(p.latents, p.rope_keys);
      const matrix<TestType> on_pages = attend_listed(p, pages, lists, mask);
      REQUIRE(on_pages == in_one_piece);
    };
    check(everything);
    check(causal);
    check(some_mask(hr::causal() & hr::sliding_window(30)));
  }
}

TEST_CASE("latents that are not listed do not reach a result, whatever they hold") {
  random_source random(42);
  latent_problem<float> p(7, 4, 32, 16, 8, 12, 1, 90);
  const token_lists lists(random, 1, 90);
  REQUIRE(lists.tokens.size() < 90);
  const matrix<float> expected = attend_listed(p, p.cache(), lists, everything);
  for (Index j = 0; j < 90; ++j)
    if (!lists.flags[static_cast<std::size_t>(j)]) {
      p.latents.row(j).setConstant(quiet_nan<float>());
      p.rope_keys.row(j).setConstant(quiet_nan<float>());
    }
  CHECK(attend_listed(p, p.cache(), lists, everything) == expected);
}

TEST_CASE("latents have the same bits on every executor, and allocate nothing once warm") {
  random_source random(43);
  const latent_problem<float> p(8, 16, 64, 16, 8, 12, 5, 1700);
  const token_lists lists(random, 5, 1700);
  const auto cache = p.cache();
  const matrix<float> expected = attend_listed(p, cache, lists, causal);
#ifdef _OPENMP
  for (const int threads : {2, 5})
    CHECK(attend_listed(p, cache, lists, causal, hr::openmp{threads}) == expected);
#endif
  matrix<float> out(5, 16 * 12);
  const auto step = [&] {
    hr::attend_tokens(p.core(), p.q, cache, lists.offsets, lists.tokens, hr::linear(p.up), out,
                      causal);
  };
  step();
  CHECK(allocations_of(step) == 0);
}

TEST_CASE("lists of latents that are none, and masks of other latents, are refused") {
  const latent_problem<float> p(9, 2, 16, 8, 4, 6, 2, 10);
  const auto cache = p.cache();
  matrix<float> out = matrix<float>::Constant(2, 2 * 6, 7);
  const auto refusal = [&](const std::vector<int>& offsets, const std::vector<int>& tokens,
                           const some_mask& mask = everything) {
    const std::string what = refusal_of([&] {
      hr::attend_tokens(p.core(), p.q, cache, offsets, tokens, hr::linear(p.up), out, mask);
    });
    CHECK((out.array() == 7).all());
    return what;
  };
  CHECK(refusal({0, 2, 3}, {1, 5, 9}, some_mask(hr::key_length(11))) ==
        "key_length: length = 11, expected 0 to kv_len = 10");
  CHECK(refusal({0, 2, 3}, {1, 5, 10}) ==
        "attend_tokens: query 1: tokens[0] = 10, expected 0 to 9, one of kv_len = 10");
  CHECK(refusal({0, 2, 1}, {1}) ==
        "attend_tokens: offsets not monotone: offsets[2] = 1, expected at least offsets[1] = 2");
  const latent_problem<float> other(9, 2, 24, 8, 4, 6, 2, 10);
  const auto wide = other.cache();
  CHECK(refusal_of([&] {
          hr::attend_tokens(p.core(), p.q, wide, std::vector<int>{0, 1, 1}, std::vector<int>{3},
                            hr::linear(p.up), out, everything);
        }) == "attend_tokens: latents have width 24, expected latent_rank = 16");
}
