// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
//
// How far the library and its peers are from attention in double over the same stored numbers: the
// largest error of any output, where values are of size 1. Prints a table.
//
//   random         256 x 256, queries and keys of size 1
//   large logits   256 x 256, scores in the hundreds
//   long context   1 x 32768

#include "peers/found.hpp"

#include <algorithm>
#include <iomanip>
#include <iostream>
#include <map>
#include <string>
#include <type_traits>

namespace headroom_bench {
namespace {

struct input_kind {
  const char* name;
  lengths n;
  float query_size;
};

constexpr input_kind kinds[]{{"random", {256, 256}, 1},
                             {"large logits", {256, 256}, 256},
                             {"long context", {1, 32768}, selective}};

// Of every row of the first, middle and last head.
template <class Inputs>
double largest_error(const Inputs& in, const matrix& out) {
  constexpr Index heads_per_group = Inputs::Q_heads / Inputs::KV_groups;
  const auto q = headroom::as_view(in.q, Inputs::Q_heads);
  row_major<double> expected(in.q.rows(), Inputs::v_dim);
  double error = 0;
  for (const Index h : spots(Inputs::Q_heads)) {
    const Index g = h / heads_per_group;
    headroom::reference_attention(q.slice_heads(h, h + 1), in.key_view().slice_heads(g, g + 1),
                                  in.value_view().slice_heads(g, g + 1),
                                  headroom::as_view(expected, 1), headroom::causal{},
                                  {.scale = in.scale()});
    const auto actual = out.middleCols(h * Inputs::v_dim, Inputs::v_dim).template cast<double>();
    error = std::max(error, (actual - expected).template lpNorm<Eigen::Infinity>());
  }
  return error;
}

// By the name of who computed.
using errors = std::map<std::string, double>;

template <class Peer, class Inputs>
void add_peer(const Inputs& in, errors& found) {
  if constexpr (std::is_same_v<typename Peer::inputs, Inputs>) {
    Peer peer(in);
    peer.run();
    found[Peer::name] = largest_error(in, peer.answer());
  }
}

template <class Inputs, class... Peers>
errors measure_errors(const input_kind& kind, list<Peers...>) {
  Inputs in(kind.n, kind.query_size);
  matrix out(kind.n.q_len, Inputs::Q_heads * Inputs::v_dim);
  in.attend(out);
  errors found{{"headroom", largest_error(in, out)}};
  (add_peer<Peers>(in, found), ...);
  return found;
}

constexpr const char* columns[]{"headroom",        "eigen_naive",           "openblas_naive",
                                "onnxruntime_gqa", "onnxruntime_attention", "ggml"};

void print(const std::string& shape, const char* kind, const char* scalar, const errors& found) {
  std::cout << "| " << shape << " | " << kind << " | " << scalar << " |";
  for (const char* column : columns) {
    const auto error = found.find(column);
    if (error != found.end()) std::cout << ' ' << std::setprecision(2) << error->second;
    std::cout << " |";
  }
  std::cout << std::endl;
}

template <template <class> class Inputs, class Peers>
void print_all(const std::string& shape, Peers peers) {
  for (const input_kind& kind : kinds) {
    print(shape, kind.name, "float", measure_errors<Inputs<float>>(kind, peers));
    print(shape, kind.name, "half", measure_errors<Inputs<Eigen::half>>(kind, peers));
    print(shape, kind.name, "bfloat16", measure_errors<Inputs<Eigen::bfloat16>>(kind, peers));
  }
}

}  // namespace
}  // namespace headroom_bench

int main() {
  using namespace headroom_bench;
  Eigen::setNbThreads(1);
  std::cout << "| Attention | Inputs | Stored as |";
  for (const char* column : columns) std::cout << ' ' << column << " |";
  std::cout << "\n|---|---|---|";
  for ([[maybe_unused]] const char* column : columns) std::cout << "---|";
  std::cout << '\n';
  print_all<gqa_inputs>("32/8/128", gqa_peers());
  print_all<latent_peer_inputs>("absorbed, 128 heads", mla_peers());
}
