// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
//
// Attention over a kv_cache at the shapes of known models, causal, on one thread.
//
//   prefill/MODEL/KV/QxK   the rows of a group in blocks, each over the keys: detail/prefill.hpp
//   decode/MODEL/KV/QxK    few rows, the keys split and merged: detail/decode.hpp
//   chunk/MODEL/KV/QxK     in between: a speculated or chunked continuation. Where a group's rows
//                          or the keys pass the switch of detail/dispatch.hpp, a case on each side
//   .../naive/...          the baseline: Eigen expressions, the matrix of scores in memory
//
// KV is the scalar that keys and values are stored in; QxK is q_len x kv_len.

#include "support/counters.hpp"
#include "support/grouped_inputs.hpp"
#include "support/inputs.hpp"
#include "support/naive_grouped.hpp"

#include <headroom/attention.hpp>
#include <string>

namespace headroom_bench {
namespace {

template <int Q_heads, int KV_groups, int dim>
struct library {
  template <class Cache>
  void operator()(const matrix& q, const Cache& cache, matrix& out) const {
    headroom::attention<Q_heads, KV_groups, dim>()(q, cache, out, headroom::causal{});
  }
};

// One case: `kernel(q, cache, out)` is the library or the baseline.
template <int Q_heads, int KV_groups, int dim, class KV, class Kernel>
void attend(benchmark::State& state, lengths n, Kernel kernel) {
  const grouped_inputs<Q_heads, KV_groups, dim, KV> in(n);
  matrix out(n.q_len, Q_heads * dim);
  const auto call = [&] { kernel(in.q, in.cache, out); };

  call();
  in.check(out);
  measure(state, in.least_work(), call);
}

template <int Q_heads, int KV_groups, int dim>
struct model {
  std::string name;

  template <class KV, class Kernel>
  void add(const std::string& kind, const std::string& kernel_name, lengths n) const {
    add_case(kind + '/' + name + '/' + kernel_name, n, [](benchmark::State& state, lengths sizes) {
      attend<Q_heads, KV_groups, dim, KV>(state, sizes, Kernel());
    });
  }

  void add(const std::string& kind, lengths n) const {
    using headroom_kernel = library<Q_heads, KV_groups, dim>;
    add<float, headroom_kernel>(kind, "float", n);
    add<Eigen::half, headroom_kernel>(kind, "half", n);
    add<Eigen::bfloat16, headroom_kernel>(kind, "bfloat16", n);
    add<float, naive_grouped<Q_heads, KV_groups, dim>>(kind, "naive", n);
  }
};

const model<32, 8, 128> llama3_8b{"llama3_8b"};   // grouped-query
const model<32, 32, 128> llama2_7b{"llama2_7b"};  // multi-head
const model<71, 1, 64> falcon_7b{"falcon_7b"};    // multi-query
const model<6, 2, 20> tiny{"tiny"};

void add_cases() {
  const auto add_to_all = [](const std::string& kind, lengths n) {
    llama3_8b.add(kind, n);
    llama2_7b.add(kind, n);
    falcon_7b.add(kind, n);
  };
  add_to_all("prefill", {512, 512});
  add_to_all("decode", {1, 4096});

  for (const lengths n : {lengths{1, 1024}, {1, 1025}, {8, 4096}, {64, 4096}, {65, 4096}})
    llama3_8b.add<float, library<32, 8, 128>>("chunk", "float", n);

  add_to_all("long/prefill", {2048, 2048});
  add_to_all("long/decode", {1, 16384});

  tiny.add("smoke/prefill", {150, 150});
  tiny.add("smoke/decode", {2, 1100});
}

}  // namespace
}  // namespace headroom_bench

int main(int argc, char** argv) {
  headroom_bench::add_cases();
  return headroom_bench::run_cases(argc, argv);
}
