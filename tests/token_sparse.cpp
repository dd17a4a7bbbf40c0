// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: attention of each query to a list of tokens is attention over all tokens with a mask that
// shows it these alone, whatever the other mask; lists that are none are refused.
#include <headroom/dense_mask.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/score_mod.hpp>
#include <headroom/token_sparse.hpp>

#include <array>
#include <span>
#include <vector>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "support/paged_source.hpp"
#include "support/problem.hpp"
#include "support/random.hpp"
#include "support/refusal.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

// Lists of tokens for each query, at random.
struct token_lists {
  std::vector<int> offsets = {0};
  std::vector<int> tokens;
  std::vector<char> flags;  // [q_len, kv_len], the same as a tensor
  Index q_len, kv_len;

  token_lists(random_source& random, Index queries, Index keys) : q_len(queries), kv_len(keys) {
    for (Index t = 0; t < q_len; ++t) {
      const double share = random.pick<double>({0, 0.1, 0.5, 0.95, 1});
      for (Index j = 0; j < kv_len; ++j) {
        const bool listed = random.chance(share);
        flags.push_back(listed);
        if (listed) tokens.push_back(static_cast<int>(j));
      }
      offsets.push_back(static_cast<int>(tokens.size()));
    }
  }
  hr::view<const char> as_tensor() const {
    return hr::tokens_major(flags.data(), q_len, 1, kv_len);
  }
};

template <class Problem, class Source, class Mask = hr::none, class Executor = hr::serial>
answer<float> attend_listed(const Problem& p, const Source& source, const token_lists& lists,
                            const Mask& mask = {}, hr::attention_options<float> options = {},
                            const Executor& executor = {}) {
  const auto q = p.queries();
  answer<float> got{{q.tokens(), q.heads(), source.v_dim()}, {q.tokens(), q.heads(), 1}};
  options.lse = got.lse.per_head();
  hr::attend_tokens(any_attention(q.heads(), source.groups(), q.dim(), source.v_dim()), q, source,
                    lists.offsets, lists.tokens, got.out.view(), mask, options, executor);
  return got;
}

}  // namespace

TEST_CASE("a list of tokens is a mask that shows no others") {
  random_source random(4);
  for (int round = 0; round < 30; ++round) {
    const Index groups = random.integer(1, 3);
    const problem<> p({random.integer(0, 7), random.chance(0.2) ? 2000 : random.integer(0, 200),
                       groups * random.integer(1, 4), groups, random.integer(1, 40),
                       random.integer(1, 40)});
    const token_lists lists(random, p.q.tokens(), p.k.tokens());
    const hr::view_source<float, float> source(p.keys(), p.values());
    const std::vector<float> sinks = random.numbers(p.q.heads());
    const hr::attention_options<float> options{.sinks = sinks};
    const auto compare = [&](const auto& mask, const auto& where) {
      const auto dense = mask & hr::dense_mask<char>(lists.as_tensor());
      REQUIRE(error_ratio(attend_listed(p, where, lists, mask, options), p.exact(dense, options)) <=
              1);
    };
    compare(hr::none(), source);
    compare(hr::causal(), source);
    compare(hr::causal() & hr::sliding_window(30), paged_source<float>(p.keys(), p.values(), 16));
    compare(hr::score_mod([](auto score, const hr::query_row& row, Index key) {
              return score - 0.01f * static_cast<float>(row.position - key);
            }),
            source);
  }
}

TEST_CASE("an indexer's list is put in order") {
  const auto ordered = [](std::vector<int> list) {
    list.resize(static_cast<std::size_t>(hr::order_tokens(std::span(list))));
    return list;
  };
  CHECK(ordered({5, -1, 0, 9, 2, 5, -1}) == std::vector{0, 2, 5, 9});
  CHECK(ordered({1, 2, 3}) == std::vector{1, 2, 3});
  CHECK(ordered({-1, -7}).empty());
  CHECK(ordered({}).empty());
}

TEST_CASE("tokens that are not listed do not reach a result, whatever they hold") {
  random_source random(9);
  problem<> p({3, 150, 4, 2, 16, 8});
  token_lists lists(random, 3, 150);
  const hr::dense_mask<char> dense(lists.as_tensor());
  poison_unseen(p.k.view(), p.v.view(), dense, 3, 4, 147);
  const hr::view_source<float, float> source(p.keys(), p.values());
  CHECK(error_ratio(attend_listed(p, source, lists), p.exact(dense)) <= 1);
}

TEST_CASE("neighbours are read as one run, at the width of the source") {
  const problem<> p({1, 20, 2, 1, 4, 4});
  const hr::view_source<float, float> source(p.keys(), p.values());
  const std::vector<Index> tokens = {2, 3, 4, 9, 10, 15};
  const hr::selected_tokens<hr::view_source<float, float>> selected(source, tokens);
  CHECK(selected.tokens() == 6);
  CHECK(selected.keys(0, 0, 6).tokens == 3);
  CHECK(selected.keys(0, 0, 6).rows == p.keys().row(2, 0));
  CHECK(selected.values(0, 1, 2).tokens == 1);
  CHECK(selected.values(0, 3, 6).tokens == 2);
  CHECK(selected.values(0, 4, 6).rows == p.values().row(10, 0));
  for (const auto& [t, place] : {std::pair<Index, Index>{-5, 0}, {2, 0}, {3, 1}, {5, 3}, {99, 6}})
    CHECK(selected.place(t) == place);
}

TEST_CASE("lists have the same bits on every executor, and allocate nothing once warm") {
  random_source random(12);
  const problem<> p({5, 1700, 8, 2, 16, 16});
  const token_lists lists(random, 5, 1700);
  const hr::view_source<float, float> source(p.keys(), p.values());
  const auto expected = attend_listed(p, source, lists, hr::causal());
#ifdef _OPENMP
  for (const int threads : {1, 2, 5})
    CHECK(same_bits(attend_listed(p, source, lists, hr::causal(), {}, hr::openmp{threads}),
                    expected));
#endif
  tensor<float> out(5, 8, 16);
  const any_attention heads(8, 2, 16, 16);
  const auto step = [&] {
    hr::attend_tokens(heads, p.queries(), source, lists.offsets, lists.tokens, out.view(),
                      hr::causal());
  };
  step();
  const long count = allocations_of(step);
  if (counts_allocations) CHECK(count == 0);
}

TEST_CASE("lists that are none, and masks of other keys, are refused, and nothing is written") {
  const problem<> p({2, 10, 2, 1, 4, 4});
  const hr::view_source<float, float> source(p.keys(), p.values());
  const auto refusal = [&](const std::vector<int>& offsets, const std::vector<int>& tokens,
                           Index kv_len = 10) {
    tensor<float> out(2, 2, 4);
    random_source random(5);
    random.fill(out.view());
    const tensor<float> before = out;
    const std::string said = refusal_of([&] {
      hr::attend_tokens(any_attention(2, 1, 4, 4), p.queries(), source, offsets, tokens, out.view(),
                        hr::key_length(kv_len));
    });
    return same_bits(std::as_const(out).view(), before.view()) ? said : "out was written: " + said;
  };
  CHECK(refusal({0, 2, 3}, {1, 5, 0}) == "out was written: nothing was thrown");
  CHECK(refusal({0, 2, 3}, {1, 5, 0}, 11) == "key_length: length = 11, expected 0 to kv_len = 10");
  CHECK(refusal({0, 2, 3}, {1, 5, 10}) ==
        "attend_tokens: query 1: tokens[0] = 10, expected 0 to 9, one of kv_len = 10");
  CHECK(refusal({0, 2, 3}, {-1, 5, 9}) ==
        "attend_tokens: query 0: tokens[0] = -1, expected 0 to 9, one of kv_len = 10");
  CHECK(refusal({0, 0, 3}, {1, 5, 5}) ==
        "attend_tokens: query 1: tokens[2] = 5 after 5, expected ascending, each once");
  CHECK(refusal({0, 2, 1}, {1}) ==
        "attend_tokens: offsets not monotone: offsets[2] = 1, expected at least offsets[1] = 2");
  CHECK(refusal({0, 1, 2}, {1, 5, 7}) ==
        "attend_tokens: offsets[2] = 2, expected the number of tokens = 3");
  CHECK(
      refusal({0, 1}, {1}) ==
      "attend_tokens: 2 offsets were given, expected 3, where each of 2 begins and the last ends");
}
