// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
//
// Latent attention over a latent_cache at the shapes of DeepSeek's models, causal, on one thread.
//
//   prefill/MODEL/FORM/STORED/QxK   the expanded form, keys and values made tile by tile
//   decode/MODEL/FORM/STORED/QxK    the absorbed form, multi-query attention over the latents
//   decode/MODEL/latents/STORED/QxK   that attention alone, without the two products with the
//                                   up-projection around it
//   chunk/MODEL/FORM/STORED/QxK     both forms on either side of mla_shape::crossover, 157 queries
//                                   for 2048 keys of these models
//   .../naive_FORM/...              the baseline: the same form as Eigen expressions
//
// STORED is what latents and up-projection are stored in; beside latents in a codec, up-projection
// and rotary keys are in bfloat16. QxK is q_len x kv_len. Flops are those of the form that is
// measured, up-projections included, so compare the two forms by their time.

#include "support/counters.hpp"
#include "support/inputs.hpp"
#include "support/latent_inputs.hpp"
#include "support/naive.hpp"

#include <cmath>
#include <headroom/cost.hpp>
#include <headroom/fp8_codec.hpp>
#include <headroom/int8_codec.hpp>
#include <headroom/mla.hpp>
#include <string>

namespace headroom_bench {
namespace {

struct expanded {
  template <class Stored>
  static work least_work(const latent_inputs<Stored>& in) {
    return in.expanded_work();
  }

  template <class Stored>
  void operator()(const latent_inputs<Stored>& in, matrix& out) const {
    headroom::mla<Eigen::Dynamic, latent_rank, nope_dim, rope_dim, v_dim>(in.heads, latent_rank,
                                                                          nope_dim, rope_dim, v_dim)
        .expanded(in.q, in.latents, headroom::linear(in.weights), out, headroom::causal{});
  }
};

struct absorbed {
  template <class Stored>
  static work least_work(const latent_inputs<Stored>& in) {
    return in.absorbed_work();
  }

  template <class Stored>
  void operator()(const latent_inputs<Stored>& in, matrix& out) const {
    headroom::mla<Eigen::Dynamic, latent_rank, nope_dim, rope_dim, v_dim>(in.heads, latent_rank,
                                                                          nope_dim, rope_dim, v_dim)
        .absorbed(in.q, in.latents, headroom::linear(in.weights), out, headroom::causal{});
  }
};

// The attention between the products with the up-projection, of queries that are absorbed already.
template <class Stored>
void attend_latents(benchmark::State& state, Index heads, lengths n) {
  const latent_inputs<Stored> in(heads, n);
  constexpr Index width = latent_rank + rope_dim;
  numbers random;
  const matrix q = queries(random, n.q_len, heads * width);
  matrix z(n.q_len, heads * latent_rank);
  const auto call = [&] {
    headroom::attention<Eigen::Dynamic, 1, width, latent_rank>(heads, 1, width, latent_rank)(
        q, in.latents, z, headroom::causal{});
  };
  call();
  const Index pairs = headroom::causal_pairs(n.q_len, n.kv_len);
  const Index bytes = in.latents.tokens() * in.latents.bytes_per_token() +
                      (q.size() + z.size()) * static_cast<Index>(sizeof(float));
  measure(state,
          {static_cast<double>(in.shape().absorbed_flops(pairs)), static_cast<double>(bytes)},
          call);
}

const float scale = 1 / std::sqrt(static_cast<float>(latent_qk_dim));

struct naive_expanded : expanded {
  void operator()(const latent_inputs<float>& in, matrix& out) {
    const auto c = as_matrix(in.latents.latent_view());
    k.resize(c.rows(), latent_qk_dim);
    k.rightCols(rope_dim) = as_matrix(in.latents.rope_key_view());
    for (Index h = 0; h < in.heads; ++h) {
      k.leftCols(nope_dim).noalias() = c * in.w_uk(h).transpose();
      v.noalias() = c * in.w_uv(h).transpose();
      scores.noalias() = scale * in.q.middleCols(h * latent_qk_dim, latent_qk_dim) * k.transpose();
      hide_future(scores);
      softmax_rows(scores);
      out.middleCols(h * v_dim, v_dim).noalias() = scores * v;
    }
  }

  matrix k = {}, v = {}, scores = {};
};

struct naive_absorbed : absorbed {
  void operator()(const latent_inputs<float>& in, matrix& out) {
    const auto c = as_matrix(in.latents.latent_view());
    const Eigen::Map<const matrix> k(c.data(), c.rows(), latent_rank + rope_dim);
    q.resize(in.heads, latent_rank + rope_dim);
    for (Index t = 0; t < out.rows(); ++t) {
      const Index seen = c.rows() - out.rows() + 1 + t;
      for (Index h = 0; h < in.heads; ++h) {
        const auto row = in.q.row(t).segment(h * latent_qk_dim, latent_qk_dim);
        q.row(h).head(latent_rank).noalias() = row.head(nope_dim) * in.w_uk(h);
        q.row(h).tail(rope_dim) = row.tail(rope_dim);
      }
      scores.noalias() = scale * q * k.topRows(seen).transpose();
      softmax_rows(scores);
      z.noalias() = scores * c.topRows(seen);
      for (Index h = 0; h < in.heads; ++h)
        out.row(t).segment(h * v_dim, v_dim).noalias() = z.row(h) * in.w_uv(h).transpose();
    }
  }

  matrix q = {}, z = {}, scores = {};
};

// One case: `form(in, out)` is the library or the baseline.
template <class Stored, class Form>
void attend(benchmark::State& state, Index heads, lengths n, Form form) {
  const latent_inputs<Stored> in(heads, n);
  matrix out(n.q_len, heads * v_dim);
  const auto call = [&] { form(in, out); };

  call();
  in.check(out);
  measure(state, Form::least_work(in), call);
}

struct model {
  std::string name;
  Index heads;

  template <class Stored, class Form>
  void add(const std::string& kind, const std::string& form, lengths n) const {
    add_case(kind + '/' + name + '/' + form, n,
             [heads = heads](benchmark::State& state, lengths sizes) {
               attend<Stored>(state, heads, sizes, Form());
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
    add<Eigen::half, absorbed>(prefix + "decode", "absorbed/half", {1, kv_len});
    add_codecs(prefix, kv_len);
    add_latents<float>(prefix, "float", kv_len);
    add_latents<Eigen::bfloat16>(prefix, "bfloat16", kv_len);
  }

  // In 8 bits: with a scale for each 32 numbers, or for each latent.
  void add_codecs(const std::string& prefix, Index kv_len) const {
    add<headroom::int8_blocks, absorbed>(prefix + "decode", "absorbed/int8_blocks", {1, kv_len});
    add<headroom::int8_rows, absorbed>(prefix + "decode", "absorbed/int8_rows", {1, kv_len});
    add<headroom::fp8_codec, absorbed>(prefix + "decode", "absorbed/fp8", {1, kv_len});
  }

  template <class Stored>
  void add_latents(const std::string& prefix, const std::string& stored, Index kv_len) const {
    add_case(prefix + "decode/" + name + "/latents/" + stored, {1, kv_len},
             [heads = heads](benchmark::State& state, lengths n) {
               attend_latents<Stored>(state, heads, n);
             });
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
    m.add_decode("long/", 32768);
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
