// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
//
// Sequences of different lengths in one call of attend_batch: 20 of 64 to 8192 tokens, as many
// short ones as long ones. Grouped-query attention, 32 heads, 8 groups, width 128, causal, on one
// thread.
//
//   ragged/decode/KV/batch   a query each, against a call for each, all over caches in one piece
//   ragged/decode/KV/PAGE    the call over pages of PAGE tokens, in random order in one pool,
//                            against the same call over caches in one piece
//   ragged/mixed/KV/...      the same with a chunk of 32 queries in every eighth sequence
//
// KV is what keys and values are stored in.

#include "support/counters.hpp"
#include "support/grouped_inputs.hpp"
#include "support/in_turn.hpp"
#include "support/inputs.hpp"
#include "support/pages.hpp"

#include <cmath>
#include <headroom/batch.hpp>
#include <headroom/int8_codec.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/paged_cache.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace headroom_bench {
namespace {

constexpr int Q_heads = 32, KV_groups = 8, dim = 128;
constexpr Index width = KV_groups * dim;

struct mixture {
  Index sequences, longest;
  bool chunks;

  // Their logarithms are uniform.
  std::vector<lengths> draw() const {
    constexpr float shortest = 64;
    numbers random;
    std::vector<lengths> result;
    for (Index i = 0; i < sequences; ++i) {
      const float part = (random() + 1) / 2;
      const float kv_len = shortest * std::pow(static_cast<float>(longest) / shortest, part);
      result.push_back({chunks && i % 8 == 0 ? 32 : 1, static_cast<Index>(kv_len)});
    }
    return result;
  }
};

// A source for each sequence.
template <class Cache>
struct sources {
  // make(capacity) is an empty one; the same tokens are put into those of any kind.
  template <class Make>
  sources(const std::vector<lengths>& of, const Make& make) {
    caches.reserve(of.size());
    numbers random;
    for (const lengths n : of) {
      caches.push_back(make(n.kv_len));
      fill(caches.back(), random, width, width);
      batch.emplace_back(caches.back());
    }
  }

  std::vector<Cache> caches;
  std::vector<headroom::batch_sequence<Cache, headroom::causal>> batch;
};

// The sequences in caches of one piece, with their queries.
template <class KV>
class ragged_inputs {
 public:
  using Cache = headroom::kv_cache<KV>;

  explicit ragged_inputs(const mixture& mixed)
      : lengths_(mixed.draw()),
        contiguous_(lengths_, [](Index tokens) { return Cache(tokens, KV_groups, dim); }) {
    for (const lengths n : lengths_) offsets_.push_back(offsets_.back() + n.q_len);
    numbers random;
    q_ = queries(random, offsets_.back(), Q_heads * dim);
  }

  const std::vector<lengths>& of() const { return lengths_; }
  matrix room() const { return {q_.rows(), q_.cols()}; }

  void together(matrix& out) const { together(contiguous_, out); }
  template <class Sources>
  void together(const Sources& held, matrix& out) const {
    headroom::attend_batch(heads_, q_, offsets_, held.batch, out);
  }
  void one_by_one(matrix& out) const {
    for (std::size_t i = 0; i < lengths_.size(); ++i)
      heads_(rows(q_, i), contiguous_.caches[i], rows(out, i), headroom::causal{});
  }

  /// \throws std::runtime_error if `out` is not what `other` is, to the bit, nor attention
  void check(const matrix& out, const matrix& other) const {
    if (out != other) throw std::runtime_error("the two answers differ");
    for (const Index i : spots(static_cast<Index>(lengths_.size()))) {
      const auto sequence = static_cast<std::size_t>(i);
      check_grouped<Q_heads, KV_groups, dim>(rows(q_, sequence), contiguous_.caches[sequence],
                                             rows(out, sequence));
    }
  }

 private:
  template <class Matrix>
  auto rows(Matrix& packed, std::size_t i) const {
    return packed.middleRows(offsets_[i], lengths_[i].q_len);
  }

  const headroom::gqa<Q_heads, KV_groups, dim> heads_;
  std::vector<lengths> lengths_;
  sources<Cache> contiguous_;
  std::vector<Index> offsets_ = {0};
  matrix q_;
};

// One of two ways to the answer.
template <class Call>
struct way {
  std::string name;
  Call call;  // writes all of the answer to its argument

  double seconds(matrix& out) const {
    return seconds_of([&] { call(out); });
  }
};
template <class Call>
way(const char*, Call) -> way<Call>;

template <class KV, class Ours, class Other>
void compare(benchmark::State& state, const ragged_inputs<KV>& in, const way<Ours>& ours,
             const way<Other>& other) {
  matrix out = in.room(), expected = in.room();
  ours.call(out);
  other.call(expected);
  in.check(out, expected);
  const times_in_turn times = time_in_turn(
      state, [&] { return other.seconds(expected); }, [&] { return ours.seconds(out); },
      empty_caches);
  state.counters[other.name + "_ms"] = 1e3 * times.one;
  state.counters[ours.name + "_ms"] = 1e3 * times.other;
  state.counters[ours.name + '/' + other.name] = 1 / times.one_over_other;
}

template <class KV>
void compare_calls(benchmark::State& state, const mixture& mixed) {
  const ragged_inputs<KV> in(mixed);
  compare(state, in, way{"batch", [&](matrix& out) { in.together(out); }},
          way{"one_by_one", [&](matrix& out) { in.one_by_one(out); }});
}

template <class KV>
void compare_pages(benchmark::State& state, const mixture& mixed, Index page_tokens) {
  using Cache = headroom::paged_cache<KV>;
  const ragged_inputs<KV> in(mixed);
  Index pages = 0;
  for (const lengths n : in.of()) pages += (n.kv_len + page_tokens - 1) / page_tokens;
  typename Cache::Pool pool(pages, page_tokens, KV_groups, dim);
  scramble<Cache>(pool, width, width);
  const sources<Cache> paged(in.of(), [&](Index tokens) { return Cache(pool, tokens); });
  compare(state, in, way{"pages", [&](matrix& out) { in.together(paged, out); }},
          way{"contiguous", [&](matrix& out) { in.together(out); }});
}

template <class KV>
void add_pages(const std::string& name, const mixture& mixed) {
  for (const Index page_tokens : {16, 64})
    add_case(name + '/' + std::to_string(page_tokens),
             [=](benchmark::State& state) { compare_pages<KV>(state, mixed, page_tokens); });
}

void add_all(const std::string& prefix, Index sequences, Index longest) {
  for (const bool chunks : {false, true}) {
    const std::string kind = prefix + (chunks ? "ragged/mixed/" : "ragged/decode/");
    const mixture mixed{sequences, longest, chunks};
    using Eigen::bfloat16, headroom::int8_rows;
    add_case(kind + "bfloat16/batch",
             [=](benchmark::State& state) { compare_calls<bfloat16>(state, mixed); });
    add_case(kind + "int8_rows/batch",
             [=](benchmark::State& state) { compare_calls<int8_rows>(state, mixed); });
    add_pages<bfloat16>(kind + "bfloat16", mixed);
    add_pages<int8_rows>(kind + "int8_rows", mixed);
  }
}

}  // namespace
}  // namespace headroom_bench

int main(int argc, char** argv) {
  headroom_bench::add_all("", 20, 8192);
  headroom_bench::add_all("smoke/", 9, 400);
  return headroom_bench::run_cases(argc, argv);
}
