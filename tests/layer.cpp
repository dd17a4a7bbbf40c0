// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// attention_layer: projections, norms, rotation, cache, attention, output projection, composed as
// the header's equation says. The oracle composes the same steps from Eigen products and
// reference_attention, all in double, where both sides round alike: the bound is the number of
// roundings on a path times the unit roundoff times the largest magnitude it carries.

#include <headroom/dense_mask.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/layer.hpp>
#include <headroom/reference.hpp>
#include <headroom/ring_cache.hpp>
#include <headroom/score_mod.hpp>

#include "support/catch.hpp"
#include "support/random.hpp"

#include <limits>
#include <optional>
#include <vector>

namespace {

namespace hr = headroom;
using headroom_tests::random_source;
using hr::Index;
using matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

constexpr Index hidden = 20, heads = 4, groups = 2, qk = 6, v = 5;
using layer_type = hr::attention_layer<heads, groups, qk, v, double, double>;
using cache_type = hr::kv_cache<double, groups, qk, v>;

matrix random_matrix(random_source& random, Index rows, Index cols, double deviation) {
  matrix result(rows, cols);
  random.fill(hr::as_view(result, 1), deviation);
  return result;
}

struct model {
  random_source random{21};
  matrix w_q = random_matrix(random, heads* qk, hidden, 0.3);
  matrix w_k = random_matrix(random, groups* qk, hidden, 0.3);
  matrix w_v = random_matrix(random, groups* v, hidden, 0.3);
  matrix w_o = random_matrix(random, hidden, heads* v, 0.3);
  std::vector<double> b_q = random.numbers<double>(heads * qk),
                      b_k = random.numbers<double>(groups * qk),
                      b_v = random.numbers<double>(groups * v),
                      b_o = random.numbers<double>(hidden);
  std::vector<double> q_gain, k_gain;
  hr::layer_options<double> options;
  bool with_bias = false;

  const double* bias(const std::vector<double>& b) const { return with_bias ? b.data() : nullptr; }

  layer_type layer() const {
    return {hr::attention<heads, groups, qk, v>(),
            {.q = hr::linear<double>(w_q, bias(b_q)),
             .k = hr::linear<double>(w_k, bias(b_k)),
             .v = hr::linear<double>(w_v, bias(b_v)),
             .o = hr::linear<double>(w_o, bias(b_o)),
             .q_norm = q_gain,
             .k_norm = k_gain,
             .norm_eps = 1e-5},
            options};
  }

  matrix project(const matrix& x, const matrix& w, const std::vector<double>& b) const {
    matrix y = x * w.transpose();
    if (with_bias) y.rowwise() += Eigen::Map<const Eigen::RowVectorXd>(b.data(), y.cols());
    return y;
  }

  void prepare(matrix& x, Index head_count, const std::vector<double>& gain) const {
    const Index width = gain.empty() ? qk : static_cast<Index>(gain.size());
    for (Index t = 0; !gain.empty() && t < x.rows(); ++t)
      for (Index c = 0; c < x.cols(); c += width) {
        auto part = x.row(t).segment(c, width);
        part /= std::sqrt(part.squaredNorm() / static_cast<double>(width) + 1e-5);
        part = part.cwiseProduct(Eigen::Map<const Eigen::RowVectorXd>(gain.data(), width));
      }
    if (options.rotary) (*options.rotary)(hr::as_view(x, head_count), 0);
  }

  template <class Mask>
  matrix exact(const matrix& x, const Mask& mask) const {
    matrix q = project(x, w_q, b_q), k = project(x, w_k, b_k);
    const matrix values = project(x, w_v, b_v);
    prepare(q, heads, q_gain);
    prepare(k, groups, k_gain);
    matrix attended(x.rows(), heads * v);
    hr::reference_attention<double>(
        hr::view<const double>(hr::as_view(q, heads)),
        hr::view<const double>(hr::as_view(k, groups)),
        hr::view<const double>(hr::as_view(values, groups)), hr::as_view(attended, heads), mask,
        {.scale = options.scale, .softcap = options.softcap, .sinks = options.sinks});
    return project(attended, w_o, b_o);
  }

  // hidden + qk + kv_len + heads * v additions in a chain, times magnitudes that stay below 50 for
  // these weights and inputs (asserted where the bound is used).
  static double bound(Index kv_len) {
    return static_cast<double>(hidden + qk + 2 * kv_len + heads * v + 32) *
           std::numeric_limits<double>::epsilon() * 50 * 50;
  }
};

double difference(const matrix& a, const matrix& b) {
  return a.size() == 0 ? 0 : (a - b).cwiseAbs().maxCoeff();
}

void require_layer(model& m, Index tokens) {
  const matrix x = random_matrix(m.random, tokens, hidden, 1);
  const auto layer = m.layer();
  const matrix exact = m.exact(x, hr::causal{});
  REQUIRE(exact.cwiseAbs().maxCoeff() < 50);
  cache_type whole(tokens), steps(tokens);
  matrix out = matrix::Constant(tokens, hidden, NAN), stepped = out;
  layer(x, whole, out);
  for (Index t = 0; t < tokens; ++t) layer(x.row(t), steps, stepped.row(t));
  const double error = difference(out, exact), step_error = difference(stepped, exact);
  REQUIRE(error <= model::bound(tokens));
  REQUIRE(step_error <= model::bound(tokens));
  REQUIRE(whole.tokens() == tokens);
}

}  // namespace

TEST_CASE("a layer is its steps one after another, in prefill and in decode") {
  model m;
  SECTION("plain") {}
  SECTION("with biases") {
    m.with_bias = true;
  }
  SECTION("with rotary embedding") {
    m.options.rotary = hr::rope(qk);
  }
  SECTION("with partial interleaved rotary embedding and biases") {
    m.with_bias = true;
    m.options.rotary = hr::rope(4, {.base = 500, .pairing = hr::rope_pairing::interleaved});
  }
  SECTION("with a norm of each head") {
    m.q_gain = m.random.numbers<double>(qk);
    m.k_gain = m.random.numbers<double>(qk);
    m.options.rotary = hr::rope(qk);
  }
  SECTION("with a norm of all heads together") {
    m.q_gain = m.random.numbers<double>(heads * qk);
    m.k_gain = m.random.numbers<double>(groups * qk);
  }
  SECTION("with scale, softcap and sinks") {
    m.options.scale = 0.7;
    m.options.softcap = 3;
    m.options.sinks = {0.5, -1, 2, 0};
  }
  require_layer(m, 13);
  require_layer(m, 1);
}

TEST_CASE("masks reach the attention: windows, ALiBi, padding") {
  model m;
  const matrix x = random_matrix(m.random, 11, hidden, 1);
  const auto slopes = hr::alibi_slopes(heads);
  const std::vector<int> valid = {0, 0, 1, 1, 1, 1, 0, 1, 1, 1, 1};
  const auto require = [&](const auto& mask) {
    cache_type cache(11);
    matrix out(11, hidden);
    m.layer()(x, cache, out, mask);
    const double error = difference(out, m.exact(x, mask));
    REQUIRE(error <= model::bound(11));
  };
  require(hr::causal{} & hr::sliding_window(3));
  require(hr::causal{} & hr::alibi(slopes));
  require(hr::causal{} & hr::key_padding(valid));
}

TEST_CASE("cross-attention appends a context once and leaves the cache as it is") {
  model m;
  const matrix context = random_matrix(m.random, 9, hidden, 1),
               x = random_matrix(m.random, 4, hidden, 1);
  const auto layer = m.layer();
  cache_type cache(9);
  layer.append(context, cache);
  REQUIRE(cache.tokens() == 9);
  matrix out(4, hidden);
  layer.attend(x, cache, out);
  REQUIRE(cache.tokens() == 9);

  const matrix q = x * m.w_q.transpose(), k = context * m.w_k.transpose(),
               values = context * m.w_v.transpose();
  matrix attended(4, heads * v);
  hr::reference_attention<double>(hr::view<const double>(hr::as_view(q, heads)),
                                  hr::view<const double>(hr::as_view(k, groups)),
                                  hr::view<const double>(hr::as_view(values, groups)),
                                  hr::as_view(attended, heads), hr::none{});
  const double error = difference(out, attended * m.w_o.transpose());
  REQUIRE(error <= model::bound(9));

  hr::ring_cache<cache_type> ring({.window = 9, .chunk = 9});  // a cache around another, too
  layer.append(context, ring);
  matrix over_ring(4, hidden);
  layer.attend(x, ring, over_ring);
  REQUIRE(difference(over_ring, out) <= model::bound(9));
}

TEST_CASE("a layer without keys and values attends over another layer's cache") {
  model m;
  m.options.rotary = hr::rope(qk);
  const matrix x = random_matrix(m.random, 7, hidden, 1);
  const auto owner = m.layer();
  const layer_type guest(
      hr::attention<heads, groups, qk, v>(),
      {.q = hr::linear<double>(m.w_q), .k = {}, .v = {}, .o = hr::linear<double>(m.w_o)},
      m.options);
  cache_type cache(8);
  matrix own(7, hidden), borrowed(7, hidden);
  owner(x, cache, own);
  guest.attend(x, cache, borrowed, hr::causal{});
  REQUIRE(borrowed == own);  // same queries, same cache
  REQUIRE_THROWS_WITH(guest(x.topRows(1), cache, own.topRows(1)),
                      headroom_tests::contains("this layer has no k and v"));
  REQUIRE(cache.tokens() == 7);
}

TEST_CASE("explicit positions turn the keys and queries, not the mask") {
  model m;
  m.options.rotary = hr::rope(qk);
  const matrix x = random_matrix(m.random, 5, hidden, 1);
  const auto layer = m.layer();
  cache_type from_zero(5), shifted(5), listed(5);
  matrix a(5, hidden), b(5, hidden), c(5, hidden);
  const std::vector<Index> ids = {100, 101, 102, 103, 104};
  layer(x, from_zero, a);
  layer(x, shifted, b, hr::causal{}, 100);
  layer(x, listed, c, hr::causal{}, hr::token_positions(ids));
  REQUIRE(b == c);
  // Scores depend on distances only; cached keys do not. A rotation by 100 radians' worth of angle
  // rounds the angle itself, relative to its size.
  REQUIRE(difference(a, b) <= 128 * model::bound(5));
  REQUIRE_FALSE(from_zero.key_view()(0, 0, 0) == shifted.key_view()(0, 0, 0));
}

TEST_CASE("bfloat16 weights are used as they are stored") {
  random_source random(22);
  using stored = Eigen::Matrix<Eigen::bfloat16, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using floats = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const stored w_q = random_matrix(random, 24, 20, 0.3).cast<Eigen::bfloat16>();
  const stored w_k = random_matrix(random, 12, 20, 0.3).cast<Eigen::bfloat16>();
  const stored w_o = random_matrix(random, 20, 24, 0.3).cast<Eigen::bfloat16>();
  const floats f_q = w_q.cast<float>(), f_k = w_k.cast<float>(), f_o = w_o.cast<float>();
  const floats x = random_matrix(random, 6, 20, 1).cast<float>();
  const hr::attention<4, 2, 6> sizes;
  const hr::attention_layer narrow(
      sizes,
      hr::attention_weights<Eigen::bfloat16>{
          .q = hr::linear(w_q), .k = hr::linear(w_k), .v = hr::linear(w_k), .o = hr::linear(w_o)});
  const hr::attention_layer wide(
      sizes,
      hr::attention_weights<float>{
          .q = hr::linear(f_q), .k = hr::linear(f_k), .v = hr::linear(f_k), .o = hr::linear(f_o)});
  hr::kv_cache<float, 2, 6> cache(6), other(6);
  floats a(6, 20), b(6, 20);
  narrow(x, cache, a);
  wide(x, other, b);
  REQUIRE((a - b).cwiseAbs().maxCoeff() <= 1e-5f * b.cwiseAbs().maxCoeff());
}

TEST_CASE("weights that do not fit are named") {
  model m;
  const hr::attention<heads, groups, qk, v> sizes;
  const hr::attention_weights<double> good{.q = hr::linear<double>(m.w_q),
                                           .k = hr::linear<double>(m.w_k),
                                           .v = hr::linear<double>(m.w_v),
                                           .o = hr::linear<double>(m.w_o)};
  const auto require_message = [&](const auto& change, const char* message) {
    hr::attention_weights<double> weights = good;
    hr::layer_options<double> options;
    change(weights, options);
    REQUIRE_THROWS_WITH(layer_type(sizes, weights, options), headroom_tests::contains(message));
  };
  require_message([](auto& w, auto&) { w.q = {}; }, "q and o are absent");
  require_message([](auto& w, auto&) { w.v = {}; }, "one of k and v is absent");
  require_message([&](auto& w, auto&) { w.k = hr::linear<double>(m.w_q); },
                  "k has 24 out_features, expected heads * width = 12");
  const matrix narrow_o = matrix::Zero(hidden, 19);
  require_message([&](auto& w, auto&) { w.o = hr::linear<double>(narrow_o); },
                  "o has 19 in_features, expected Q_heads * v_dim = 20");
  const std::vector<double> gain(7, 1.0);
  require_message([&](auto& w, auto&) { w.q_norm = gain; },
                  "q_norm has 7 numbers, expected the width of a head, 6, or of all heads, 24");
  require_message([](auto&, auto& o) { o.rotary = hr::rope(8); },
                  "rotary has rotary_dim = 8, expected at most qk_dim = 6");
  require_message(
      [](auto&, auto& o) {
        o.sinks = {1, 2};
      },
      "2 sinks were given, expected Q_heads = 4");
  require_message([](auto&, auto& o) { o.scale = std::numeric_limits<double>::quiet_NaN(); },
                  "attention_layer: scale = nan, expected a finite number");
  require_message([](auto&, auto& o) { o.softcap = -3; },
                  "attention_layer: softcap = -3, expected 0 (off) or a positive number");
}
