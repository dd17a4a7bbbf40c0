// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: as in differential.cpp, for every scalar that keys and values are stored in, for both
// scalars that are computed in, and for caches.
#include <headroom/attention.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/page_pool.hpp>
#include <headroom/paged_cache.hpp>
#include <headroom/score_mod.hpp>

#include <vector>

#include "support/catch.hpp"
#include "support/differential.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

/// Runs `count` random problems with keys and values stored as Key and Value, in views or, where
/// `cached`, in a cache that holds other numbers behind the last token.
template <class Scalar, class Key, class Value, bool cached = false>
void run(std::uint64_t base_seed, std::uint64_t count) {
  differential_summary summary;
  for (std::uint64_t i = 0; i < count; ++i) {
    random_source random(base_seed + i);
    const random_problem<Scalar> problem(random);
    INFO("seed " << base_seed + i << ": " << problem.text());
    const auto attend = [](auto q, auto k, auto v, auto out, const auto& mask,
                           const auto& options) {
      const any_attention attention(q.heads(), k.heads(), q.dim(), v.dim());
      if constexpr (cached) {
        hr::kv_cache<Key> cache(k.tokens() + 3, k.heads(), k.dim(), v.dim());
        cache.append(k, v);
        attention(q, cache, out, mask, options);
      } else {
        attention(q, k, v, out, mask, options);
      }
    };
    const hr::sliding_window window(random.integer(1, problem.size.kv_len + 2));
    const Index stride = random.integer(2, 9);
    if (i % 2 == 0)
      compare<Key, Value>(problem, random, hr::causal{} & window, summary, attend);
    else
      compare<Key, Value>(problem, random,
                          hr::mask([=](Index head, Index query, Index key) {
                            return (head + query + key) % stride != 0;
                          }) & hr::score_mod([](auto score, Index, Index, Index key) {
                            return score - decltype(score)(key % 5);
                          }),
                          summary, attend);
  }
  WARN(summary.text(base_seed));
  REQUIRE(summary.decodes >= 10);
}

/// A user's codec whose element is longer than a cache line: numbers in pieces of 20.
struct pieces {
  struct Storage {
    float numbers[20];
  };
  static Index storage_size(Index dim) { return (dim + 19) / 20; }

  template <class In>
  static void encode(const In* row, Storage* stored, Index dim) {
    for (Index d = 0; d < dim; ++d) stored[d / 20].numbers[d % 20] = static_cast<float>(row[d]);
  }
  template <class Out>
  static void decode(const Storage* stored, Out* row, Index dim) {
    for (Index d = 0; d < dim; ++d) row[d] = Out(stored[d / 20].numbers[d % 20]);
  }
};

}  // namespace

TEST_CASE("A codec may store elements longer than a cache line") {
  for (const Index q_len : {1, 3, 100}) {
    const problem p({q_len, 700, 8, 2, 45, 20});
    hr::kv_cache<pieces> cache(700, 2, 45, 20);
    hr::page_pool<pieces> pool(700, 16, 2, 45, 20), of_one(700, 1, 2, 45, 20);
    hr::paged_cache on_pages(pool), token_by_token(of_one);
    const any_attention attention(8, 2, 45, 20);
    const auto check = [&](auto& keys_and_values) {
      answer<float> result = attend(p, hr::none());
      keys_and_values.append(p.keys(), p.values());
      attention(p.queries(), keys_and_values, result.out.view(), hr::causal{},
                {.lse = result.lse.per_head()});
      CHECK(error_ratio(result, p.exact(hr::causal{})) <= 1);
    };
    check(cache);
    check(on_pages);
    check(token_by_token);
  }
}

TEST_CASE("Half-precision views, computed in float") {
  run<float, Eigen::half, Eigen::half>(300'000, 300);
  run<float, Eigen::bfloat16, Eigen::half>(310'000, 300);
}

TEST_CASE("Views of double, computed in float and in double") {
  run<float, double, float>(320'000, 300);
  run<double, double, double>(330'000, 300);
}

TEST_CASE("Caches") {
  run<float, float, float, true>(340'000, 300);
  run<float, Eigen::bfloat16, Eigen::bfloat16, true>(350'000, 300);
  run<double, Eigen::bfloat16, Eigen::bfloat16, true>(360'000, 300);
}
