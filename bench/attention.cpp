// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
//
// Attention over a kv_cache at the shapes of known models, causal, on one thread.
//
//   prefill/MODEL/KV/QxK   the rows of a group in blocks, each over the keys: detail/prefill.hpp
//   decode/MODEL/KV/QxK    few rows, the keys split and merged: detail/decode.hpp
//   chunk/MODEL/KV/QxK     in between: a speculated or chunked continuation. Where a group's rows
//                          or the keys pass a switch of detail/dispatch.hpp or of
//                          detail/block_for.hpp, a case on each side
//   chunk/MODEL/KV_tree/QxK  the same by a tree mask
//   short/MODEL/KV/QxK     calls of microseconds, memory warm: what a call costs besides its work
//   .../naive/...          the baseline: Eigen expressions, the matrix of scores in memory
//
// KV is what keys and values are stored in, a scalar or a codec; QxK is q_len x kv_len. All compute
// in float but prefill/MODEL/double, which has no micro-kernels: its products are Eigen's.

#include "support/counters.hpp"
#include "support/grouped_inputs.hpp"
#include "support/inputs.hpp"
#include "support/naive_grouped.hpp"
#include "support/short_call.hpp"

#include <headroom/attention.hpp>
#include <headroom/detail/dispatch.hpp>
#include <headroom/detail/kernels/dot.hpp>
#include <headroom/fp8_codec.hpp>
#include <headroom/int4_codec.hpp>
#include <headroom/int8_codec.hpp>
#include <headroom/tree_mask.hpp>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace headroom_bench {
namespace {

template <int Q_heads, int KV_groups, int dim>
struct library {
  template <class Cache>
  void operator()(const matrix& q, const Cache& cache, matrix& out) const {
    headroom::attention<Q_heads, KV_groups, dim>()(q, cache, out, headroom::causal{});
  }
};

// Drafts that are one chain: what a tree costs, with the answer of a causal chunk.
template <int Q_heads, int KV_groups, int dim>
struct library_tree {
  template <class Cache>
  void operator()(const matrix& q, const Cache& cache, matrix& out) const {
    std::vector<Index> parents(static_cast<std::size_t>(q.rows()));
    std::iota(parents.begin(), parents.end(), Index(-1));
    headroom::attention<Q_heads, KV_groups, dim>()(q, cache, out, headroom::tree_mask<>(parents));
  }
};

// How a case is timed.
constexpr auto cold = [](auto& state, const work& done, const auto& call) {
  measure(state, done, call);
};
constexpr auto warm = [](auto& state, const work& done, const auto& call) {
  measure_short(state, done, call);
};

// One case: `kernel(q, cache, out)` is the library or the baseline.
template <int Q_heads, int KV_groups, int dim, class KV, class Kernel, class Measure>
void attend(benchmark::State& state, lengths n, Kernel kernel, Measure measure_call) {
  const grouped_inputs<Q_heads, KV_groups, dim, KV> in(n);
  matrix out(n.q_len, Q_heads * dim);
  const auto call = [&] { kernel(in.q, in.cache, out); };

  call();
  in.check(out);
  measure_call(state, in.least_work(), call);
}

// In double throughout: of its own peak, half of float's.
template <int Q_heads, int KV_groups, int dim>
void attend_in_double(benchmark::State& state, lengths n) {
  const grouped_inputs<Q_heads, KV_groups, dim, double> in(n);
  const row_major<double> q = in.q.template cast<double>();
  row_major<double> out(n.q_len, Q_heads * dim);
  const auto call = [&] {
    headroom::attention<Q_heads, KV_groups, dim>()(q, in.cache, out, headroom::causal{});
  };

  call();
  in.check(out.cast<float>());
  measure(state, in.template least_work<double>(), call, 0.5);
}

template <int Q_heads, int KV_groups, int dim>
struct model {
  using headroom_kernel = library<Q_heads, KV_groups, dim>;
  using tree_kernel = library_tree<Q_heads, KV_groups, dim>;
  using naive_kernel = naive_grouped<Q_heads, KV_groups, dim>;

  std::string name;

  template <class KV, class Kernel = headroom_kernel, class Measure = decltype(cold)>
  void add(const std::string& kind, const std::string& kernel_name, lengths n,
           Measure measure_call = cold) const {
    add_case(kind + '/' + name + '/' + kernel_name, n,
             [measure_call](benchmark::State& state, lengths sizes) {
               attend<Q_heads, KV_groups, dim, KV>(state, sizes, Kernel(), measure_call);
             });
  }

  // In each scalar.
  template <class Measure = decltype(cold)>
  void add_library(const std::string& kind, lengths n, Measure measure_call = cold) const {
    add<float>(kind, "float", n, measure_call);
    add<Eigen::half>(kind, "half", n, measure_call);
    add<Eigen::bfloat16>(kind, "bfloat16", n, measure_call);
  }

  // In 8 and 4 bits: with a scale for each 32 numbers, or for each row.
  void add_codecs(const std::string& kind, lengths n) const {
    add<headroom::int8_blocks>(kind, "int8_blocks", n);
    add<headroom::int8_rows>(kind, "int8_rows", n);
    add<headroom::fp8_codec>(kind, "fp8", n);
    add<headroom::int4_blocks>(kind, "int4_blocks", n);
  }

  void add_double(const std::string& kind, lengths n) const {
    add_case(kind + '/' + name + "/double", n, attend_in_double<Q_heads, KV_groups, dim>);
  }

  void add_all(const std::string& kind, lengths n) const {
    add_library(kind, n);
    add<float, naive_kernel>(kind, "naive", n);
  }
};

const model<32, 8, 128> llama3_8b{"llama3_8b"};    // grouped-query
const model<32, 32, 128> llama2_7b{"llama2_7b"};   // multi-head
const model<32, 1, 128> shared{"shared"};          // multi-query, as wide as these
const model<71, 1, 64> falcon_7b{"falcon_7b"};     // multi-query
const model<32, 8, 120> danube3_4b{"danube3_4b"};  // of a width that no packet divides
const model<16, 16, 72> siglip{"siglip"};          // the same, multi-head
const model<6, 2, 32> tiny{"tiny"};                // small, by the kernels of llama2_7b

void add_chunks() {
  constexpr Index heads_per_group = 4;
  constexpr Index decoded = headroom::detail::most_decode_rows / heads_per_group;
  constexpr Index as_dots = headroom::detail::most_dot_rows / heads_per_group;
  for (const lengths n : {lengths{1, 1536},
                          {1, 1537},
                          {as_dots, 4096},
                          {as_dots + 1, 4096},
                          {8, 4096},
                          {decoded, 4096},
                          {decoded + 1, 4096}})
    llama3_8b.add<float>("chunk", "float", n);
  for (const Index q_len : {2, 4, 8, 16, 32, 64}) {
    llama3_8b.add<float>("chunk", "float", {q_len, 8192});
    llama3_8b.add<float, decltype(llama3_8b)::tree_kernel>("chunk", "float_tree", {q_len, 8192});
    llama3_8b.add<Eigen::half>("chunk", "half", {q_len, 8192});
    llama3_8b.add<Eigen::bfloat16>("chunk", "bfloat16", {q_len, 8192});
  }
}

void add_cases() {
  const auto add_to_all = [](const std::string& kind, lengths n) {
    llama3_8b.add_all(kind, n);
    llama2_7b.add_all(kind, n);
    falcon_7b.add_all(kind, n);
  };
  add_to_all("prefill", {512, 512});
  llama3_8b.add_double("prefill", {512, 512});
  add_to_all("decode", {1, 4096});
  shared.add_all("decode", {1, 4096});
  for (const auto& [kind, n] :
       {std::pair("prefill", lengths{512, 512}), std::pair("decode", lengths{1, 4096})}) {
    danube3_4b.add_library(kind, n);
    siglip.add_library(kind, n);
  }
  llama3_8b.add_codecs("decode", {1, 4096});
  llama2_7b.add_codecs("decode", {1, 4096});
  add_chunks();
  for (const Index kv_len : {16, 128}) llama3_8b.add_library("short", {1, kv_len}, warm);

  add_to_all("long/prefill", {2048, 2048});
  llama3_8b.add_library("long/prefill", {8192, 8192});
  llama2_7b.add_library("long/prefill", {8192, 8192});
  add_to_all("long/decode", {1, 32768});
  shared.add_all("long/decode", {1, 32768});
  llama3_8b.add_codecs("long/decode", {1, 32768});

  tiny.add_all("smoke/prefill", {150, 150});
  llama3_8b.add_double("smoke/prefill", {40, 40});  // a shape of its own would compile twice
  tiny.add_all("smoke/decode", {2, 1100});
  tiny.add_codecs("smoke/decode", {2, 1100});
  tiny.add_library("smoke/short", {1, 16}, warm);
}

}  // namespace
}  // namespace headroom_bench

int main(int argc, char** argv) {
  headroom_bench::add_cases();
  return headroom_bench::run_cases(argc, argv);
}
