// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: attend_batch over caches that are around others, between prepare and restore, gives each
// the bits that a call over it alone gives, whatever order work is done in. tests/cached_layer.cpp
// has the layers that call it.
#include <headroom/batch.hpp>
#include <headroom/detail/cache_batch.hpp>
#include <headroom/int4_codec.hpp>
#include <headroom/int8_codec.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/latent_cache.hpp>
#include <headroom/paged_cache.hpp>
#include <headroom/ring_cache.hpp>
#include <headroom/rotated_cache.hpp>
#include <headroom/scaled_cache.hpp>
#include <headroom/score_mod.hpp>

#include <array>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/executors.hpp"
#include "support/problem.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

using Tokens = hr::kv_cache<float, 2, 16>;
using Ring = hr::ring_cache<Tokens>;
using RotatedRing = hr::rotated_cache<hr::ring_cache<hr::kv_cache<hr::int4_blocks, 2, 16>>>;
using RotatedScales = hr::rotated_cache<hr::scaled_cache<hr::kv_cache<hr::int8_rows, 2, 16>>>;

// A cache around another that says nothing of its attend.
struct own_cache {
  Tokens cache;
  const Tokens& stored() const { return cache; }
};

using hr::detail::batched_cache;
static_assert(batched_cache<Tokens> && batched_cache<hr::paged_cache<float, 2, 16>>);
static_assert(batched_cache<Ring> && batched_cache<hr::ring_cache<hr::latent_cache<float, 16, 4>>>);
static_assert(batched_cache<RotatedRing> && batched_cache<RotatedScales>);
static_assert(hr::wrapping_cache<own_cache> && !batched_cache<own_cache>);

constexpr std::array<Index, 3> lengths = {4, 1, 9}, contexts = {60, 11, 100};
const std::vector<Index> offsets = {0, 4, 5, 14};
const std::vector<float> slopes = hr::alibi_slopes(4);

auto mask_of(std::size_t i) {
  return hr::causal() & hr::sliding_window(static_cast<Index>(3 + 20 * i)) & hr::alibi(slopes);
}

template <class Cache>
void fill(Cache& cache, const problem<>& p, Index tokens) {
  for (Index t = 0; t < tokens; t += 9) {
    const Index end = std::min(t + 9, tokens);
    cache.append(p.keys().slice_tokens(t, end), p.values().slice_tokens(t, end));
  }
}

template <class Cache>
void check(std::vector<Cache> caches) {
  const hr::gqa<4, 2, 16> heads;
  const problem<> p({14, 100, 4, 2, 16, 16});
  using Mask = decltype(mask_of(0));
  for (std::size_t i = 0; i < 3; ++i) fill(caches[i], p, contexts[i]);
  const auto together = [&](const auto& executor) {
    tensor<float> q = p.q, out(14, 4, 16);
    hr::detail::scratch memory;
    hr::detail::cache_batch<Cache, Mask> batch(3, memory);
    for (std::size_t i = 0; i < 3; ++i) batch.add(caches[i], lengths[i], mask_of(i));
    batch.prepare(q.view(), offsets, executor);
    hr::attend_batch(heads, q.view(), offsets, batch.sequences(), out.view(), {.softcap = 20},
                     executor);
    batch.restore(out.view(), offsets, executor);
    return out;
  };
  tensor<float> alone(14, 4, 16);
  for (std::size_t i = 0; i < 3; ++i)
    heads(p.queries().slice_tokens(offsets[i], offsets[i + 1]), caches[i],
          alone.view().slice_tokens(offsets[i], offsets[i + 1]), mask_of(i), {.softcap = 20});
  const auto same = [&](const tensor<float>& got) {
    return same_bits(std::as_const(alone).view(), got.view());
  };
  int calls = 0;
  CHECK(same(together(hr::serial())));
  CHECK(same(together(backwards(calls))));
  CHECK(same(together(team_of_three)));
  CHECK(calls == (hr::detail::changes_queries<Cache> ? 3 : 1));
}

template <class Cache>
std::vector<Cache> three(const auto& size) {
  std::vector<Cache> caches;
  for (int i = 0; i < 3; ++i) caches.emplace_back(size);
  return caches;
}

}  // namespace

TEST_CASE("caches of a batch get what they get alone") {
  const hr::ring_shape shape{.window = 30, .prefix = 2, .chunk = 9};
  SECTION("keys and values") {
    check(three<Tokens>(100));
  }
  SECTION("rings") {
    check(three<Ring>(shape));
  }
  SECTION("rotated rings") {
    check(three<RotatedRing>(shape));
  }
  SECTION("rotated keys over scales") {
    check(three<RotatedScales>(100));
  }
  SECTION("scales of values too") {
    using Scaled = hr::scaled_cache<Tokens>;
    auto caches = three<Scaled>(100);
    tensor<float> scales(1, 2, 16);
    random_source random(4);
    for (Index g = 0; g < 2; ++g)
      for (Index d = 0; d < 16; ++d) scales(0, g, d) = static_cast<float>(1 + random.uniform());
    for (Scaled& cache : caches) cache.set_value_scales(scales.view());
    check(std::move(caches));
  }
}
