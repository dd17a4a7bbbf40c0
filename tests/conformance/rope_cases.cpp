// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/rope_table.hpp>

#include "model.hpp"

namespace conformance {

namespace {

template <class T>
tensor<T> read(test_case& c, const std::string& name) {
  return c.numbers<T>(name, {any_extent, any_extent, c.spec().integer("head_dim")});
}

template <class T>
hr::view<T> tokens_of(tensor<T>& x) {
  return hr::tokens_major(x.data.data(), x.extent(0), x.extent(1), x.extent(2));
}

/// Rotates in place, all tokens at the positions that are listed.
template <class T>
void rotate_listed(test_case& c, const hr::rope& rotate, const std::string& name) {
  tensor<T> x = read<T>(c, name);
  rotate(tokens_of(x), c.integers("positions", {x.extent(0)}).data);
  c.check(expected<T>(name + "_out"), x.data);
}

/// Rotates request by request, each from the position of its first token on.
template <class T>
void rotate_requests(test_case& c, const hr::rope& rotate, const std::string& name) {
  tensor<T> x = read<T>(c, name);
  const tensor<Index> offsets = c.integers("offsets", {any_extent});
  const tensor<Index> begin = c.integers("indptr", {offsets.size() + 1});
  require(begin.data.back() == x.extent(0), "indptr: not of all tokens");
  for (Index r = 0; r < offsets.size(); ++r)
    rotate(tokens_of(x).slice_tokens(begin[r], begin[r + 1]), offsets[r]);
  c.check(expected<T>(name + "_out"), x.data);
}

template <class T>
void run(test_case& c, const hr::rope& rotate) {
  for (const char* name : {"q", "k"}) {
    rotate_listed<T>(c, rotate, name);
    if (c.has("indptr")) rotate_requests<T>(c, rotate, name);
  }
}

template <class T>
using Caches = Eigen::Map<const Eigen::Array<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;

/// With given cos and sin: one table for all sequences and position ids, or a row for every token.
template <class T>
void run_with_caches(test_case& c) {
  attributes& s = c.spec();
  const bool half = s.one_of("style", {"half", "interleaved"}) == "half";
  const bool heads_first = s.one_of("layout", {"B H S D", "B S (H D)"}) == "B H S D";
  const Index heads = s.integer("num_heads"), dim = s.integer("head_dim");
  const bool by_ids = s.flag("position_ids");
  const tensor<T> x =
      c.numbers<T>("x", heads_first ? std::vector{any_extent, heads, any_extent, dim}
                                    : std::vector{any_extent, any_extent, heads * dim});
  const Index sequences = x.extent(0), tokens = x.entry_size() / (heads * dim);
  const Index pairs = s.integer("rotary_dim") / 2;
  require(2 * pairs == s.integer("rotary_dim"), "spec.rotary_dim: odd");
  const std::vector<Index> cache_shape =
      by_ids ? std::vector{any_extent, pairs} : std::vector{sequences, tokens, pairs};
  const tensor<T> cosine = c.numbers<T>("cos_cache", cache_shape);
  const Index rows = by_ids ? cosine.extent(0) : tokens;
  const tensor<T> sine = c.numbers<T>("sin_cache", by_ids ? std::vector{rows, pairs} : cache_shape);

  tensor<T> out = x;
  for (Index b = 0; b < sequences; ++b) {
    const auto table_of = [&](const tensor<T>& cache) {
      return Caches<T>(by_ids ? cache.data.data() : cache.entry(b), rows, pairs);
    };
    const hr::rope_table<T> rotate(table_of(cosine), table_of(sine),
                                   half ? hr::rope_pairing::half : hr::rope_pairing::interleaved);
    const auto layout = [&](auto* data) {
      return heads_first ? hr::heads_major(data, tokens, heads, dim)
                         : hr::tokens_major(data, tokens, heads, dim);
    };
    if (by_ids) {
      const tensor<Index> ids = c.integers("position_ids", {sequences, tokens});
      rotate(layout(x.entry(b)), layout(out.entry(b)),
             std::span(ids.entry(b), static_cast<std::size_t>(tokens)));
    } else {
      rotate(layout(x.entry(b)), layout(out.entry(b)), 0);
    }
  }
  c.check(expected<T>("out"), out.data);
}

}  // namespace

void run_rope(test_case& c) {
  const hr::rope rotate = rope_of(c.spec());
  c.spec().one_of("rotated", {"[\"q\",\"k\"]"});
  run<float>(c, rotate);
  run<double>(c, rotate);
}

void run_rope_cache(test_case& c) {
  run_with_caches<float>(c);
  run_with_caches<double>(c);
}

}  // namespace conformance
