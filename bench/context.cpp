// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
//
// What a token costs as the context grows: decode over a cache in bfloat16, on one thread.
//
//   context/gqa/TOKENS   grouped-query attention, 32 heads, 8 groups, width 128
//   context/mla/TOKENS   latent attention, absorbed, 16 heads, latents of 512 + 64
//
// Up to a million tokens, as far as a cache fits in a quarter of the machine's memory.

#include "support/counters.hpp"
#include "support/grouped_inputs.hpp"
#include "support/inputs.hpp"
#include "support/latent_inputs.hpp"

#include <unistd.h>
#include <cmath>
#include <headroom/attention.hpp>
#include <headroom/mla.hpp>
#include <string>
#include <utility>

namespace headroom_bench {
namespace {

using stored = Eigen::bfloat16;

template <class Call>
void measure_token(benchmark::State& state, const work& done, const Call& call) {
  state.counters["ns/token"] = measure(state, done, call) * 1e9;
}

struct gqa {
  static constexpr Index bytes_per_token = 2 * 8 * 128 * sizeof(stored);

  static void decode(benchmark::State& state, Index tokens) {
    const grouped_inputs<32, 8, 128, stored> in({1, tokens});
    matrix out(1, 32 * 128);
    const auto call = [&] { headroom::gqa<32, 8, 128>()(in.q, in.cache, out, headroom::causal{}); };

    call();
    in.check(out);
    measure_token(state, in.least_work(), call);
  }
};

struct mla {
  static constexpr Index heads = 16;
  static constexpr Index bytes_per_token = (latent_rank + rope_dim) * sizeof(stored);

  // In the absorbed form, because the expanded keys of a million tokens take gigabytes.
  static void check(const latent_inputs<stored>& in, const matrix& out) {
    Eigen::RowVectorXd q(latent_rank + rope_dim), z(latent_rank);
    const auto c = in.latents.latent_view();
    const headroom::view<const stored> keys(c.data(), c.tokens(), 1, q.size(), q.size(), 0);
    for (Index h : spots(heads)) {
      const Eigen::RowVectorXd given =
          in.q.row(0).segment(h * latent_qk_dim, latent_qk_dim).cast<double>();
      q << given.head(nope_dim) * in.w_uk(h).cast<double>(), given.tail(rope_dim);
      headroom::reference_attention(headroom::as_view(std::as_const(q), 1), keys, c,
                                    headroom::as_view(z, 1), headroom::causal{},
                                    {.scale = 1 / std::sqrt(double(latent_qk_dim))});
      check_near(out.row(0).segment(h * v_dim, v_dim), z * in.w_uv(h).cast<double>().transpose(), 0,
                 h, allowed_error<stored>);
    }
  }

  static void decode(benchmark::State& state, Index tokens) {
    const latent_inputs<stored> in(heads, {1, tokens});
    matrix out(1, heads * v_dim);
    const auto call = [&] {
      headroom::mla<heads, latent_rank, nope_dim, rope_dim, v_dim>().absorbed(
          in.q, in.latents, headroom::linear(in.weights), out, headroom::causal{});
    };

    call();
    check(in, out);
    measure_token(state, in.absorbed_work(), call);
  }
};

template <class Attention>
void add(const std::string& name, Index tokens) {
  const Index quarter = sysconf(_SC_PHYS_PAGES) / 4 * sysconf(_SC_PAGESIZE);
  if (tokens * Attention::bytes_per_token > quarter) return;
  add_case(name + '/' + std::to_string(tokens),
           [tokens](benchmark::State& state) { Attention::decode(state, tokens); });
}

void add_both(const std::string& prefix, Index tokens) {
  add<gqa>(prefix + "context/gqa", tokens);
  add<mla>(prefix + "context/mla", tokens);
}

}  // namespace
}  // namespace headroom_bench

int main(int argc, char** argv) {
  for (int thousands : {1, 4, 16, 64}) headroom_bench::add_both("", thousands * 1024);
  for (int thousands : {256, 1024}) headroom_bench::add_both("long/", thousands * 1024);
  headroom_bench::add_both("smoke/", 300);
  return headroom_bench::run_cases(argc, argv);
}
