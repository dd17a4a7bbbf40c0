// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "peers/inputs.hpp"
#include "support/counters.hpp"
#include "support/machine_limits.hpp"

#include <headroom/attention.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace headroom_bench {

/// The library, doing what the peer does: where that puts the new tokens into a cache, so does
/// this.
inline void attend_as(bool peer_appends, peer_inputs& in, matrix& out) {
  if (peer_appends) {
    in.cache.truncate(in.cache.tokens() - in.k.rows());
    in.cache.append(in.k, in.v);
  }
  headroom::gqa<peer_inputs::Q_heads, peer_inputs::KV_groups, peer_inputs::dim>()(
      in.q, in.cache, out, headroom::causal{});
}

/// Times the peer in turn with the library: headroom, peer, headroom, ..., headroom. Each call of
/// the peer is compared with the library's right before and after it, from cold memory. Their
/// answers are compared first.
///
/// \tparam Peer  constructed from the inputs; `peer(in, out)` attends; `appends` says whether it
///               also puts the new keys and values into a cache
template <class Peer>
void compare(benchmark::State& state, lengths n) {
  static const read_stream memory;
  peer_inputs in(n);
  matrix out(in.q.rows(), in.q.cols()), peer_out(in.q.rows(), in.q.cols());
  Peer peer(in);

  const auto library_seconds = [&] {
    memory.read();
    return seconds_of([&] { attend_as(Peer::appends, in, out); });
  };
  library_seconds();
  peer(in, peer_out);
  in.check(out);
  const double difference = (out - peer_out).lpNorm<Eigen::Infinity>();
  if (!(difference <= 1e-4))
    throw std::runtime_error("the peer's answer differs by " + std::to_string(difference));

  double before = library_seconds();
  std::vector<double> ours, theirs, ratios;
  for (auto _ : state) {
    state.PauseTiming();
    memory.read();
    state.ResumeTiming();
    theirs.push_back(seconds_of([&] { peer(in, peer_out); }));
    state.PauseTiming();
    const double after = library_seconds();
    ours.push_back((before + after) / 2);
    ratios.push_back(theirs.back() / ours.back());
    before = after;
    state.ResumeTiming();
  }
  state.counters["headroom_ms"] = 1e3 * median(ours);
  state.counters["peer_ms"] = 1e3 * median(theirs);
  state.counters["peer/headroom"] = median(ratios);
  state.counters["max_difference"] = difference;
}

}  // namespace headroom_bench
