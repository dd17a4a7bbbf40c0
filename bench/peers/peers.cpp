// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
//
// The library beside other implementations of the same attention: 32 heads, 8 groups, width 128,
// causal, in float, on one thread.
//
//   peers/prefill/QxK/PEER
//   peers/decode/QxK/PEER
//
// A peer is there if CMake found it.

#include "peers/compare.hpp"
#include "peers/eigen.hpp"

#include <string>
#ifdef HEADROOM_PEER_OPENBLAS
#include "peers/openblas.hpp"
#endif
#ifdef HEADROOM_PEER_ONNXRUNTIME
#include "peers/onnxruntime.hpp"
#endif

namespace headroom_bench {
namespace {

template <class Peer>
void add(const std::string& name, lengths n) {
  add_case(name + '/' + std::to_string(n.q_len) + 'x' + std::to_string(n.kv_len) + '/' + Peer::name,
           [n](benchmark::State& state) { compare<Peer>(state, n); });
}

void add_all(const std::string& name, lengths n) {
  add<naive_eigen>(name, n);
#ifdef HEADROOM_PEER_OPENBLAS
  add<naive_openblas>(name, n);
#endif
#ifdef HEADROOM_PEER_ONNXRUNTIME
  add<onnxruntime>(name, n);
#endif
}

}  // namespace
}  // namespace headroom_bench

int main(int argc, char** argv) {
  headroom_bench::add_all("peers/prefill", {512, 512});
  headroom_bench::add_all("peers/prefill", {2048, 2048});
  headroom_bench::add_all("peers/decode", {1, 4096});
  headroom_bench::add_all("smoke/peers/prefill", {40, 40});
  headroom_bench::add_all("smoke/peers/decode", {1, 130});
  return headroom_bench::run_cases(argc, argv);
}
