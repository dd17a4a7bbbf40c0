// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: no key of a page scores higher than the page's bound, and the pages of the largest bounds
// are selected, the same ones for the same keys however these came; so that where few pages hold
// what a query looks for, they are found.
#include <headroom/block_sparse.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/page_index.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>
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

double score(const problem<>& p, Index t, Index h, Index j) {
  double sum = 0;
  const Index g = h / (p.q.heads() / p.k.heads());
  for (Index d = 0; d < p.q.dim(); ++d)
    sum += static_cast<double>(p.q(t, h, d)) * static_cast<double>(p.k(j, g, d));
  return sum;
}

hr::view_source<float, float> source_of(const problem<>& p) {
  return {p.keys(), p.values()};
}

std::vector<float> bounds_of(const hr::page_index& index, const problem<>& p) {
  std::vector<float> bounds(static_cast<std::size_t>(index.pages()));
  index.bound(p.queries(), bounds);
  return bounds;
}

std::vector<Index> selected(const hr::page_index& index, const problem<>& p, Index most) {
  std::vector<Index> pages(static_cast<std::size_t>(most));
  pages.resize(static_cast<std::size_t>(index.select(p.queries(), pages)));
  return pages;
}

}  // namespace

TEST_CASE("no key of a page scores higher than its bound") {
  for (const problem_size& size : {problem_size{1, 100, 1, 1, 16, 4}, {3, 70, 6, 2, 33, 4}}) {
    const problem<> p(size);
    hr::page_index index(16, size.kv_len, size.Q_heads, size.KV_groups, size.qk_dim);
    index.update(source_of(p));
    REQUIRE(index.pages() == (size.kv_len + 15) / 16);
    const auto bounds = bounds_of(index, p);
    for (Index page = 0; page < index.pages(); ++page) {
      // The largest score of each query and head, added up.
      double sum = 0, magnitude = 0;
      for (Index t = 0; t < size.q_len; ++t)
        for (Index h = 0; h < size.Q_heads; ++h) {
          double most = -1e30;
          for (Index j = page * 16; j < std::min(page * 16 + 16, size.kv_len); ++j)
            most = std::max(most, score(p, t, h, j));
          sum += most;
          magnitude += std::abs(most);
        }
      const double bound = static_cast<double>(bounds[static_cast<std::size_t>(page)]);
      CHECK(bound >= sum - 1e-5 * magnitude);
      CHECK(bound <= 40 * magnitude);  // of this size, too
    }
  }
}

TEST_CASE("the bound of a page of one key is its score") {
  const problem<> p({2, 9, 4, 2, 8, 4});
  hr::page_index index(1, 9, 4, 2, 8);
  index.update(source_of(p));
  const auto bounds = bounds_of(index, p);
  for (Index j = 0; j < 9; ++j) {
    double sum = 0;
    for (Index t = 0; t < 2; ++t)
      for (Index h = 0; h < 4; ++h) sum += score(p, t, h, j);
    CHECK(std::abs(static_cast<double>(bounds[static_cast<std::size_t>(j)]) - sum) < 1e-4);
  }
}

TEST_CASE("keys may come in any steps, from any source, and be taken back") {
  const problem<> p({1, 150, 4, 2, 16, 4}), other({1, 150, 4, 2, 16, 4}, 2);
  hr::page_index at_once(16, 150, 4, 2, 16), in_steps(16, 150, 4, 2, 16);
  at_once.update(paged_source<float>(p.keys(), p.values(), 7));
  hr::kv_cache<float> cache(150, 2, 16, 4);
  for (const Index end : {1, 15, 16, 40, 150}) {
    cache.append(p.keys().slice_tokens(cache.tokens(), end),
                 p.values().slice_tokens(cache.tokens(), end));
    in_steps.update(cache);
    CHECK(in_steps.tokens() == end);
  }
  CHECK(bounds_of(in_steps, p) == bounds_of(at_once, p));

  cache.truncate(37);
  in_steps.truncate(37);
  cache.append(other.keys().slice_tokens(37, 150), other.values().slice_tokens(37, 150));
  in_steps.update(cache);
  hr::page_index anew(16, 150, 4, 2, 16);
  anew.update(cache);
  CHECK(bounds_of(in_steps, p) == bounds_of(anew, p));
  CHECK(bounds_of(in_steps, p) != bounds_of(at_once, p));
}

TEST_CASE("the largest bounds are selected, of equal ones the earlier") {
  problem<> p({1, 8, 1, 1, 1, 1});
  p.q(0, 0, 0) = 1;
  const float keys[] = {3, 1, 3, 2, 3, 0, 3, -1};
  for (Index j = 0; j < 8; ++j) p.k(j, 0, 0) = keys[j];
  hr::page_index index(1, 8, 1, 1, 1);
  index.update(source_of(p));
  CHECK(selected(index, p, 2) == std::vector<Index>{0, 2});
  CHECK(selected(index, p, 5) == std::vector<Index>{0, 2, 3, 4, 6});
  CHECK(selected(index, p, 20) == std::vector<Index>{0, 1, 2, 3, 4, 5, 6, 7});
  CHECK(selected(index, p, 0).empty());
  p.q(0, 0, 0) = -1;
  CHECK(selected(index, p, 2) == std::vector<Index>{5, 7});
  p.q(0, 0, 0) = quiet_nan<float>();
  CHECK(selected(index, p, 2) == std::vector<Index>{0, 1});
}

TEST_CASE("a page that holds a NaN may matter, wherever in the page it is") {
  for (const Index at : {16, 20, 31}) {
    problem<> p({1, 48, 1, 1, 4, 1});
    p.k(at, 0, 2) = quiet_nan<float>();
    hr::page_index index(16, 48, 1, 1, 4);
    index.update(source_of(p));
    CHECK(std::isinf(bounds_of(index, p)[1]));
    CHECK(selected(index, p, 1) == std::vector<Index>{1});
  }
}

TEST_CASE("pages that hold what a query looks for are recalled") {
  // Of 128 pages of 16 keys, a few hold keys that point the query's way; others are noise.
  random_source random(5);
  int found = 0, hidden = 0;
  for (int round = 0; round < 20; ++round) {
    problem<> p({1, 2048, 4, 1, 64, 8}, static_cast<std::uint64_t>(round + 1));
    std::vector<Index> needles;
    while (needles.size() < 4) {
      const Index page = random.integer(0, 127);
      if (std::find(needles.begin(), needles.end(), page) != needles.end()) continue;
      needles.push_back(page);
      const Index j = page * 16 + random.integer(0, 15);
      for (Index d = 0; d < 64; ++d) {
        float sum = 0;
        for (Index h = 0; h < 4; ++h) sum += p.q(0, h, d);
        p.k(j, 0, d) = 2 * sum;
      }
    }
    hr::page_index index(16, 2048, 4, 1, 64);
    index.update(source_of(p));
    const auto pages = selected(index, p, 16);
    hidden += 4;
    for (const Index page : needles)
      found += std::find(pages.begin(), pages.end(), page) != pages.end();
  }
  CHECK(found >= hidden * 95 / 100);
}

TEST_CASE("what is selected is a block list") {
  const problem<> p({1, 300, 4, 2, 16, 8});
  hr::page_index index(16, 300, 4, 2, 16);
  index.update(source_of(p));
  std::array<Index, 19> pages;
  const Index count = index.select(p.queries(), pages);
  CHECK(count == 19);  // all there are
  answer<float> got{{1, 4, 8}, {1, 4, 1}};
  hr::attend_blocks(any_attention(4, 2, 16, 8), p.queries(), source_of(p), {1, 16},
                    std::array{Index(0), count}, std::span(pages).first(19), got.out.view(),
                    hr::causal(), {.lse = got.lse.per_head()});
  CHECK(error_ratio(got, p.exact(hr::causal())) <= 1);
}

TEST_CASE("a step of a warm index allocates nothing") {
  const problem<> p({1, 300, 4, 2, 16, 8});
  hr::page_index index(16, 300, 4, 2, 16);
  std::array<Index, 4> pages;
  const auto step = [&] {
    index.truncate(0);
    index.update(source_of(p));
    index.select(p.queries(), pages);
  };
  step();
  const long count = allocations_of(step);
  if (counts_allocations) CHECK(count == 0);
}

TEST_CASE("what does not fit an index is refused") {
  using invalid = std::invalid_argument;
  CHECK(refusal_of<invalid>([] { hr::page_index(0, 1, 1, 1, 1); }) ==
        "page_index: page_tokens = 0, expected at least 1");
  CHECK(refusal_of<invalid>([] { hr::page_index(16, -1, 1, 1, 1); }) ==
        "page_index: capacity = -1, expected at least 0");
  CHECK(refusal_of<invalid>([] { hr::page_index(16, 1, 3, 2, 1); }) ==
        "page_index: KV_groups = 2 does not divide Q_heads = 3");
  CHECK_THROWS_AS(hr::page_index(1, Index(1) << 61, 4, 1, 4), std::length_error);
  const problem<> p({1, 30, 4, 2, 16, 8}), wide({1, 30, 6, 2, 17, 8}), more({1, 30, 3, 3, 16, 8});
  hr::page_index index(16, 29, 4, 2, 16);
  CHECK(refusal_of<invalid>([&] { index.update(source_of(wide)); }) ==
        "page_index: k has width 17, expected qk_dim = 16");
  CHECK(refusal_of<invalid>([&] { index.update(source_of(more)); }) ==
        "page_index: k has 3 heads, expected KV_groups = 2");
  CHECK(refusal_of<std::length_error>([&] { index.update(source_of(p)); }) ==
        "page_index: appending 30 tokens to 0 exceeds the capacity of 29");
  index.update(
      hr::view_source<float, float>(p.keys().slice_tokens(0, 20), p.values().slice_tokens(0, 20)));
  CHECK(refusal_of<invalid>([&] {
          index.update(hr::view_source<float, float>(p.keys().slice_tokens(0, 19),
                                                     p.values().slice_tokens(0, 19)));
        }) == "page_index: k has 19 tokens, expected at least 20, those taken in; truncate first");
  CHECK(refusal_of<invalid>([&] { index.truncate(21); }) ==
        "page_index: truncate to 21 tokens, expected 0 to size = 20");
  std::array<Index, 2> pages;
  CHECK(refusal_of<invalid>([&] { index.select(wide.queries(), pages); }) ==
        "page_index: q has 6 heads, expected Q_heads = 4");
  CHECK(refusal_of<invalid>([&] { index.select(p.queries().slice_dim(0, 15), pages); }) ==
        "page_index: q has width 15, expected qk_dim = 16");
  std::array<float, 3> bounds;
  CHECK(refusal_of<invalid>([&] { index.bound(p.queries(), bounds); }) ==
        "page_index: 3 bounds are to be written, expected pages = 2");
}
