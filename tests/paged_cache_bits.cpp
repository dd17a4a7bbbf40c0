// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: attention over a paged_cache is attention over a kv_cache of the same tokens, bit by bit,
// whatever the pages' length and order, and whatever they hold beside the tokens.
#include <headroom/attention.hpp>
#include <headroom/int8_codec.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/paged_cache.hpp>

#include <algorithm>

#include "support/catch.hpp"
#include "support/pages.hpp"
#include "support/problem.hpp"
#include "support/sizes.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

constexpr int any = Eigen::Dynamic;

// One of two caches, so that the kernels are compiled for one source.
template <class Contiguous, class Paged>
struct either_cache {
  using KeyCodec = typename Paged::KeyCodec;
  using ValueCodec = typename Paged::ValueCodec;

  const Contiguous& contiguous;
  const Paged& paged;
  bool on_pages;

  Index tokens() const { return on_pages ? paged.tokens() : contiguous.tokens(); }
  Index groups() const { return on_pages ? paged.groups() : contiguous.groups(); }
  Index qk_dim() const { return on_pages ? paged.qk_dim() : contiguous.qk_dim(); }
  Index v_dim() const { return on_pages ? paged.v_dim() : contiguous.v_dim(); }
  auto keys(Index g, Index begin, Index end) const {
    return on_pages ? paged.keys(g, begin, end) : contiguous.keys(g, begin, end);
  }
  auto values(Index g, Index begin, Index end) const {
    return on_pages ? paged.values(g, begin, end) : contiguous.values(g, begin, end);
  }
};

// A causal window, with or without holes.
struct any_mask : hr::mask_defaults {
  Index window;
  bool holes;

  any_mask(Index w, bool h) : window(w), holes(h) {}

  hr::key_range keys(const hr::query_row& row) const {
    return {row.position - window + 1, row.position + 1, !holes};
  }
  bool visible(const hr::query_row& row, Index key) const {
    return (row.head + row.query + key) % 5 != 0;
  }
};

problem_size random_size(random_source& random) {
  problem_size s;
  s.KV_groups = random.pick<Index>({1, 1, 2, 3, 8});
  s.Q_heads = s.KV_groups * random.pick<Index>({1, 1, 2, 3, 4, 7, 8});
  s.qk_dim = random.pick(awkward_widths);
  s.v_dim = random.chance(0.5) ? s.qk_dim : random.pick(awkward_widths);
  s.kv_len = random.chance(0.3) ? random.pick(long_lengths) : random.pick(awkward_lengths);
  s.q_len = random.chance(0.5) ? 1 : random.pick(awkward_lengths);
  while (s.q_len * s.kv_len * s.Q_heads * (s.qk_dim + s.v_dim) > 5'000'000 && s.q_len > 1)
    s.q_len = (s.q_len + 1) / 2;
  return s;
}

template <class Scalar, class Source>
answer<Scalar> attend_to(hr::view<const Scalar> q, const Source& source, const any_mask& mask) {
  answer<Scalar> result{{q.tokens(), q.heads(), source.v_dim()}, {q.tokens(), q.heads(), 1}};
  const any_attention heads(q.heads(), source.groups(), source.qk_dim(), source.v_dim());
  heads(q, source, result.out.view(), mask, {.lse = result.lse.per_head()});
  return result;
}

/// `count` random problems over both caches.
template <class Scalar, class Stored, class StoredValue = Stored>
void run(std::uint64_t seed, int count) {
  using Contiguous = hr::kv_cache<Stored, any, any, any, StoredValue>;
  using Paged = hr::paged_cache<Stored, any, any, any, StoredValue>;
  for (int i = 0; i < count; ++i, ++seed) {
    random_source random(seed);
    const problem_size s = random_size(random);
    const Index page_tokens = random.pick<Index>({1, 1, 2, 5, 16, 16, 64, 96, 200});
    INFO("seed " << seed << ", pages of " << page_tokens << ", q_len " << s.q_len << ", kv_len "
                 << s.kv_len << ", Q_heads " << s.Q_heads << ", KV_groups " << s.KV_groups
                 << ", qk_dim " << s.qk_dim << ", v_dim " << s.v_dim);
    const problem<Scalar> p(s, seed);
    Contiguous contiguous(s.kv_len, s.KV_groups, s.qk_dim, s.v_dim);
    contiguous.append(p.keys(), p.values());

    typename Paged::Pool pool(s.kv_len / page_tokens + 3, page_tokens, s.KV_groups, s.qk_dim,
                              s.v_dim);
    const problem<Scalar> token({0, 1, s.KV_groups, s.KV_groups, s.qk_dim, s.v_dim});
    scramble<Paged>(pool, random, [&](Paged& to) { to.append(token.keys(), token.values()); });
    poison(pool);
    Paged paged(pool);
    for (Index t = 0; t < s.kv_len;) {
      const Index end = std::min(s.kv_len, t + random.integer(1, 2 * page_tokens + 40));
      paged.append(p.keys().slice_tokens(t, end), p.values().slice_tokens(t, end));
      t = end;
    }
    using Either = either_cache<Contiguous, Paged>;
    for (const any_mask& mask :
         {any_mask(s.kv_len + 1, false), any_mask(random.integer(1, s.kv_len + 2), false),
          any_mask(s.kv_len + 1, true)})
      REQUIRE(same_bits(attend_to(p.queries(), Either{contiguous, paged, true}, mask),
                        attend_to(p.queries(), Either{contiguous, paged, false}, mask)));
  }
}

}  // namespace

TEST_CASE("keys and values in float") {
  run<float, float>(600'000, 150);
}

TEST_CASE("in 16 bits") {
  run<float, Eigen::half>(610'000, 100);
  run<float, Eigen::bfloat16>(620'000, 150);
}

TEST_CASE("in double, and computed in double") {
  run<float, double>(630'000, 60);
  run<double, Eigen::bfloat16>(650'000, 60);
}

TEST_CASE("in 8 bits") {
  run<float, hr::int8_blocks>(660'000, 100);
}

TEST_CASE("keys in one, values in another") {
  run<float, hr::int8_rows, Eigen::half>(680'000, 60);
}
