// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: working memory is kept from call to call, so a decode step allocates nothing once one over
// as many keys has run.
#include <headroom/attention.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/score_mod.hpp>

#include <vector>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "support/problem.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

/// Decodes one token after another over a cache of `Stored`; after a warm-up at full length, no
/// step may allocate.
template <class Stored>
void require_no_allocation(Index Q_heads, Index KV_groups, Index dim, Index tokens) {
  const problem<> p({tokens, tokens, Q_heads, KV_groups, dim, dim});
  tensor<float> out(1, Q_heads, dim), lse(1, Q_heads, 1);
  hr::kv_cache<Stored> cache(tokens, KV_groups, dim);
  const any_attention attention(Q_heads, KV_groups, dim, dim);
  const std::vector<float> sinks(static_cast<std::size_t>(Q_heads), 0.5f);

  const auto step = [&](Index t) {
    cache.append(p.keys().slice_tokens(t, t + 1), p.values().slice_tokens(t, t + 1));
    attention(p.queries().slice_tokens(t, t + 1), cache, out.view(),
              hr::causal{} & hr::mask([](Index, Index, Index key) { return key % 3 != 1; }),
              {.softcap = 30.f, .sinks = sinks, .lse = lse.per_head()});
    attention(p.queries().slice_tokens(t, t + 1), cache, out.view(), hr::causal{});
  };
  for (Index t = 0; t < tokens; ++t) step(t);
  cache.truncate(tokens / 2);
  const long count = allocations_of([&] {
    for (Index t = tokens / 2; t < tokens; ++t) step(t);
  });
  if (counts_allocations) REQUIRE(count == 0);
}

}  // namespace

TEST_CASE("The counter sees every kind of allocation") {
  if (!counts_allocations) return;
  // A compiler may leave out an allocation that nobody looks at.
  void* volatile seen = nullptr;
  REQUIRE(allocations_of([&] { seen = nullptr; }) == 0);
  REQUIRE(allocations_of([&] {
            std::vector<int> numbers(100);
            seen = numbers.data();
          }) == 1);
  REQUIRE(allocations_of([&] {
            Eigen::VectorXf numbers(100);
            seen = numbers.data();
          }) == 1);
  REQUIRE(allocations_of([&] {
            seen = std::aligned_alloc(64, 128);
            std::free(seen);
          }) == 1);
  constexpr std::align_val_t line{64};
  REQUIRE(allocations_of([&] {
            seen = ::operator new(64, line);
            ::operator delete(seen, line);
          }) == 1);
}

TEST_CASE("A decode step with a warm cache allocates nothing") {
  SECTION("grouped-query") {
    require_no_allocation<float>(8, 2, 64, 200);
  }
  SECTION("multi-head") {
    require_no_allocation<float>(6, 6, 17, 200);
  }
  SECTION("multi-query, many heads") {
    require_no_allocation<float>(71, 1, 64, 140);
  }
  SECTION("bfloat16 cache") {
    require_no_allocation<Eigen::bfloat16>(8, 2, 128, 200);
  }
  SECTION("half cache") {
    require_no_allocation<Eigen::half>(4, 1, 256, 140);
  }
  SECTION("keys split over work items") {
    require_no_allocation<float>(8, 2, 16, 2100);
  }
}

TEST_CASE("A prefill of the size of an earlier one allocates nothing") {
  const problem<> p({130, 300, 8, 2, 128, 128});
  tensor<float> out(130, 8, 128);
  const hr::gqa<8, 2> attention(128);
  const auto prefill = [&] {
    attention(p.queries(), p.keys(), p.values(), out.view(), hr::causal{});
  };
  prefill();
  const long count = allocations_of(prefill);
  if (counts_allocations) REQUIRE(count == 0);
}
