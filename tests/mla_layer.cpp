// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// mla_layer: the layer of DeepSeek-V2, equations (37) to (47), with and without a query rank. The
// oracle makes every head's keys and values in double with Eigen products and attends with plain
// loops; the layer in double rounds alike, so the bound is the number of roundings on a path times
// the unit roundoff times the largest magnitude it carries.

#include <headroom/latent_cache.hpp>
#include <headroom/mla_layer.hpp>
#include <headroom/reference.hpp>

#include "support/catch.hpp"
#include "support/random.hpp"

#include <cmath>
#include <limits>
#include <vector>

namespace {

namespace hr = headroom;
using headroom_tests::random_source;
using hr::Index;
using matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

constexpr Index hidden = 22, heads = 3, rank = 14, nope = 6, rope_dim = 4, value = 5,
                query_rank = 9;
constexpr Index qk = nope + rope_dim;
using layer_type = hr::mla_layer<heads, rank, nope, rope_dim, value, double, double>;
using cache_type = hr::latent_cache<double, rank, rope_dim>;

matrix random_matrix(random_source& random, Index rows, Index cols, double deviation) {
  matrix result(rows, cols);
  random.fill(hr::as_view(result, 1), deviation);
  return result;
}

matrix normalised(matrix x, const std::vector<double>& gain) {
  for (Index t = 0; t < x.rows(); ++t) {
    x.row(t) /= std::sqrt(x.row(t).squaredNorm() / static_cast<double>(x.cols()) + 1e-6);
    x.row(t) = x.row(t).cwiseProduct(Eigen::Map<const Eigen::RowVectorXd>(gain.data(), x.cols()));
  }
  return x;
}

struct model {
  random_source random{41};
  matrix q = random_matrix(random, heads* qk, hidden, 0.3);
  matrix q_down = random_matrix(random, query_rank, hidden, 0.3);
  matrix q_up = random_matrix(random, heads* qk, query_rank, 0.3);
  matrix kv_down = random_matrix(random, rank + rope_dim, hidden, 0.3);
  matrix kv_up = random_matrix(random, heads*(nope + value), rank, 0.3);
  matrix o = random_matrix(random, hidden, heads* value, 0.3);
  std::vector<double> q_norm = random.numbers<double>(query_rank),
                      kv_norm = random.numbers<double>(rank);
  bool with_query_rank = false;
  hr::mla_layer_options<double> options;

  hr::mla_weights<double> weights() const {
    hr::mla_weights<double> result;
    if (with_query_rank) {
      result.q_down = hr::linear<double>(q_down);
      result.q_norm = q_norm;
      result.q_up = hr::linear<double>(q_up);
    } else {
      result.q = hr::linear<double>(q);
    }
    result.kv_down = hr::linear<double>(kv_down);
    result.kv_norm = kv_norm;
    result.kv_up = hr::linear<double>(kv_up);
    result.o = hr::linear<double>(o);
    return result;
  }

  layer_type layer() const {
    return {hr::mla<heads, rank, nope, rope_dim, value>(), weights(), options};
  }

  template <class Mask>
  matrix exact(const matrix& x, const Mask& mask) const {
    const Index tokens = x.rows();
    matrix queries = with_query_rank
                         ? matrix(normalised(x * q_down.transpose(), q_norm) * q_up.transpose())
                         : matrix(x * q.transpose());
    const matrix down = x * kv_down.transpose();
    const matrix c = normalised(down.leftCols(rank), kv_norm);
    matrix k_pe = down.rightCols(rope_dim);
    if (options.rotary) {
      (*options.rotary)(hr::as_view(k_pe, 1), 0);
      (*options.rotary)(hr::as_view(queries, heads).slice_dim(nope, qk), 0);
    }
    matrix keys(tokens, heads * qk), values(tokens, heads * value), attended(tokens, heads * value);
    for (Index h = 0; h < heads; ++h) {
      const matrix w = kv_up.middleRows(h * (nope + value), nope + value);
      keys.middleCols(h * qk, nope) = c * w.topRows(nope).transpose();
      keys.middleCols(h * qk + nope, rope_dim) = k_pe;
      values.middleCols(h * value, value) = c * w.bottomRows(value).transpose();
    }
    const matrix& frozen = queries;
    hr::reference_attention<double>(
        hr::view<const double>(hr::as_view(frozen, heads)),
        hr::view<const double>(hr::as_view(std::as_const(keys), heads)),
        hr::view<const double>(hr::as_view(std::as_const(values), heads)),
        hr::as_view(attended, heads), mask, {.scale = options.scale});
    return attended * o.transpose();
  }

  // Additions in a chain, times magnitudes that stay below 50 (asserted where the bound is used).
  static double bound(Index kv_len) {
    return static_cast<double>(2 * hidden + 2 * rank + qk + 2 * kv_len + heads * value + 48) *
           std::numeric_limits<double>::epsilon() * 50 * 50;
  }
};

double difference(const matrix& a, const matrix& b) {
  return (a - b).cwiseAbs().maxCoeff();
}

}  // namespace

TEST_CASE("a layer is its equations, in prefill, in chunks and in decode") {
  model m;
  SECTION("plain") {}
  SECTION("with a query rank") {
    m.with_query_rank = true;
  }
  SECTION("with rotary embedding and a scale") {
    m.options.rotary = hr::rope(rope_dim, {.pairing = hr::rope_pairing::interleaved});
    m.options.scale = 0.4;
  }
  SECTION("with YaRN, half pairing and a query rank") {
    m.with_query_rank = true;
    m.options.rotary = hr::rope(rope_dim, {.base = 1000});
  }
  const auto layer = m.layer();
  const matrix x = random_matrix(m.random, 40, hidden, 1);
  const matrix exact = m.exact(x, hr::causal{});
  REQUIRE(exact.cwiseAbs().maxCoeff() < 50);
  matrix whole(40, hidden), chunked(40, hidden), stepped(40, hidden);
  cache_type a(40), b(40), c(40);
  layer(x, a, whole);
  layer(x.topRows(33), b, chunked.topRows(33));
  layer(x.bottomRows(7), b, chunked.bottomRows(7));
  for (Index t = 0; t < 40; ++t) layer(x.row(t), c, stepped.row(t));
  const double errors[] = {difference(whole, exact), difference(chunked, exact),
                           difference(stepped, exact)};
  for (const double error : errors) REQUIRE(error <= model::bound(40));
}

TEST_CASE("masks reach the attention") {
  model m;
  const matrix x = random_matrix(m.random, 12, hidden, 1);
  cache_type cache(12);
  matrix out(12, hidden);
  const auto mask = hr::causal{} & hr::sliding_window(4);
  m.layer()(x, cache, out, mask);
  const double error = difference(out, m.exact(x, mask));
  REQUIRE(error <= model::bound(12));
}

TEST_CASE("a layer may attend over another layer's latents") {
  model m;
  const auto layer = m.layer();
  const matrix x = random_matrix(m.random, 6, hidden, 1);
  cache_type cache(6);
  matrix own(6, hidden), borrowed(6, hidden);
  layer(x, cache, own);
  layer.attend(x, cache, borrowed, hr::causal{});
  REQUIRE(own == borrowed);
  REQUIRE(cache.tokens() == 6);
}

TEST_CASE("weights that do not fit are named") {
  model m;
  const hr::mla<heads, rank, nope, rope_dim, value> sizes;
  const auto require_message = [&](bool query_rank_form, const auto& change, const char* message) {
    m.with_query_rank = query_rank_form;
    hr::mla_weights<double> weights = m.weights();
    hr::mla_layer_options<double> options;
    change(weights, options);
    REQUIRE_THROWS_WITH(layer_type(sizes, weights, options), headroom_tests::contains(message));
  };
  const matrix small = matrix::Zero(2, 2);
  const std::vector<double> gain(2, 1.0);
  require_message(
      false, [](auto& w, auto&) { w.q = {}; }, "expected either q, or both q_down and q_up");
  require_message(
      true, [](auto& w, auto&) { w.q_up = {}; }, "expected either q, or both q_down and q_up");
  require_message(
      false, [](auto& w, auto&) { w.o = {}; }, "kv_down, kv_up or o is absent");
  require_message(
      false, [&](auto& w, auto&) { w.kv_down = hr::linear<double>(small); },
      "kv_down is [2, 2], expected [18, 22]");
  require_message(
      true, [&](auto& w, auto&) { w.q_up = hr::linear<double>(small); },
      "q_up is [2, 2], expected [30, 9]");
  require_message(
      false, [&](auto& w, auto&) { w.kv_up = hr::linear<double>(small); },
      "kv_up is [2, 2], expected [33, 14]");
  const std::vector<double> bias(33, 0.0);
  require_message(
      false, [&](auto& w, auto&) { w.kv_up = hr::linear<double>(m.kv_up, bias.data()); },
      "mla_layer: kv_up has a bias, expected none");
  require_message(
      false, [](auto&, auto& o) { o.scale = std::numeric_limits<double>::infinity(); },
      "mla_layer: scale = inf, expected a finite number");
  require_message(
      false, [&](auto& w, auto&) { w.kv_norm = gain; }, "kv_norm has 2 numbers, expected 14");
  require_message(
      true, [&](auto& w, auto&) { w.q_norm = gain; }, "q_norm has 2 numbers, expected 9");
  require_message(
      false, [](auto&, auto& o) { o.rotary = hr::rope(6); },
      "rotary has rotary_dim = 6, expected rope = 4");
}
