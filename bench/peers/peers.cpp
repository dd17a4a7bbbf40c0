// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
//
// The library beside other implementations of the same attention, causal, on one thread.
//
//   peers/prefill/SHAPE/KV/QxK/PEER
//   peers/decode/SHAPE/KV/QxK/PEER
//
// SHAPE is gqa (32 heads, 8 groups, width 128), mha (32, 32, 128) or mla (absorbed, 128 heads over
// latents of 512 + 64); KV is the scalar that both store keys and values in. A peer is there if
// CMake found it.

#include "peers/compare.hpp"
#include "peers/found.hpp"

#include <string>
#include <type_traits>

namespace headroom_bench {
namespace {

template <class KV>
const char* scalar_name() {
  if constexpr (std::is_same_v<KV, float>) return "float";
  if constexpr (std::is_same_v<KV, Eigen::half>) return "half";
  return "bfloat16";
}

template <class Peer>
void add(const std::string& kind, lengths n) {
  const std::string scalar = scalar_name<typename Peer::inputs::KV>();
  const int calls = n.q_len > 4096 ? 3 : 9;  // the slowest take half a minute
  add_case(
      kind + '/' + scalar + '/' + std::to_string(n.q_len) + 'x' + std::to_string(n.kv_len) + '/' +
          Peer::name,
      [n](benchmark::State& state) { compare<Peer>(state, n); }, calls);
}

template <class... Peers>
void add_all(list<Peers...>, [[maybe_unused]] const std::string& kind, [[maybe_unused]] lengths n) {
  (add<Peers>(kind, n), ...);
}

void add_cases() {
  for (const Index tokens : {512, 2048}) {
    add_all(gqa_peers(), "peers/prefill/gqa", {tokens, tokens});
    add_all(mha_peers(), "peers/prefill/mha", {tokens, tokens});
  }
  add_all(gqa_peers(), "peers/decode/gqa", {1, 4096});
  add_all(mha_peers(), "peers/decode/mha", {1, 4096});
  add_all(mla_peers(), "peers/decode/mla", {1, 4096});

  add_all(gqa_peers(), "long/peers/prefill/gqa", {8192, 8192});
  add_all(gqa_peers(), "long/peers/decode/gqa", {1, 32768});
  add_all(mha_peers(), "long/peers/decode/mha", {1, 32768});
  add_all(mla_peers(), "long/peers/decode/mla", {1, 32768});

  add_all(gqa_peers(), "smoke/peers/prefill/gqa", {40, 40});
  add_all(gqa_peers(), "smoke/peers/decode/gqa", {1, 130});
  add_all(mha_peers(), "smoke/peers/prefill/mha", {40, 40});
  add_all(mha_peers(), "smoke/peers/decode/mha", {1, 130});
  add_all(mla_peers(), "smoke/peers/decode/mla", {1, 130});
}

}  // namespace
}  // namespace headroom_bench

int main(int argc, char** argv) {
  headroom_bench::add_cases();
  return headroom_bench::run_cases(argc, argv);
}
