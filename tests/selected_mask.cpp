// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: over a selection a mask shows the selected keys that it shows without one, and no others,
// and modifies scores as it would there; its ranges stay ranges.
#include <headroom/block_sparse.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/score_mod.hpp>
#include <headroom/selected_mask.hpp>
#include <headroom/token_sparse.hpp>

#include <vector>

#include "support/catch.hpp"

namespace hr = headroom;
using Eigen::Index;

namespace {

using Cache = hr::kv_cache<float>;

Cache cache_of(Index tokens) {
  Cache cache(tokens, 1, 2);
  const Eigen::MatrixXf zeros = Eigen::MatrixXf::Zero(tokens, 2);
  const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> rows = zeros;
  cache.append(rows, rows);
  return cache;
}

template <class Mask, class Selection>
void check_shows_the_same(const Mask& mask, const Selection& selection) {
  for (Index first_position = -3; first_position < 15; ++first_position)
    for (Index query = 0; query < 3; ++query) {
      const hr::selected_mask selected(mask, selection, first_position, 5);
      const hr::query_row row{1, query, 1000, selection.tokens()};
      const hr::query_row among_all{1, 5 + query, first_position + query, selection.all_tokens()};
      const hr::key_range range = selected.keys(row);
      for (Index i = 0; i < selection.tokens(); ++i) {
        const Index token = selection.token(i);
        const bool expected = hr::sees(mask, among_all, token);
        CHECK(hr::sees(selected, row, i) == expected);
        if (range.begin <= i && i < range.end && range.shows(i)) CHECK(expected);
        CHECK(selected.modify(1.f, row, i) == mask.modify(1.f, among_all, token));
      }
    }
}

}  // namespace

TEST_CASE("a mask over a selection shows what it shows without one") {
  const Cache cache = cache_of(13);
  const std::vector<Index> few = {0, 1, 2, 5, 6, 9, 12}, blocks = {0, 2, 3};
  const hr::selected_tokens<Cache> tokens(cache, few);
  const hr::selected_blocks<Cache> runs(cache, 4, blocks);  // the last block has one token
  const auto with = [&](const auto& mask) {
    check_shows_the_same(mask, tokens);
    check_shows_the_same(mask, runs);
    check_shows_the_same(mask, hr::selected_tokens<Cache>(cache, {}));
  };
  with(hr::none());
  with(hr::causal());
  with(hr::causal_top_left());
  with(hr::causal() & hr::sliding_window(4));
  with(hr::sliding_window::symmetric(3) | hr::prefix(2));
  with(hr::mask([](Index, Index query, Index key) { return (query + key) % 3 == 0; }));
  with(hr::score_mod([](float score, const hr::query_row& row, Index key) {
    return score + static_cast<float>(row.position - key + 100 * row.query);
  }));
}

TEST_CASE("a range over a selection is a range") {
  const Cache cache = cache_of(13);
  const std::vector<Index> few = {0, 1, 2, 5, 6, 9, 12};
  const hr::selected_tokens<Cache> tokens(cache, few);
  const auto range = hr::selected_mask(hr::causal(), tokens, 6).keys({0, 0, 0, 7});
  CHECK((range.begin == 0 && range.end == 5 && range.full));
}

TEST_CASE("the sizes that a mask is checked against are those of all tokens") {
  const Cache cache = cache_of(13);
  const std::vector<Index> few = {0, 12};
  const hr::selected_tokens<Cache> tokens(cache, few);
  CHECK_NOTHROW(hr::selected_mask(hr::key_length(13), tokens, 0).check({1, 1, 2}));
  CHECK_THROWS_WITH(hr::selected_mask(hr::key_length(14), tokens, 0).check({1, 1, 2}),
                    "key_length: length = 14, expected 0 to kv_len = 13");
}
