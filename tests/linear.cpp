// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// linear: y = x W^T + b, with W [out_features, in_features] as checkpoints have it, read in place
// in any storage scalar. Rule of the error: |y - exact| <= gamma_n sum_i |x_i w_i| with n =
// in_features
// + 1 additions (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1).

#include <headroom/linear.hpp>
#include <headroom/parallel.hpp>

#include "support/catch.hpp"
#include "support/random.hpp"

#include <limits>
#include <type_traits>
#include <vector>

namespace {

using headroom::Index;
using headroom_tests::random_source;

template <class Scalar>
using matrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

template <class Scalar>
matrix<Scalar> random_matrix(random_source& random, Index rows, Index cols) {
  matrix<Scalar> result(rows, cols);
  random.fill(headroom::as_view(result, 1));
  return result;
}

template <class Weight, class Scalar>
void require_product(Index tokens, Index in, Index out, bool with_bias) {
  CAPTURE(tokens, in, out, with_bias);
  random_source random(static_cast<std::uint64_t>(tokens * 10007 + in * 101 + out));
  const auto x = random_matrix<Scalar>(random, tokens, in);
  const auto w = random_matrix<Weight>(random, out, in);
  const auto bias = random.numbers<Weight>(out);
  matrix<Scalar> y = matrix<Scalar>::Constant(tokens, out, NAN);
  const headroom::linear<Weight> layer(w, with_bias ? bias.data() : nullptr);
  layer(x, y);

  const double unit = std::numeric_limits<Scalar>::epsilon() / 2;
  const double gamma =
      static_cast<double>(in + 1) * unit / (1 - static_cast<double>(in + 1) * unit);
  for (Index t = 0; t < tokens; ++t)
    for (Index o = 0; o < out; ++o) {
      double exact = with_bias ? static_cast<double>(bias[static_cast<std::size_t>(o)]) : 0.0;
      double magnitude = std::abs(exact);
      for (Index i = 0; i < in; ++i) {
        const double term = static_cast<double>(x(t, i)) * static_cast<double>(w(o, i));
        exact += term;
        magnitude += std::abs(term);
      }
      // In double the plain loop rounds as much as the kernel does.
      const double bound = gamma * magnitude * (sizeof(Scalar) == 8 ? 2 : 1);
      const double error = std::abs(static_cast<double>(y(t, o)) - exact);
      REQUIRE(error <= bound);
    }
}

}  // namespace

TEST_CASE("a linear layer is x W^T + b in every storage scalar") {
  for (const bool with_bias : {false, true}) {
    require_product<float, float>(3, 70, 41, with_bias);
    require_product<Eigen::half, float>(5, 300, 19, with_bias);
    require_product<Eigen::bfloat16, float>(1, 513, 260, with_bias);
    require_product<double, double>(4, 33, 7, with_bias);
    require_product<double, float>(2, 65, 300, with_bias);
  }
}

TEST_CASE("odd sizes, one token and no token are all products") {
  require_product<float, float>(1, 1, 1, true);
  require_product<float, float>(37, 199, 513, false);
  require_product<float, float>(64, 64, 256, true);
  require_product<float, float>(0, 5, 3, true);
}

TEST_CASE("the executor does not change a bit") {
  random_source random(1);
  const auto x = random_matrix<float>(random, 9, 130);
  const auto w = random_matrix<Eigen::half>(random, 1000, 130);
  matrix<float> serial(9, 1000), reversed(9, 1000);
  const headroom::linear<Eigen::half> layer(w);
  layer(x, serial);
  layer(x, reversed, [](Index count, const auto& work) {
    for (Index i = count; i-- > 0;) work(i);
  });
  REQUIRE(serial == reversed);
}

TEST_CASE("weights may be a block of a larger matrix, activations strided views") {
  random_source random(2);
  const auto fused = random_matrix<float>(random, 30, 16);
  const auto wide = random_matrix<float>(random, 4, 48);
  matrix<float> direct(4, 10), strided = matrix<float>::Zero(4, 25);
  const matrix<float> w = fused.middleRows(10, 10), x = wide.middleCols(16, 16);
  const headroom::linear<float> layer(w);
  layer(x, direct);
  const headroom::linear<float> block(fused.middleRows(10, 10));
  block(wide.middleCols(16, 16), strided.middleCols(5, 10));
  REQUIRE(strided.middleCols(5, 10) == direct);
  REQUIRE(strided.leftCols(5).isZero(0));
  REQUIRE(strided.rightCols(10).isZero(0));
}

TEST_CASE("weights are referred to: a temporary matrix is refused, a map or a block is not") {
  using layer = headroom::linear<float>;
  using weights = matrix<float>;
  STATIC_REQUIRE(std::is_constructible_v<layer, weights&>);
  STATIC_REQUIRE(std::is_constructible_v<layer, const weights&, const float*>);
  STATIC_REQUIRE_FALSE(std::is_constructible_v<layer, weights>);
  STATIC_REQUIRE_FALSE(std::is_constructible_v<layer, const weights>);
  STATIC_REQUIRE_FALSE(std::is_constructible_v<layer, weights, const float*>);
  STATIC_REQUIRE(std::is_constructible_v<layer, Eigen::Map<const weights>>);
  STATIC_REQUIRE(std::is_constructible_v<layer, Eigen::Block<const weights>, const float*>);
  STATIC_REQUIRE(std::is_constructible_v<layer, Eigen::Ref<const weights>>);
}

TEST_CASE("an absent layer says that it is") {
  REQUIRE_FALSE(bool(headroom::linear<float>()));
  const float weight[] = {1, 2};
  REQUIRE(bool(headroom::linear<float>(weight, 1, 2)));
}

TEST_CASE("shapes that disagree are named and nothing is written") {
  const matrix<float> w = matrix<float>::Ones(3, 4);
  const headroom::linear<float> layer(w);
  matrix<float> y = matrix<float>::Constant(2, 3, 7);
  REQUIRE_THROWS_WITH(layer(matrix<float>(2, 5), y),
                      "linear: x is [2, 5], expected [tokens, in_features = 4]");
  matrix<float> narrow(2, 2), longer(3, 3);
  REQUIRE_THROWS_WITH(layer(matrix<float>(2, 4), narrow),
                      "linear: y is [2, 2], expected [tokens, out_features = 3]");
  REQUIRE_THROWS_WITH(layer(matrix<float>(2, 4), longer),
                      "linear: y has 3 tokens, expected 2 as x");
  REQUIRE(y == matrix<float>::Constant(2, 3, 7));
}

TEST_CASE("a result in place of what it is computed from is refused, and one beside it is not") {
  const matrix<float> w = matrix<float>::Identity(4, 4);
  const headroom::linear<float> layer(w);
  matrix<float> x = matrix<float>::Random(2, 8);
  const matrix<float> before = x;
  auto left = x.leftCols(4);
  REQUIRE_THROWS_WITH(layer(left, left),
                      "linear: y begins where x does, expected memory that "
                      "overlaps no input");
  REQUIRE(x == before);
  layer(left, x.rightCols(4));
  REQUIRE(x.rightCols(4) == before.leftCols(4));
}
