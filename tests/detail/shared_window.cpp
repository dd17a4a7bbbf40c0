// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: of a mask's parts only windows reach before key 0, where all parts of & and one part of |
// let them; over shared keys a row then sees those from where its window begins. tests/cascade.cpp
// holds attention under them to a copy of everything.
#include <headroom/cascade.hpp>
#include <headroom/detail/shared_window.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/score_mod.hpp>
#include <headroom/selected_mask.hpp>
#include <headroom/token_sparse.hpp>

#include <vector>

#include "support/catch.hpp"

namespace hr = headroom;
using hr::Index;
using hr::detail::window_reach;

namespace {

using Cache = hr::kv_cache<float, 1, 1>;
using matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Cache cache_of(Index tokens) {
  Cache cache(tokens);
  const matrix zeros = matrix::Zero(tokens, 1);
  cache.append(zeros, zeros);
  return cache;
}

template <class Mask>
Index reach(const Mask& mask, Index position) {
  return window_reach<Mask>::begin(mask, {0, 0, position, 10});
}
template <class Mask>
constexpr bool bounded(const Mask&) {
  return window_reach<Mask>::bounded;
}

constexpr Index everything = -hr::sliding_window::unlimited;

}  // namespace

TEST_CASE("a window is followed through & and |, and through a selection") {
  const hr::sliding_window narrow(3), wide(20);
  const auto lambda = [](Index, Index, Index) { return true; };
  CHECK_FALSE(bounded(hr::causal() & hr::prefix(2)));
  CHECK_FALSE(bounded(narrow | hr::prefix(0)));
  CHECK(bounded(narrow & (narrow | hr::prefix(0))));
  CHECK(bounded(wide | narrow));
  CHECK(reach(hr::causal() & narrow, 5) == 3);
  CHECK(reach(hr::causal() & narrow, 1) == -1);
  CHECK(reach(wide & narrow, 1) == -1);
  CHECK(reach(wide | narrow, 1) == -18);
  CHECK(reach(narrow | hr::key_length(4), 5) == everything);
  CHECK(reach(hr::mask(lambda) & hr::causal(), 5) == everything);
  // A chunk of 8 that begins 5 tokens before key 0; then the next.
  CHECK(reach(hr::causal() & hr::local_chunk(8, 5), 2) == -5);
  CHECK(reach(hr::causal() & hr::local_chunk(8, 5), 3) == 3);

  const Cache cache = cache_of(10);
  const std::vector<Index> some = {1, 2, 9};
  const hr::selected_tokens<Cache> selection(cache, some);
  const hr::selected_mask chosen(hr::causal() & wide, selection, 7);
  CHECK(bounded(chosen));
  CHECK(window_reach<decltype(chosen)>::begin(chosen, {0, 0, 2, 3}) == 7 - 19);
}

TEST_CASE("each row sees a prefix from where its window begins, in keys of that prefix") {
  const Cache first = cache_of(10), second = cache_of(4), own = cache_of(3), other = cache_of(1);
  using Mask = hr::both_masks<hr::causal, hr::sliding_window>;
  const auto window = [](Index w) { return hr::causal() & hr::sliding_window(w); };
  const std::vector<hr::shared_prefix<Cache>> prefixes = {
      {first, 0, 2}, {second, 0, 1}, {own, 1, 1}};
  std::vector<hr::batch_sequence<Cache, Mask>> sequences;
  sequences.emplace_back(own, window(6));
  sequences.emplace_back(other, window(3));
  const std::vector<Index> offsets = {0, 2, 3};
  hr::detail::scratch memory;
  const auto of = [&](Index i) {
    return hr::detail::windows_over(i, offsets, prefixes, sequences, memory).first;
  };
  // The queries stand at 1 and 2 behind 14 shared keys, and at 0 behind 10.
  CHECK(of(0)[0] == 14 + 1 - 5);
  CHECK(of(0)[1] == 14 + 2 - 5);
  CHECK(of(0)[2] == 10 + 0 - 2);
  CHECK(of(1)[0] == 4 + 1 - 5);
  CHECK(of(1)[1] == 4 + 2 - 5);
  const hr::detail::shared_window mask(of(0));
  CHECK(mask.keys({3, 2, 99, 10}).begin == 8);
  CHECK(mask.keys({3, 2, 99, 10}).end == 10);
  CHECK(mask.keys({3, 2, 99, 10}).full);
}
