// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: c = or += a b for any rows, depth and number of packets, whichever way a and b lie, and not
// a number beside c.
#include <headroom/detail/kernels/outer.hpp>

#include "support/catch.hpp"
#include "support/pairs.hpp"
#include "support/product.hpp"

#include <algorithm>
#include <vector>

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;
using hr::detail::by_columns;
using hr::detail::by_rows;
using hr::detail::lanes;

namespace {

template <bool add_to, class A, class B>
bool is_right(const A& a, const B& b, Index column, Index rows, int packets, Index depth,
              random_source& random) {
  const auto start = random_matrix<float>(rows, packets * lanes, random);
  auto c = start;
  hr::detail::rows_to_come none;
  hr::detail::outer_product<hr::detail::most_packets>(
      a, rows, packets, b, column, depth, {c.view().data(), c.view().token_stride(), add_to}, none);
  return is_product(
      c, add_to ? start : zeros<float>(rows, packets * lanes), depth,
      [&](Index i, Index k) { return a(i, k); },
      [&](Index k, Index j) { return static_cast<float>(b.row(k)[column + j]); });
}

}  // namespace

TEMPLATE_TEST_CASE("every register tile is a product", "", float, Eigen::half, Eigen::bfloat16) {
  random_source random(21);
  for (const Index rows : {1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 30})
    for (int packets = 1; packets <= 8; ++packets)
      for (const Index depth : {0, 1, 5, 40}) {
        INFO(rows << " rows, " << packets << " packets, depth " << depth);
        const auto a = random_matrix<float>(rows, depth + 1, random);
        const auto transposed = random_matrix<float>(depth + 1, rows, random);
        const auto b = random_matrix<TestType>(depth + 1, 8 * lanes + 3, random);
        REQUIRE(is_right<true>(by_rows(as_tile(a)), as_tile(b), 3, rows, packets, depth, random));
        REQUIRE(is_right<false>(by_columns(as_tile(transposed)), as_tile(b), 0, rows, packets,
                                depth, random));
      }
}

TEST_CASE("b may lie in several places") {
  random_source random(22);
  const auto a = random_matrix<float>(13, 40, random),
             b = random_matrix<float>(40, 4 * lanes + 2, random);
  const auto at = [&](Index i) { return as_tile(b).from(i); };
  const hr::detail::joined_tiles<float>::part parts[] = {
      {at(20), 0, 7}, {at(3), 7, 8}, {at(30), 8, 18}, {at(0), 18, 38}};
  const hr::detail::joined_tiles<float> joined{parts};
  for (const Index rows : {1, 6, 13})
    for (const int packets : {1, 4})
      for (const auto& [first, depth] : {std::pair<Index, Index>{0, 38}, {5, 20}, {7, 1}, {9, 0}})
        REQUIRE(is_right<true>(by_rows(as_tile(a)), joined.from(first), 2, rows, packets, depth,
                               random));
}

TEST_CASE("any depth is the same product") {
  random_source random(23);
  for (const Index depth : {0, 1, 191, 192, 193, 577}) {
    const auto a = random_matrix<float>(7, depth + 1, random);
    const std::vector<float> b = random.numbers((depth + 1) * lanes);
    tensor<float> c(7, 1, lanes);
    hr::detail::rows_to_come none;
    hr::detail::deep_outer_product(as_tile(a), 7, 1, b.data(), depth, c.view().data(), none);
    CHECK(is_product(
        c, zeros<float>(7, lanes), depth, [&](Index i, Index k) { return a(i, 0, k); },
        [&](Index k, Index j) { return b[static_cast<std::size_t>(k * lanes + j)]; }));
  }
}

TEST_CASE("deep sums are made of parts, each of its own rounding errors") {
  using hr::detail::summed_parts;
  CHECK(summed_parts(1) == 1);
  CHECK(summed_parts(127) == 1);
  CHECK(summed_parts(128) == 2);
  CHECK(summed_parts(576) == 3);
  CHECK(summed_parts(100 * hr::detail::most_depth) == 100);
  // One after another, each 1 would be lost beside 2^24.
  constexpr Index depth = 128;
  const float large = 1 << 24;
  const std::vector<float> a(depth, 1.f);
  std::vector<float> b(depth * lanes, 0.f), c(lanes);
  std::fill_n(b.begin(), lanes, large);
  std::fill(b.begin() + depth / 2 * lanes, b.end(), 1.f);
  hr::detail::rows_to_come none;
  hr::detail::deep_outer_product(hr::detail::tile<float>{a.data(), depth}, 1, 1, b.data(), depth,
                                 c.data(), none);
  CHECK(c == std::vector<float>(lanes, large + depth / 2));
}

TEMPLATE_LIST_TEST_CASE("pairs of bfloat16 give the product of their numbers", "", bfloat16_pairs) {
  random_source random(24);
  for (const Index rows : {1, 5, 13})
    for (int packets = 1; packets <= hr::detail::outer_packets; ++packets)
      for (const Index depth : {2, 10, 40}) {
        const auto a = random_matrix<Eigen::bfloat16>(rows, depth, random);
        const auto b = random_matrix<Eigen::bfloat16>(packets * lanes, depth, random);
        const auto pairs_of = [&](const tensor<Eigen::bfloat16>& numbers, bool by_depth) {
          const Index count = numbers.tokens();
          std::vector<TestType> pairs;
          for (Index i = 0; i < count * depth / 2; ++i) {
            const Index row = by_depth ? i % count : i / (depth / 2);
            const Index d = by_depth ? i / count : i % (depth / 2);
            pairs.push_back({numbers(row, 0, 2 * d), numbers(row, 0, 2 * d + 1)});
          }
          return pairs;
        };
        const auto panel = pairs_of(b, true), in_rows = pairs_of(a, false),
                   in_columns = pairs_of(a, true);
        const hr::detail::tile<TestType> columns{panel.data(), packets * lanes};
        const auto check = [&](const auto& operand) {
          tensor<float> c(rows, 1, packets * lanes);
          hr::detail::rows_to_come none;
          hr::detail::outer_product(operand, rows, packets, columns, 0, depth / 2,
                                    {c.view().data(), c.view().token_stride(), false}, none);
          REQUIRE(is_product(
              c, zeros<float>(rows, packets * lanes), depth,
              [&](Index i, Index k) { return float(a(i, 0, k)); },
              [&](Index k, Index j) { return float(b(j, 0, k)); }));
        };
        check(by_rows(hr::detail::tile<TestType>{in_rows.data(), depth / 2}));
        check(by_columns(hr::detail::tile<TestType>{in_columns.data(), rows}));
      }
}

TEST_CASE("columns are cut into tiles without a single packet at the end, where there are more") {
  using list = std::vector<std::pair<Index, int>>;
  const auto cut = [](Index dim, int widest) {
    list tiles;
    const Index end = hr::detail::for_each_columns(
        dim, widest, [&](Index first, int packets) { tiles.emplace_back(first, packets); });
    CHECK(end == dim / lanes * lanes);
    return tiles;
  };
  const Index n = lanes;
  CHECK(cut(0, 3).empty());
  CHECK(cut(n, 3) == list{{0, 1}});
  CHECK(cut(4 * n, 3) == list{{0, 2}, {2 * n, 2}});
  CHECK(cut(5 * n, 3) == list{{0, 3}, {3 * n, 2}});
  CHECK(cut(16 * n, 8) == list{{0, 8}, {8 * n, 8}});
}

TEST_CASE("rows are cut into the largest tile and powers of two below, as many as were foretold") {
  using namespace hr::detail;
  for (int packets = 1; packets <= most_packets; ++packets) {
    const int most = outer_rows(packets);
    for (Index rows = 1; rows <= 40; ++rows) {
      INFO(rows << " rows, " << packets << " packets");
      Index tiles = 0;
      for (Index left = rows; left > 0; ++tiles) {
        const Index count = next_rows(left, most);
        REQUIRE((count == most || (count < most && std::has_single_bit(std::size_t(count)))));
        REQUIRE(count <= left);
        left -= count;
      }
      CHECK(outer_steps(rows, packets, step_depth) == tiles);
    }
  }
  CHECK(next_rows(8, 6) == 4);
  CHECK(next_rows(7, 6) == 6);
}
