// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: attention depends on the numbers of a source, not on where they lie: a source of the
// user's, in pages that are shorter than a tile and out of order, gives what plain views give. A
// source of one run answers with all that was asked for.
#include <headroom/int8_codec.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/latent_cache.hpp>

#include "support/catch.hpp"
#include "support/paged_source.hpp"
#include "support/problem.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

template <class Source, class Mask>
answer<float> attend_source(const problem_size& size, hr::view<const float> q, const Source& source,
                            const Mask& mask) {
  answer<float> result{{size.q_len, size.Q_heads, size.v_dim}, {size.q_len, size.Q_heads, 1}};
  const any_attention heads(size.Q_heads, size.KV_groups, size.qk_dim, size.v_dim);
  heads(q, source, result.out.view(), mask, {.lse = result.lse.per_head()});
  return result;
}

// Prefill and decode, one key, keys that end inside a page and inside a tile.
const std::vector<problem_size> shapes = {
    {1, 1, 2, 2, 8, 8}, {37, 150, 6, 2, 17, 5}, {1, 300, 8, 1, 16, 16}, {2, 1901, 4, 2, 32, 16}};

}  // namespace

TEST_CASE("a view_source reads its views in place") {
  const problem p({1, 6, 4, 2, 3, 5}, 1, layout::heads_padded);
  const hr::view_source<float, float> source(p.keys(), p.values());
  CHECK((source.tokens() == 6 && source.groups() == 2));
  CHECK((source.qk_dim() == 3 && source.v_dim() == 5));
  const auto keys = source.keys(1, 2, 5);
  const auto values = source.values(1, 2, 5);
  CHECK((keys.tokens == 3 && values.tokens == 3));
  for (Index i = 0; i < 3; ++i) {
    CHECK(keys.rows + i * keys.stride == p.keys().row(2 + i, 1));
    CHECK(values.rows + i * values.stride == p.values().row(2 + i, 1));
  }
}

TEST_CASE("a source says whether its keys and values are of one run, and if so they are") {
  STATIC_REQUIRE(!hr::detail::has_one_run<paged_source<float>>);
  const auto check = []<class Source>(const Source& source) {
    STATIC_REQUIRE(hr::detail::has_one_run<Source>);
    for (Index begin = 0; begin < source.tokens(); ++begin)
      for (Index end = begin + 1; end <= source.tokens(); ++end)
        for (Index g = 0; g < source.groups(); ++g) {
          REQUIRE(source.keys(g, begin, end).tokens == end - begin);
          REQUIRE(source.values(g, begin, end).tokens == end - begin);
        }
  };
  const problem p({1, 6, 4, 2, 8, 8});
  check(hr::view_source<float, float>(p.keys(), p.values()));
  hr::kv_cache<hr::int8_blocks, 2, 32> cache(9);
  const problem blocks({1, 6, 4, 2, 32, 32});
  cache.append(blocks.keys(), blocks.values());
  check(cache);
  hr::latent_cache<float, 8, 4> latents(9);
  const problem<float> rows({1, 6, 1, 1, 8, 4});
  latents.append(rows.keys(), rows.values());
  check(latents);
}

TEST_CASE("pages of any length give what one run of tokens gives") {
  for (const problem_size& size : shapes) {
    const problem p(size);
    const auto exact = p.exact(hr::causal());
    for (const Index page : {1, 7, 16, 128, 200}) {
      INFO("kv_len " << size.kv_len << ", pages of " << page);
      const paged_source<float> source(p.keys(), p.values(), page);
      REQUIRE(error_ratio(attend_source(size, p.queries(), source, hr::causal()), exact) <= 1);
    }
  }
}

TEST_CASE("a run that is longer than what was asked for does not become a tile") {
  struct endless : paged_source<float> {
    using paged_source::paged_source;
    hr::token_run<float> keys(Index g, Index begin, Index end) const {
      const auto run = paged_source::keys(g, begin, end);
      return {run.rows, run.stride, run.tokens + 1};
    }
  };
  const problem_size size{40, 150, 2, 1, 8, 8};
  const problem p(size);
  const endless source(p.keys(), p.values(), 16);
  CHECK_THROWS_AS(attend_source(size, p.queries(), source, hr::causal()), eigen_assertion);
}

TEST_CASE("a mask that starts within a page asks for a run from there") {
  const problem_size size{3, 150, 2, 1, 8, 8};
  const problem p(size);
  const auto mask = hr::causal() & hr::sliding_window(20);
  const paged_source<float> source(p.keys(), p.values(), 16);
  REQUIRE(error_ratio(attend_source(size, p.queries(), source, mask), p.exact(mask)) <= 1);
}

TEST_CASE("keys and values of a source may each be stored in a scalar of their own") {
  const problem_size size{5, 150, 4, 2, 16, 8};
  const problem<float, Eigen::bfloat16, Eigen::half> p(size);
  const paged_source<Eigen::bfloat16, Eigen::half> source(p.keys(), p.values(), 16);
  REQUIRE(error_ratio(attend_source(size, p.queries(), source, hr::none()), p.exact()) <= 1);
}
