// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: ALiBi adds -slope_h |p - j|, with the published slopes; a user's mask decides which keys
// are seen and a user's score modification what their scores become, by indices or by position.
#include <headroom/score_mod.hpp>

#include <atomic>

#include "support/catch.hpp"
#include "support/problem.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

const problem_size size{5, 9, 4, 2, 8, 8};

}  // namespace

TEST_CASE("slopes are the published ones, for powers of two and between them") {
  CHECK(hr::alibi_slopes(1) == std::vector<float>{1.f / 256});
  CHECK(hr::alibi_slopes(8) == std::vector<float>{1.f / 2, 1.f / 4, 1.f / 8, 1.f / 16, 1.f / 32,
                                                  1.f / 64, 1.f / 128, 1.f / 256});
  const auto twelve = hr::alibi_slopes(12);
  REQUIRE(twelve.size() == 12);
  for (std::size_t h = 0; h < 8; ++h) CHECK(twelve[h] == hr::alibi_slopes(8)[h]);
  // The rest: members 0, 2, 4, 6 of the sequence for 16 heads, 2^(-1/2), 2^(-3/2), ...
  const auto sixteen = hr::alibi_slopes(16);
  for (std::size_t h = 0; h < 4; ++h) CHECK(twelve[8 + h] == sixteen[2 * h]);
  CHECK(sixteen[0] == float(std::sqrt(0.5)));
  CHECK(hr::alibi_slopes(0).empty());
}

TEST_CASE("ALiBi subtracts slope times distance, before and after the own position") {
  const std::vector<float> slopes = {0.5f, 0.25f};
  const hr::alibi alibi(slopes);
  CHECK(alibi.modify(10.f, {0, 0, 3, 8}, 1) == 9.f);
  CHECK(alibi.modify(10.f, {0, 0, 3, 8}, 3) == 10.f);
  CHECK(alibi.modify(10.f, {1, 0, 3, 8}, 7) == 9.f);
  CHECK(alibi.modify(10.0, {1, 0, -2, 8}, 2) == 9.0);
  const Eigen::VectorXf vector{{0.5f, 0.25f}};
  CHECK(hr::alibi(vector).slopes.data() == vector.data());
  CHECK(hr::alibi(vector).slopes.size() == 2);
}

TEST_CASE("under ALiBi lse is of the absolute distance, not shifted by a constant of the row") {
  // Zero queries: every score is its bias.
  problem p(size);
  for (Index t = 0; t < size.q_len; ++t)
    for (Index h = 0; h < size.Q_heads; ++h) fill_row(p.q.view(), t, h, 0.f);
  const std::vector<float> slopes = {1, 0.5f, 0.25f, 0};
  const auto got = attend(p, hr::causal() & hr::alibi(slopes));
  for (Index t = 0; t < size.q_len; ++t)
    for (Index h = 0; h < size.Q_heads; ++h) {
      double sum = 0;
      for (Index distance = 0; distance <= t + size.kv_len - size.q_len; ++distance)
        sum += std::exp(-double(slopes[std::size_t(h)]) * double(distance));
      const double error = std::abs(double(got.lse(t, h, 0)) - std::log(sum));
      REQUIRE(error <= 32 * unit_roundoff<float> * (1 + std::log(sum)));
    }
}

TEST_CASE("a user's mask gets the head, the query row and the key") {
  const std::vector<int> document = {0, 0, 1, 1, 1};
  const auto same_document = hr::mask([&](Index, Index query, Index key) {
    return document[std::size_t(query)] == document[std::size_t(key)];
  });
  const auto own_head = hr::mask([](Index head, Index, Index key) { return key == head; });
  for (Index t = 0; t < 5; ++t)
    for (Index j = 0; j < 5; ++j) {
      const hr::query_row row{t % 3, t, t + 100, 5};
      CHECK(hr::sees(same_document, row, j) ==
            (document[std::size_t(t)] == document[std::size_t(j)]));
      CHECK(hr::sees(own_head, row, j) == (j == t % 3));
    }
}

TEST_CASE("a user's mask that takes a query_row gets positions") {
  const auto exact_causal =
      hr::mask([](const hr::query_row& row, Index key) { return key <= row.position; });
  const problem p(size);
  REQUIRE(error_ratio(attend(p, exact_causal), p.exact(hr::causal())) <= 1);
}

TEST_CASE("a user's score modification gets the score and the same indices") {
  const auto by_indices = hr::score_mod([](float score, Index head, Index query, Index key) {
    return score + float(100 * head + 10 * query + key);
  });
  CHECK(by_indices.modify(0.5f, {3, 2, 77, 8}, 1) == 321.5f);
  const auto by_row = hr::score_mod([](auto score, const hr::query_row& row, Index key) {
    return score * float(row.position - key);
  });
  CHECK(by_row.modify(0.5f, {3, 2, 77, 8}, 1) == 38.f);
}

TEST_CASE("ALiBi as a user's score modification is ALiBi") {
  const problem p(size);
  const std::vector<float> slopes = hr::alibi_slopes(size.Q_heads);
  const auto own = hr::score_mod([&](auto score, const hr::query_row& row, Index key) {
    using Score = decltype(score);
    return score - Score(slopes[std::size_t(row.head)]) * Score(std::abs(row.position - key));
  });
  REQUIRE(error_ratio(attend(p, own), p.exact(hr::alibi(slopes))) <= 1);
}

TEST_CASE("scores are modified once each, for visible keys only") {
  const problem p(size);
  std::atomic<Index> calls = 0;
  const auto counting = hr::score_mod([&](auto score, Index, Index, Index) {
    ++calls;
    return score;
  });
  attend(p, hr::causal() & counting);
  // Queries at positions 4 to 8 see 5, 6, 7, 8 and 9 keys.
  CHECK(calls == size.Q_heads * (5 + 6 + 7 + 8 + 9));
}

TEST_CASE("the number of slopes is the number of heads") {
  const std::vector<float> slopes(3);
  CHECK_THROWS_AS(hr::alibi(slopes).check({4, 1, 1}), std::invalid_argument);
  CHECK_THROWS_WITH(hr::alibi(slopes).check({4, 1, 1}),
                    contains("alibi: 3 slopes were given, expected Q_heads = 4"));
  CHECK_NOTHROW(hr::alibi(slopes).check({3, 1, 1}));
}
