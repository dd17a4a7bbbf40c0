// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: attention of blocks of queries to lists of blocks of keys is attention over all keys with a
// mask that shows these alone, wherever blocks end; lists that are none are refused.
#include <headroom/block_sparse.hpp>
#include <headroom/dense_mask.hpp>
#include <headroom/score_mod.hpp>

#include <limits>
#include <vector>

#include "support/catch.hpp"
#include "support/problem.hpp"
#include "support/random.hpp"
#include "support/refusal.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

struct block_lists {
  hr::block_shape shape;
  std::vector<Index> offsets = {0};
  std::vector<int> blocks;
  std::vector<char> flags;  // [q_len, kv_len], the same as a tensor
  Index q_len, kv_len;

  block_lists(random_source& random, hr::block_shape of, Index queries, Index keys)
      : shape(of), q_len(queries), kv_len(keys) {
    flags.resize(static_cast<std::size_t>(q_len * kv_len));
    for (Index first = 0; first < q_len; first += shape.queries) {
      const double share = random.pick<double>({0, 0.2, 0.7, 1});
      for (Index b = 0; b * shape.keys < kv_len; ++b) {
        if (!random.chance(share)) continue;
        blocks.push_back(static_cast<int>(b));
        for (Index t = first; t < std::min(first + shape.queries, q_len); ++t)
          for (Index j = b * shape.keys; j < std::min((b + 1) * shape.keys, kv_len); ++j)
            flags[static_cast<std::size_t>(t * kv_len + j)] = true;
      }
      offsets.push_back(static_cast<Index>(blocks.size()));
    }
  }
  hr::view<const char> as_tensor() const {
    return hr::tokens_major(flags.data(), q_len, 1, kv_len);
  }
};

template <class Mask = hr::none, class Executor = hr::serial>
answer<float> attend_listed(const problem<>& p, const block_lists& lists, const Mask& mask = {},
                            hr::attention_options<float> options = {},
                            const Executor& executor = {}) {
  const auto q = p.queries();
  answer<float> got{{q.tokens(), q.heads(), p.v.dim()}, {q.tokens(), q.heads(), 1}};
  options.lse = got.lse.per_head();
  hr::attend_blocks(any_attention(q.heads(), p.k.heads(), q.dim(), p.v.dim()), q,
                    hr::view_source<float, float>(p.keys(), p.values()), lists.shape, lists.offsets,
                    lists.blocks, got.out.view(), mask, options, executor);
  return got;
}

}  // namespace

TEST_CASE("a list of blocks is a mask that shows no others") {
  random_source random(4);
  for (int round = 0; round < 40; ++round) {
    const Index groups = random.integer(1, 2);
    const problem<> p({random.integer(0, 90), random.chance(0.2) ? 1700 : random.integer(0, 300),
                       groups * random.integer(1, 4), groups, random.integer(1, 40),
                       random.integer(1, 40)});
    const hr::block_shape shape{random.integer(1, 40), random.pick<Index>({1, 7, 16, 64, 1000})};
    const block_lists lists(random, shape, p.q.tokens(), p.k.tokens());
    const hr::dense_mask<char> dense(lists.as_tensor());
    const hr::attention_options<float> early{.first_position = random.integer(-5, 200)};
    REQUIRE(error_ratio(attend_listed(p, lists), p.exact(dense)) <= 1);
    REQUIRE(error_ratio(attend_listed(p, lists, hr::causal(), early),
                        p.exact(hr::causal() & dense, early)) <= 1);
    const auto rows =
        hr::mask([](Index, Index query, Index key) { return (query + key) % 5 != 0; });
    REQUIRE(error_ratio(attend_listed(p, lists, rows), p.exact(rows & dense)) <= 1);
  }
}

TEST_CASE("every block listed is attention over all") {
  random_source random(4);
  const problem<> p({70, 230, 4, 2, 16, 8});
  block_lists lists(random, {32, 64}, 70, 230);
  lists.offsets = {0, 4, 8, 12};
  lists.blocks = {0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3};
  CHECK(error_ratio(attend_listed(p, lists, hr::causal()), p.exact(hr::causal())) <= 1);
}

TEST_CASE("blocks have the same bits on every executor") {
  random_source random(7);
  const problem<> p({300, 900, 4, 2, 16, 8});
  const block_lists lists(random, {64, 64}, 300, 900);
  const auto expected = attend_listed(p, lists, hr::causal());
  const auto backwards = [](Index count, const auto& work) {
    for (Index i = count; i-- > 0;) work(i);
  };
  CHECK(same_bits(attend_listed(p, lists, hr::causal(), {}, backwards), expected));
#ifdef _OPENMP
  for (const int threads : {1, 2, 5})
    CHECK(same_bits(attend_listed(p, lists, hr::causal(), {}, hr::openmp{threads}), expected));
#endif
}

TEST_CASE("blocks of a source lie where they lie in it, neighbours as one run") {
  const problem<> p({1, 21, 2, 1, 4, 4});
  const hr::view_source<float, float> source(p.keys(), p.values());
  const std::vector<Index> blocks = {1, 2, 5};
  const hr::selected_blocks<hr::view_source<float, float>> selected(source, 4, blocks);
  CHECK(selected.tokens() == 9);  // the last block of the source has one token
  CHECK(selected.token(8) == 20);
  CHECK(selected.keys(0, 1, 9).tokens == 7);
  CHECK(selected.keys(0, 1, 9).rows == p.keys().row(5, 0));
  CHECK(selected.keys(0, 1, 3).tokens == 2);
  CHECK(selected.values(0, 8, 9).rows == p.values().row(20, 0));
  for (const auto& [t, place] : {std::pair<Index, Index>{-5, 0},
                                 {4, 0},
                                 {6, 2},
                                 {12, 8},
                                 {15, 8},
                                 {20, 8},
                                 {21, 9},
                                 {99, 9}})
    CHECK(selected.place(t) == place);
}

TEST_CASE("lists that are none, and masks of other keys, are refused, and nothing is written") {
  const problem<> p({5, 10, 2, 1, 4, 4});
  const auto refusal = [&](hr::block_shape shape, const std::vector<Index>& offsets,
                           const std::vector<int>& blocks, Index kv_len = 10) {
    tensor<float> out(5, 2, 4);
    random_source random(5);
    random.fill(out.view());
    const tensor<float> before = out;
    const std::string said = refusal_of([&] {
      hr::attend_blocks(any_attention(2, 1, 4, 4), p.queries(),
                        hr::view_source<float, float>(p.keys(), p.values()), shape, offsets, blocks,
                        out.view(), hr::key_length(kv_len));
    });
    return same_bits(std::as_const(out).view(), before.view()) ? said : "out was written: " + said;
  };
  CHECK(refusal({3, 4}, {0, 1, 3}, {2, 0, 1}) == "out was written: nothing was thrown");
  constexpr Index most = std::numeric_limits<Index>::max();
  CHECK(refusal({most, most}, {0, 1}, {0}) == "out was written: nothing was thrown");
  CHECK(
      refusal({most, most}, {0, 1}, {1}) ==
      "attend_blocks: query block 0: blocks[0] = 1, expected 0 to 0, one of the 1 blocks of keys");
  CHECK(refusal({3, 4}, {0, 1, 3}, {2, 0, 1}, 11) ==
        "key_length: length = 11, expected 0 to kv_len = 10");
  CHECK(refusal({3, 0}, {0, 1, 3}, {2, 0, 1}) ==
        "attend_blocks: shape is 3 queries x 0 keys, expected at least 1 of each");
  CHECK(
      refusal({3, 4}, {0, 1, 3}, {3, 0, 1}) ==
      "attend_blocks: query block 0: blocks[0] = 3, expected 0 to 2, one of the 3 blocks of keys");
  CHECK(refusal({3, 4}, {0, 1, 3}, {2, 1, 0}) ==
        "attend_blocks: query block 1: blocks[1] = 0 after 1, expected ascending, each once");
  CHECK(refusal({3, 4}, {0, 4, 3}, {2, 1, 0}) ==
        "attend_blocks: offsets not monotone: offsets[2] = 3, expected at least offsets[1] = 4");
  CHECK(refusal({3, 4}, {0, 1, 2}, {2, 1, 0}) ==
        "attend_blocks: offsets[2] = 2, expected the number of blocks = 3");
  CHECK(
      refusal({2, 4}, {0, 1, 3}, {2, 0, 1}) ==
      "attend_blocks: 3 offsets were given, expected 4, where each of 3 begins and the last ends");
  const hr::view_source<float, float> source(p.keys(), p.values());
  const std::vector<int> none;
  CHECK_THROWS_WITH((hr::selected_blocks<hr::view_source<float, float>, int>(source, 0, none)),
                    "selected_blocks: blocks are of 0 keys, expected at least 1");
}
