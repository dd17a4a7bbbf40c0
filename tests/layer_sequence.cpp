// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: sequences that do not fit their call are refused before anything is appended, and what a
// call has appended is taken back unless it runs to its end.
#include <headroom/kv_cache.hpp>
#include <headroom/layer_sequence.hpp>

#include "support/catch.hpp"
#include "support/refusal.hpp"

#include <array>
#include <span>
#include <stdexcept>
#include <vector>

namespace {

namespace hr = headroom;
using headroom_tests::refusal_of;
using hr::Index;
using Cache = hr::kv_cache<float, 1, 4>;
using sequences = std::span<const hr::layer_sequence<Cache>>;
using matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

std::string refused(sequences list, Index tokens) {
  return refusal_of([&] { hr::detail::check_sequences(list, tokens); });
}

}  // namespace

TEST_CASE("sequences that do not add up, have no cache, or share one are refused") {
  Cache a(9), b(9);
  using list = std::vector<hr::layer_sequence<Cache>>;
  CHECK_NOTHROW(hr::detail::check_sequences(sequences(list{{2, &a}, {3, &b}}), 5));
  CHECK_NOTHROW(hr::detail::check_sequences(sequences(list{{0, &a}}), 0));
  CHECK(refused(list{{2, &a}, {3, &b}}, 6) == "layer: sequences have 5 tokens, expected 6 as x");
  CHECK(refused(list{{2, &a}, {3, &b}}, 4) ==
        "layer: sequences have more than 4 tokens, expected as many as x");
  CHECK(refused(list{{-1, &a}}, 0) ==
        "layer: a sequence has -1 tokens or no cache, expected at least 0 tokens and a cache");
  CHECK(refused(list{{1, nullptr}}, 1) ==
        "layer: a sequence has 1 tokens or no cache, expected at least 0 tokens and a cache");
  CHECK(refused(list{{1, &a}, {1, &b}, {1, &a}}, 3) ==
        "layer: sequences 0 and 2 share a cache, expected one for each");
  const std::array<Index, 2> ids{4, 7};
  CHECK(refused(list{{3, &a, hr::token_positions(ids)}}, 3) ==
        "layer: 2 positions were given, expected one for each of 3 tokens");
}

TEST_CASE("masks and room are asked for with the tokens to come, which are not there yet") {
  Cache a(9), b(9);
  const matrix rows = matrix::Zero(8, 4);
  b.append(rows, rows);
  const std::array<hr::layer_sequence<Cache>, 2> both{{{2, &a}, {1, &b}}};
  const auto of_length = [](Index i) { return hr::key_length(i == 0 ? 2 : 9); };
  CHECK_NOTHROW(hr::detail::check_appended(sequences(both), of_length, 1));
  const auto too_long = [](Index i) { return hr::key_length(i == 0 ? 2 : 10); };
  CHECK(refusal_of([&] { hr::detail::check_appended(sequences(both), too_long, 1); }) ==
        "layer: sequence 1: key_length: length = 10, expected 0 to kv_len = 9");
  const std::array<hr::layer_sequence<Cache>, 1> full{{{2, &b}}};
  CHECK(refusal_of<std::length_error>([&] {
          hr::detail::check_appended(sequences(full), hr::causal(), 1);
        }) == "kv_cache: appending 2 tokens to 8 exceeds the capacity of 9");
}

TEST_CASE("what was appended is taken back, unless it is kept") {
  Cache cache(9);
  const matrix rows = matrix::Zero(3, 4);
  const std::array<hr::layer_sequence<Cache>, 1> one{{{3, &cache}}};
  const auto call = [&](bool ends) {
    hr::detail::scratch memory;
    hr::detail::append_guard guard(sequences(one), memory);
    cache.append(rows, rows);
    if (ends) guard.keep();
  };
  call(false);
  CHECK(cache.tokens() == 0);
  call(true);
  call(false);
  CHECK(cache.tokens() == 3);
}
