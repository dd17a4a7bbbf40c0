// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
//
// Latent attention over a latent_cache at the shapes of DeepSeek's models, causal, on one thread.
//
//   prefill/MODEL/FORM/SCALAR/QxK   the expanded form, keys and values made tile by tile
//   decode/MODEL/FORM/SCALAR/QxK    the absorbed form, multi-query attention over the latents
//   chunk/MODEL/FORM/SCALAR/QxK     both forms on either side of mla_shape::crossover, 157 queries
//                                   for 2048 keys of these models
//   .../naive_FORM/...              the baseline: the same form as Eigen expressions
//
// SCALAR is what latents and up-projection are stored in; QxK is q_len x kv_len. Flops are those of
// the form that is measured, up-projections included, so compare the two forms by their time.

#include "support/counters.hpp"
#include "support/inputs.hpp"
#include "support/naive.hpp"

#include <cmath>
#include <headroom/cost.hpp>
#include <headroom/latent_cache.hpp>
#include <headroom/mla.hpp>
#include <string>
#include <utility>

namespace headroom_bench {
namespace {

// The same in DeepSeek-V2-Lite and V3.
constexpr Index rank = 512, nope = 128, rope = 64, value = 128;
constexpr Index qk_dim = nope + rope;
const float scale = 1 / std::sqrt(static_cast<float>(qk_dim));

constexpr headroom::mla_shape shape_of(Index heads) {
  return {.hidden = 0,
          .Q_heads = heads,
          .latent_rank = rank,
          .nope_dim = nope,
          .rope_dim = rope,
          .v_dim = value};
}

template <class Scalar>
struct inputs {
  inputs(Index Q_heads, lengths n)
      : heads(Q_heads),
        q(queries(random, n.q_len, heads * qk_dim)),
        // Variance 1 / rank leaves keys and values as large as latents are.
        weights((random(heads * (nope + value), rank) * std::sqrt(3.0f / rank)).cast<Scalar>()),
        latents(n.kv_len) {
    fill(latents, random, rank, rope);
  }

  // The rows of W_UK and of W_UV of head h.
  auto w_uk(Index h) const { return weights.middleRows(h * (nope + value), nope); }
  auto w_uv(Index h) const { return weights.middleRows(h * (nope + value) + nope, value); }

  numbers random;
  Index heads;
  matrix q;                   // [q_len, H * (nope + rope)]
  row_major<Scalar> weights;  // [H * (nope + value), rank]
  headroom::latent_cache<Scalar, rank, rope> latents;
};

struct expanded {
  static Index flops(const headroom::mla_shape& shape, lengths n) {
    return shape.expanded_flops(headroom::causal_pairs(n.q_len, n.kv_len)) +
           shape.up_projection_flops() * n.kv_len;
  }

  template <class Scalar>
  void operator()(const inputs<Scalar>& in, matrix& out) const {
    headroom::mla<Eigen::Dynamic, rank, nope, rope, value>(in.heads, rank, nope, rope, value)
        .expanded(in.q, in.latents, headroom::linear(in.weights), out, headroom::causal{});
  }
};

struct absorbed {
  static Index flops(const headroom::mla_shape& shape, lengths n) {
    return shape.absorbed_flops(headroom::causal_pairs(n.q_len, n.kv_len)) +
           shape.up_projection_flops() * n.q_len;
  }

  template <class Scalar>
  void operator()(const inputs<Scalar>& in, matrix& out) const {
    headroom::mla<Eigen::Dynamic, rank, nope, rope, value>(in.heads, rank, nope, rope, value)
        .absorbed(in.q, in.latents, headroom::linear(in.weights), out, headroom::causal{});
  }
};

struct naive_expanded : expanded {
  void operator()(const inputs<float>& in, matrix& out) {
    const auto c = as_matrix(in.latents.latent_view());
    k.resize(c.rows(), qk_dim);
    k.rightCols(rope) = as_matrix(in.latents.rope_key_view());
    for (Index h = 0; h < in.heads; ++h) {
      k.leftCols(nope).noalias() = c * in.w_uk(h).transpose();
      v.noalias() = c * in.w_uv(h).transpose();
      scores.noalias() = scale * in.q.middleCols(h * qk_dim, qk_dim) * k.transpose();
      hide_future(scores);
      softmax_rows(scores);
      out.middleCols(h * value, value).noalias() = scores * v;
    }
  }

  matrix k = {}, v = {}, scores = {};
};

struct naive_absorbed : absorbed {
  void operator()(const inputs<float>& in, matrix& out) {
    const auto c = as_matrix(in.latents.latent_view());
    const Eigen::Map<const matrix> k(c.data(), c.rows(), rank + rope);
    q.resize(in.heads, rank + rope);
    for (Index t = 0; t < out.rows(); ++t) {
      const Index seen = c.rows() - out.rows() + 1 + t;
      for (Index h = 0; h < in.heads; ++h) {
        const auto row = in.q.row(t).segment(h * qk_dim, qk_dim);
        q.row(h).head(rank).noalias() = row.head(nope) * in.w_uk(h);
        q.row(h).tail(rope) = row.tail(rope);
      }
      scores.noalias() = scale * q * k.topRows(seen).transpose();
      softmax_rows(scores);
      z.noalias() = scores * c.topRows(seen);
      for (Index h = 0; h < in.heads; ++h)
        out.row(t).segment(h * value, value).noalias() = z.row(h) * in.w_uv(h).transpose();
    }
  }

  matrix q = {}, z = {}, scores = {};
};

// Heads {first, middle, last}, whose keys and values are made in double for the reference.
template <class Scalar>
void check(const inputs<Scalar>& in, const matrix& out) {
  const auto latents = in.latents.latent_view(), rope_keys = in.latents.rope_key_view();
  using stored = Eigen::Map<const row_major<Scalar>, 0, Eigen::OuterStride<>>;
  const Index tokens = latents.tokens();
  const stored c(latents.data(), tokens, rank, Eigen::OuterStride<>(rank + rope));
  const stored k_pe(rope_keys.data(), tokens, rope, Eigen::OuterStride<>(rank + rope));
  const row_major<double> c_exact = c.template cast<double>();
  row_major<double> k(tokens, qk_dim), v(tokens, value);
  k.rightCols(rope) = k_pe.template cast<double>();
  for (Index h : spots(in.heads)) {
    k.leftCols(nope).noalias() = c_exact * in.w_uk(h).template cast<double>().transpose();
    v.noalias() = c_exact * in.w_uv(h).template cast<double>().transpose();
    for (Index t : spots(out.rows()))
      check_row(headroom::as_view(in.q, in.heads), headroom::as_view(out, in.heads), t, h,
                headroom::as_view(std::as_const(k), 1), headroom::as_view(std::as_const(v), 1));
  }
}

// One case: `form(in, out)` is the library or the baseline.
template <class Scalar, class Form>
void attend(benchmark::State& state, Index heads, lengths n, Form form) {
  const inputs<Scalar> in(heads, n);
  matrix out(n.q_len, heads * value);
  const auto call = [&] { form(in, out); };

  call();
  check(in, out);
  constexpr Index bytes_per_float = sizeof(float);
  const Index bytes = in.latents.bytes_per_token() * n.kv_len +
                      in.weights.size() * static_cast<Index>(sizeof(Scalar)) +
                      (in.q.size() + out.size()) * bytes_per_float;
  measure(state, {static_cast<double>(Form::flops(shape_of(heads), n)), static_cast<double>(bytes)},
          call);
}

struct model {
  std::string name;
  Index heads;

  template <class Scalar, class Form>
  void add(const std::string& kind, const std::string& form, lengths n) const {
    add_case(kind + '/' + name + '/' + form, n,
             [heads = heads](benchmark::State& state, lengths sizes) {
               attend<Scalar>(state, heads, sizes, Form());
             });
  }

  template <class Form, class Naive>
  void add_all(const std::string& kind, const std::string& form, lengths n) const {
    add<float, Form>(kind, form + "/float", n);
    add<Eigen::bfloat16, Form>(kind, form + "/bfloat16", n);
    add<float, Naive>(kind, "naive_" + form + "/float", n);
  }

  void add_prefill(const std::string& prefix, Index tokens) const {
    add_all<expanded, naive_expanded>(prefix + "prefill", "expanded", {tokens, tokens});
  }

  void add_decode(const std::string& prefix, Index kv_len) const {
    add_all<absorbed, naive_absorbed>(prefix + "decode", "absorbed", {1, kv_len});
  }
};

const model v2_lite{"deepseek_v2_lite", 16};
const model v3{"deepseek_v3", 128};
const model tiny{"tiny", 3};

void add_cases() {
  for (const model& m : {v2_lite, v3}) {
    m.add_prefill("", 512);
    m.add_decode("", 4096);
  }
  for (Index q_len : {128, 192}) {
    v2_lite.add<float, absorbed>("chunk", "absorbed/float", {q_len, 2048});
    v2_lite.add<float, expanded>("chunk", "expanded/float", {q_len, 2048});
  }
  for (const model& m : {v2_lite, v3}) {
    m.add_prefill("long/", 2048);
    m.add_decode("long/", 16384);
  }
  tiny.add_prefill("smoke/", 150);
  tiny.add_decode("smoke/", 1100);
}

}  // namespace
}  // namespace headroom_bench

int main(int argc, char** argv) {
  headroom_bench::add_cases();
  return headroom_bench::run_cases(argc, argv);
}
