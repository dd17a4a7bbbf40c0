// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
//
// How far the library and its peers are from attention in double over the same stored numbers: the
// largest error of any output, where values are of size 1. Prints a table. Fails if the library's
// error is larger than rounding explains, or than a peer's.
//
//   random         256 x 256, queries and keys of size 1
//   large logits   256 x 256, scores in the hundreds
//   long context   1 x 32768

#include "peers/found.hpp"

#include <algorithm>
#include <cmath>
#include <headroom/detail/packet_bfloat16.hpp>
#include <iomanip>
#include <iostream>
#include <limits>
#include <map>
#include <numbers>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

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

// Of every row of the first, middle and last head; infinite where an output is no number.
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
    if (!actual.allFinite()) return std::numeric_limits<double>::infinity();
    error = std::max(error, (actual - expected).template lpNorm<Eigen::Infinity>());
  }
  return error;
}

// How large the library's error may be. Inputs are independent and uniform; roundings count as
// independent and of mean 0, so that n of them add up to sqrt(n) of one, not to n as in the tests'
// bound, which holds for any inputs (Higham and Mary, SIAM J. Sci. Comput. 41, 2019). Each is at
// most u of what is rounded, and u / sqrt(3) in the mean square.
//
// 1. A product of two numbers is of size query_size / 3, a score, scaled, sqrt(dim) times as large.
//    Summed one after another, i of them are of sqrt(i) / sqrt(dim) of its size, which rounds to
//    sqrt(dim / 2) roundings of it in all. Scaling q takes one more, and one of bfloat16 if q is
//    rounded to that.
// 2. Outputs err by the mean of these errors times values, under weights of sum 1: at most one of
//    them times 1 / sqrt(3), the size of values.
// 3. If n keys share the weight, the sum of weights is rounded sqrt(n) times more, but an output is
//    of size 1 / sqrt(n): of both sums a rounding of 1 is left, whatever n. A weight errs by the 8
//    u of an exponential, and by its own rounding to bfloat16.
//
// Six times the deviation, since the largest of 1e5 outputs counts.
template <class Inputs>
double allowed(const Inputs& in, double query_size) {
  constexpr bool rounds = headroom::detail::has_fast_bfloat16_dots &&
                          std::is_same_v<typename Inputs::KV, Eigen::bfloat16>;
  constexpr double u = 0x1p-24, w = rounds ? 0x1p-8 : 0, dim = Inputs::dim;
  const double score = in.scale() * query_size / 3 * std::sqrt(dim);
  const double score_error = score * (u * (std::sqrt(dim / 2) + 1) + w) / std::numbers::sqrt3;
  return 6 * (score_error / std::numbers::sqrt3 + u) + 8 * u + w;
}

// How large it may be beside a peer's. Errors are compared to a quarter: the largest of many
// depends on the order of sums, and over a long context rounding weights to bfloat16 makes one
// of 7.2e-4 one of 7.7e-4. And to two units in the last place of 1, the size of values: errors of
// random inputs, such as 1.7e-7 beside 1.1e-7, are those of the last few roundings.
double allowed_beside(double peer_error) {
  return 1.25 * peer_error + 2 * std::numeric_limits<float>::epsilon();
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

struct measured {
  errors found;
  double bound;  // of headroom's
};

template <class Inputs, class... Peers>
measured measure_errors(const input_kind& kind, list<Peers...>) {
  Inputs in(kind.n, kind.query_size);
  matrix out(kind.n.q_len, Inputs::Q_heads * Inputs::v_dim);
  in.attend(out);
  errors found{{"headroom", largest_error(in, out)}};
  (add_peer<Peers>(in, found), ...);
  return {found, allowed(in, kind.query_size)};
}

constexpr const char* columns[]{"headroom",        "eigen_naive",           "openblas_naive",
                                "onnxruntime_gqa", "onnxruntime_attention", "ggml"};

void print_row(const std::string& name, const errors& found) {
  std::cout << "| " << name << " |";
  for (const char* column : columns) {
    const auto error = found.find(column);
    if (error != found.end()) std::cout << ' ' << std::setprecision(2) << error->second;
    std::cout << " |";
  }
  std::cout << std::endl;
}

class report {
 public:
  report() {
    std::cout << "| Attention | Inputs | Stored as |";
    for (const char* column : columns) std::cout << ' ' << column << " |";
    std::cout << "\n|---|---|---|";
    for ([[maybe_unused]] const char* column : columns) std::cout << "---|";
    std::cout << '\n';
  }

  template <template <class> class Inputs, class Peers>
  void add(const std::string& shape, Peers peers) {
    for (const input_kind& kind : kinds) {
      const std::string name = shape + " | " + kind.name + " | ";
      add_row(name + "float", measure_errors<Inputs<float>>(kind, peers));
      add_row(name + "half", measure_errors<Inputs<Eigen::half>>(kind, peers));
      add_row(name + "bfloat16", measure_errors<Inputs<Eigen::bfloat16>>(kind, peers));
    }
  }

  /// What is not as it should be, a line for each.
  const std::vector<std::string>& failures() const { return failures_; }

 private:
  void add_row(const std::string& name, const measured& errors_of_row) {
    const auto& [found, bound] = errors_of_row;
    print_row(name, found);
    const double error = found.at("headroom");
    expect(name, error, bound, "rounding explains");
    for (const auto& [peer, peer_error] : found)
      if (peer != "headroom") expect(name, error, allowed_beside(peer_error), "beside " + peer);
  }

  void expect(const std::string& name, double error, double most, const std::string& why) {
    if (error <= most) return;
    std::ostringstream line;
    line << std::setprecision(2) << name << ": headroom is off by " << error << ", " << why
         << " at most " << most;
    failures_.push_back(line.str());
  }

  std::vector<std::string> failures_;
};

}  // namespace
}  // namespace headroom_bench

int main() {
  using namespace headroom_bench;
  Eigen::setNbThreads(1);
  report table;
  table.add<gqa_inputs>("32/8/128", gqa_peers());
  table.add<latent_peer_inputs>("absorbed, 128 heads", mla_peers());
  for (const std::string& failure : table.failures()) std::cerr << failure << '\n';
  return table.failures().empty() ? 0 : 1;
}
