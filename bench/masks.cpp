// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
//
// What masks cost: attention under each against attention under causal alone, in turn.
// Grouped-query attention, 32 heads, 8 groups, width 128, on one thread.
//
//   masks/MASK/KV/QxK
//
// KV is what keys and values are stored in. `masked/causal` is the median ratio of neighbours,
// `pairs` what it would be if only pairs of query and key counted.

#include "support/counters.hpp"
#include "support/grouped_inputs.hpp"
#include "support/in_turn.hpp"
#include "support/inputs.hpp"

#include <headroom/attention.hpp>
#include <headroom/dense_mask.hpp>
#include <headroom/mask.hpp>
#include <headroom/score_mod.hpp>
#include <string>
#include <vector>

namespace headroom_bench {
namespace {

using namespace headroom;

constexpr int Q_heads = 32, KV_groups = 8, dim = 128;

Index pairs_of(const attention_mask auto& mask, lengths n) {
  Index pairs = 0;
  for (Index t = 0; t < n.q_len; ++t)
    for (Index j = 0; j < n.kv_len; ++j)
      pairs += sees(mask, {0, t, n.kv_len - n.q_len + t, n.kv_len}, j);
  return pairs;
}

// Masks of calls of some lengths, alike for all heads and rows of q: answers are checked one by
// one.
struct any_window {
  auto of(lengths n) const { return causal{} & sliding_window{n.kv_len / 8}; }
};
struct window_and_prefix {
  auto of(lengths n) const { return causal{} & (sliding_window{n.kv_len / 8} | prefix{4}); }
};
struct with_alibi {
  std::vector<float> slopes = std::vector<float>(Q_heads, 1.f / 64);

  auto of(lengths) const { return causal{} & alibi(slopes); }
};
struct dense {
  std::vector<char> flags;

  auto of(lengths n) {
    flags.assign(static_cast<std::size_t>(n.q_len * n.kv_len), 1);
    return causal{} &
           dense_mask<char>(tokens_major<const char>(flags.data(), n.q_len, 1, n.kv_len));
  }
};
struct biased {
  std::vector<float> numbers;

  auto of(lengths n) {
    for (Index i = 0; i < n.q_len * n.kv_len; ++i)
      numbers.push_back(0.125f * static_cast<float>(i % n.kv_len % 7));
    return causal{} &
           dense_bias<float>(tokens_major<const float>(numbers.data(), n.q_len, 1, n.kv_len));
  }
};
struct lambda {
  auto of(lengths) const {
    return causal{} & mask([](Index, Index, Index key) { return key % 4 != 0; });
  }
};

template <class KV, class Mask>
void compare(benchmark::State& state, lengths n) {
  const grouped_inputs<Q_heads, KV_groups, dim, KV> in(n);
  Mask made;
  const auto mask = made.of(n);
  matrix out(n.q_len, in.q.cols());
  const gqa<Q_heads, KV_groups, dim> attend;
  const auto masked = [&] { return seconds_of([&] { attend(in.q, in.cache, out, mask); }); };
  const auto plain = [&] { return seconds_of([&] { attend(in.q, in.cache, out, causal{}); }); };
  masked();
  in.check(out, mask);
  const times_in_turn times = time_in_turn(state, masked, plain);
  state.counters["masked_ms"] = 1e3 * times.one;
  state.counters["causal_ms"] = 1e3 * times.other;
  state.counters["masked/causal"] = times.one_over_other;
  state.counters["pairs"] =
      static_cast<double>(pairs_of(mask, n)) / static_cast<double>(pairs_of(causal{}, n));
}

template <class Mask>
void add(const std::string& name, lengths n, int calls) {
  const std::string of_lengths = std::to_string(n.q_len) + 'x' + std::to_string(n.kv_len);
  add_case(
      name + "/float/" + of_lengths,
      [=](benchmark::State& state) { compare<float, Mask>(state, n); }, calls);
  add_case(
      name + "/bfloat16/" + of_lengths,
      [=](benchmark::State& state) { compare<Eigen::bfloat16, Mask>(state, n); }, calls);
}

void add_all(const std::string& prefix, lengths n, int calls = 15) {
  add<any_window>(prefix + "masks/window", n, calls);
  add<window_and_prefix>(prefix + "masks/window_and_prefix", n, calls);
  add<with_alibi>(prefix + "masks/alibi", n, calls);
  add<dense>(prefix + "masks/dense", n, calls);
  add<biased>(prefix + "masks/bias", n, calls);
  add<lambda>(prefix + "masks/lambda", n, calls);
}

}  // namespace
}  // namespace headroom_bench

int main(int argc, char** argv) {
  headroom_bench::add_all("", {1, 4096});
  headroom_bench::add_all("", {8, 4096});
  headroom_bench::add_all("", {512, 512});
  headroom_bench::add_all("smoke/", {1, 900}, 1);
  headroom_bench::add_all("smoke/", {40, 60}, 1);
  return headroom_bench::run_cases(argc, argv);
}
