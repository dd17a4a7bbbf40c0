// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
//
// What fewer bits give: a step of decoding over a cache of a codec, against the same over one of
// half, in turn. Grouped-query attention, 32 heads, 8 groups, width 128, on one thread.
//
//   codecs/decode/STORED/QxK
//   codecs/chunk/STORED/QxK
//
// STORED is what keys and values are stored as: a codec; int8_scaled, int8_rows in a
// scaled_cache; int8_channels, a byte for each number in such a cache; int4_rotated,
// int4_blocks in a rotated_cache.

#include "support/counters.hpp"
#include "support/in_turn.hpp"
#include "support/inputs.hpp"

#include <headroom/attention.hpp>
#include <headroom/fp8_codec.hpp>
#include <headroom/int4_codec.hpp>
#include <headroom/int8_codec.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/rotated_cache.hpp>
#include <headroom/scaled_cache.hpp>
#include <string>
#include <utility>

namespace headroom_bench {
namespace {

constexpr int Q_heads = 32, KV_groups = 8, dim = 128;

template <class Stored>
using cache_of = headroom::kv_cache<Stored, KV_groups, dim>;
using int8_scaled = headroom::scaled_cache<cache_of<headroom::int8_rows>>;
using int8_channels = headroom::scaled_cache<cache_of<headroom::saturating_int8>>;
using int4_rotated = headroom::rotated_cache<cache_of<headroom::int4_blocks>>;

/// Attention in double over the numbers that a source's codecs give back, in place of the library's
/// where a cache changes queries and outputs on their way.
struct exact_attention {
  static constexpr Index q_heads() { return Q_heads; }

  template <class Query, class Source, class Mask, class... Others>
  void operator()(const Query& q, const Source& source, matrix& out, const Mask& mask,
                  const Others&...) const {
    matrix k(source.tokens(), KV_groups * dim), v(source.tokens(), KV_groups * dim);
    const auto keys = headroom::as_view(k, KV_groups), values = headroom::as_view(v, KV_groups);
    for (Index g = 0; g < KV_groups; ++g)
      for (Index j = 0; j < source.tokens(); ++j) {
        Source::KeyCodec::decode(source.keys(g, j, j + 1).rows, keys.row(j, g), dim);
        Source::ValueCodec::decode(source.values(g, j, j + 1).rows, values.row(j, g), dim);
      }
    row_major<double> exact(out.rows(), out.cols());
    headroom::reference_attention(headroom::as_view(q, Q_heads), keys, values,
                                  headroom::as_view(exact, Q_heads), mask);
    out = exact.cast<float>();
  }
};

/// Queries, and a full cache.
template <class Cache>
struct coded_inputs {
  explicit coded_inputs(lengths n) : q(queries(random, n.q_len, Q_heads * dim)), cache(n.kv_len) {
    if constexpr (std::same_as<Cache, int8_channels>) {
      const matrix scales = matrix::Constant(1, KV_groups * dim, 1 / 127.f);  // numbers are below 1
      cache.set_key_scales(scales);
      cache.set_value_scales(scales);
    }
    fill(cache, random, KV_groups * dim, KV_groups * dim);
  }

  double seconds(matrix& out) const {
    return seconds_of(
        [&] { headroom::gqa<Q_heads, KV_groups, dim>()(q, cache, out, headroom::causal{}); });
  }

  void check(const matrix& out) const {
    matrix expected(out.rows(), out.cols());
    if constexpr (headroom::wrapping_cache<Cache>)
      cache.attend(exact_attention(), q, expected, headroom::causal{}, {}, headroom::serial());
    else
      exact_attention()(q, cache, expected, headroom::causal{});
    for (Index t = 0; t < out.rows(); ++t)
      check_near(out.row(t), expected.row(t).cast<double>(), t, 0);
  }

  numbers random = {};
  matrix q;
  Cache cache;
};

template <class Cache>
void compare(benchmark::State& state, lengths n) {
  const coded_inputs<cache_of<Eigen::half>> half(n);
  const coded_inputs<Cache> coded(n);
  matrix out(n.q_len, Q_heads * dim), out_of_half = out;
  half.seconds(out_of_half);
  half.check(out_of_half);
  coded.seconds(out);
  coded.check(out);
  const times_in_turn times = time_in_turn(
      state, [&] { return half.seconds(out_of_half); }, [&] { return coded.seconds(out); },
      empty_caches);
  state.counters["half_ms"] = 1e3 * times.one;
  state.counters["ms"] = 1e3 * times.other;
  state.counters["time/half"] = 1 / times.one_over_other;
  state.counters["bytes/half"] = static_cast<double>(coded.cache.bytes_per_token()) /
                                 static_cast<double>(half.cache.bytes_per_token());
}

template <class Cache>
void add(const std::string& kind, const std::string& stored, lengths n, int calls) {
  add_case(
      kind + '/' + stored + '/' + std::to_string(n.q_len) + 'x' + std::to_string(n.kv_len),
      [n](benchmark::State& state) { compare<Cache>(state, n); }, calls);
}

void add_all(const std::string& kind, lengths n, int calls = 25) {
  add<cache_of<headroom::int8_blocks>>(kind, "int8_blocks", n, calls);
  add<cache_of<headroom::int8_rows>>(kind, "int8_rows", n, calls);
  add<int8_scaled>(kind, "int8_scaled", n, calls);
  add<int8_channels>(kind, "int8_channels", n, calls);
  add<cache_of<headroom::fp8_codec>>(kind, "fp8", n, calls);
  add<cache_of<headroom::int4_blocks>>(kind, "int4_blocks", n, calls);
  add<int4_rotated>(kind, "int4_rotated", n, calls);
}

}  // namespace
}  // namespace headroom_bench

int main(int argc, char** argv) {
  headroom_bench::add_all("codecs/decode", {1, 4096});
  headroom_bench::add_all("codecs/chunk", {8, 4096});
  headroom_bench::add_all("smoke/codecs/decode", {1, 1100}, 1);
  return headroom_bench::run_cases(argc, argv);
}
