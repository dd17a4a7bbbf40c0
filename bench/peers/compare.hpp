// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/counters.hpp"
#include "support/in_turn.hpp"
#include "support/inputs.hpp"
#include "support/machine_limits.hpp"

#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

namespace headroom_bench {

/// How far the answers of two libraries may lie apart: peers round to the scalar that is stored.
template <class KV>
double tolerance() {
  if constexpr (std::is_same_v<KV, float>) return allowed_error<float>;
  return rounded_apart(std::is_same_v<KV, Eigen::half> ? 0x1p-11 : 0x1p-8);
}

/// Times the peer in turn with the library, each from cold memory. Their answers are compared
/// first.
///
/// \tparam Peer  constructed from its `inputs`; `run()` attends, then `answer()` is the output;
///               `appends` says whether it also puts the new keys and values into a cache
template <class Peer>
void compare(benchmark::State& state, lengths n) {
  using inputs = typename Peer::inputs;
  inputs in(n);
  matrix out(n.q_len, inputs::Q_heads * inputs::v_dim);
  Peer peer(in);

  const auto library_seconds = [&] { return seconds_of([&] { in.attend(out, Peer::appends); }); };
  library_seconds();
  peer.run();
  in.check(out);
  const double difference = (out - peer.answer()).template lpNorm<Eigen::Infinity>();
  if (!(difference <= tolerance<typename inputs::KV>()))
    throw std::runtime_error("the peer's answer differs by " + std::to_string(difference));

  std::vector<double> peaks, bandwidths;
  const times_in_turn times = time_in_turn(
      state, library_seconds, [&] { return seconds_of([&] { peer.run(); }); },
      [&] {
        peaks.push_back(fma_peak());
        bandwidths.push_back(far_memory().bytes_per_second());
      });
  const work done = in.least_work();
  state.counters["headroom_ms"] = 1e3 * times.one;
  state.counters["peer_ms"] = 1e3 * times.other;
  state.counters["peer/headroom"] = 1 / times.one_over_other;
  state.counters["peer_peak%"] = 100 * done.flops / times.other / median(peaks);
  state.counters["peer_read%"] = 100 * done.bytes / times.other / median(bandwidths);
  state.counters["max_difference"] = difference;
}

}  // namespace headroom_bench
