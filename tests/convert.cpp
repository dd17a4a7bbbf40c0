// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: new group g stands for the run of heads [g * heads / groups, (g + 1) * heads / groups);
// pooling takes their mean, selecting copies one of them, and where the heads of every run are
// tied, both give the tied head back, bit for bit.
#include <headroom/convert.hpp>

#include "support/catch.hpp"
#include "support/random.hpp"

namespace hr = headroom;
using Eigen::Index;
using headroom_tests::contains;

namespace {

template <class Scalar>
using Weights = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

template <class Scalar>
Weights<Scalar> random_weights(Index rows, Index cols, unsigned seed) {
  Weights<Scalar> w(rows, cols);
  headroom_tests::random_source(seed).fill(hr::as_view(w, 1));
  return w;
}

/// The inverse of a conversion: every head of a run is its group's.
template <class Derived>
auto repeated(const Eigen::MatrixBase<Derived>& groups_of, Index groups, Index heads) {
  std::vector<Index> sources;
  for (Index h = 0; h < heads; ++h) sources.push_back(h / (heads / groups));
  return hr::select_heads(groups_of, groups, sources);
}

}  // namespace

TEMPLATE_TEST_CASE("converting tied heads is exact, whatever their number", "", float, double,
                   Eigen::half, Eigen::bfloat16) {
  const Index dim = 3, hidden = 5;
  for (const Index groups : {1, 2, 4})
    for (const Index run : {1, 2, 3, 5, 7, 16, 71}) {
      const Index heads = groups * run;
      const auto shared = random_weights<TestType>(groups * dim, hidden, unsigned(run));
      const auto tied = repeated(shared, groups, heads);
      REQUIRE(tied.rows() == heads * dim);
      CHECK(hr::mean_pool_heads(tied, heads, groups) == shared);
      CHECK(hr::select_heads(tied, heads, hr::first_heads(heads, groups)) == shared);
      CHECK(hr::select_heads(tied, heads, hr::random_heads(heads, groups, 7)) == shared);
    }
}

TEST_CASE("a group is the mean of its own run of heads") {
  // Head h of width 1 holds h and 10 h: runs of three are {0, 1, 2} and {3, 4, 5}.
  Weights<float> w(6, 2);
  for (int h = 0; h < 6; ++h) w.row(h) << float(h), float(10 * h);
  Weights<float> expected(2, 2);
  expected << 1, 10, 4, 40;
  CHECK(hr::mean_pool_heads(w, 6, 2) == expected);
  CHECK(hr::mean_pool_heads(w, 6, 6) == w);
}

TEMPLATE_TEST_CASE("pooling to one group is the mean over all heads", "", float, double,
                   Eigen::half, Eigen::bfloat16) {
  const Index heads = 7, dim = 4, hidden = 9;
  const auto w = random_weights<TestType>(heads * dim, hidden, 1);
  const auto mqa = hr::mean_pool_heads(w, heads, 1);
  REQUIRE(mqa.rows() == dim);
  // One rounding to the scalar (half its epsilon at most, of numbers below 4), and double's own.
  const double u = std::is_same_v<TestType, double>        ? 0x1p-50
                   : std::is_same_v<TestType, float>       ? 0x1p-24
                   : std::is_same_v<TestType, Eigen::half> ? 0x1p-11
                                                           : 0x1p-8;
  for (Index d = 0; d < dim; ++d)
    for (Index c = 0; c < hidden; ++c) {
      double sum = 0;
      for (Index h = 0; h < heads; ++h) sum += static_cast<double>(w(h * dim + d, c));
      const double error = std::abs(static_cast<double>(mqa(d, c)) - sum / double(heads));
      CHECK(error <= 4 * u);
    }
}

TEST_CASE("pooling in two steps is pooling in one") {
  const auto w = random_weights<double>(12 * 2, 3, 2);
  const Weights<double> one = hr::mean_pool_heads(w, 12, 2);
  const Weights<double> two = hr::mean_pool_heads(hr::mean_pool_heads(w, 12, 6), 6, 2);
  CHECK((one - two).cwiseAbs().maxCoeff() <= 1e-15);
}

TEST_CASE("selected heads are copied bit for bit, in the order of the list") {
  const auto w = random_weights<Eigen::bfloat16>(4 * 3, 5, 3);
  const std::vector<Index> sources = {2, 0, 2};
  const auto out = hr::select_heads(w, 4, sources);
  REQUIRE(out.rows() == 9);
  CHECK(out.middleRows(0, 3) == w.middleRows(6, 3));
  CHECK(out.middleRows(3, 3) == w.middleRows(0, 3));
  CHECK(out.middleRows(6, 3) == w.middleRows(6, 3));
}

TEST_CASE("first heads open their runs; random heads lie in them and follow the seed") {
  CHECK(hr::first_heads(8, 4) == std::vector<Index>{0, 2, 4, 6});
  CHECK(hr::first_heads(8, 1) == std::vector<Index>{0});
  const auto sources = hr::random_heads(64, 8, 42);
  REQUIRE(sources.size() == 8);
  for (std::size_t g = 0; g < 8; ++g) CHECK(sources[g] / 8 == Index(g));
  CHECK(hr::random_heads(64, 8, 42) == sources);
  CHECK(hr::random_heads(64, 8, 43) != sources);
  // Every head gets its turn.
  std::vector<bool> drawn(4);
  for (unsigned seed = 0; seed < 64; ++seed)
    drawn[std::size_t(hr::random_heads(4, 1, seed)[0])] = true;
  CHECK(drawn == std::vector<bool>(4, true));
}

TEST_CASE("redrawn heads have the shape and size of the old ones and nothing else of them") {
  const auto w = random_weights<float>(8 * 32, 64, 4);
  const auto drawn = hr::redraw_heads(w, 8, 2, 1);
  REQUIRE(drawn.rows() == 2 * 32);
  REQUIRE(drawn.cols() == 64);
  // 4096 draws: the root mean square of so many strays by 0.7 % (one sigma), their mean by 1.6 %.
  const double rms = std::sqrt(w.cast<double>().squaredNorm() / double(w.size()));
  CHECK(std::abs(std::sqrt(drawn.cast<double>().squaredNorm() / 4096) - rms) <= 0.035 * rms);
  CHECK(std::abs(drawn.cast<double>().mean()) <= 0.08 * rms);
  CHECK(hr::redraw_heads(w, 8, 2, 1) == drawn);
  CHECK(hr::redraw_heads(w, 8, 2, 2) != drawn);
}

TEST_CASE("a bias, a map and a block are converted like a matrix") {
  const auto w = random_weights<float>(6 * 2, 4, 5);
  const Eigen::VectorXf bias = w.col(1);
  const Eigen::VectorXf pooled = hr::mean_pool_heads(bias, 6, 3);
  CHECK(pooled == hr::mean_pool_heads(w, 6, 3).col(1));
  CHECK(hr::select_heads(bias, 6, hr::first_heads(6, 3)).rows() == 6);
  CHECK(hr::redraw_heads(bias, 6, 3, 0).cols() == 1);
  const Eigen::Map<const Weights<float>> map(w.data(), 12, 4);
  CHECK(hr::mean_pool_heads(map, 6, 2) == hr::mean_pool_heads(w, 6, 2));
  // The middle third of a fused projection.
  const auto fused = random_weights<float>(18, 4, 6);
  CHECK(hr::mean_pool_heads(fused.middleRows(6, 6), 3, 1) ==
        hr::mean_pool_heads(Weights<float>(fused.middleRows(6, 6)), 3, 1));
}

TEST_CASE("a number that does not fit is named") {
  const auto w = random_weights<float>(30, 4, 7);
  const std::vector<Index> sources = {0, 5};
  REQUIRE_THROWS_WITH(
      hr::mean_pool_heads(w, 8, 4),
      contains("mean_pool_heads: the projection has 30 rows, expected a multiple of heads = 8"));
  REQUIRE_THROWS_WITH(hr::mean_pool_heads(w, 6, 4),
                      contains("mean_pool_heads: groups is 4, expected a divisor of heads = 6"));
  REQUIRE_THROWS_WITH(hr::mean_pool_heads(w, 0, 1), contains("heads is 0, expected at least 1"));
  REQUIRE_THROWS_WITH(hr::mean_pool_heads(w, 6, 0), contains("groups is 0, expected a divisor"));
  REQUIRE_THROWS_WITH(hr::select_heads(w, 5, sources),
                      contains("select_heads: source 1 is head 5, expected [0, 5)"));
  REQUIRE_THROWS_WITH(hr::select_heads(w, 7, sources),
                      contains("select_heads: the projection has"));
  REQUIRE_THROWS_WITH(hr::first_heads(6, 4), contains("first_heads: groups is 4"));
  REQUIRE_THROWS_WITH(hr::random_heads(6, 12, 0), contains("random_heads: groups is 12"));
  REQUIRE_THROWS_WITH(hr::redraw_heads(w, 6, 4, 0), contains("redraw_heads: groups is 4"));
}
