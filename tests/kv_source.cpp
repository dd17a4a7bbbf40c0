// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: attention depends on the numbers of a source, not on where they lie: a source of the
// user's, in pages that are shorter than a tile and out of order, gives what plain views give. A
// source of one run answers with all that was asked for.
#include <headroom/attention.hpp>
#include <headroom/batch.hpp>
#include <headroom/block_sparse.hpp>
#include <headroom/cascade.hpp>
#include <headroom/int8_codec.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/latent_cache.hpp>
#include <headroom/page_index.hpp>
#include <headroom/token_slice.hpp>
#include <headroom/token_sparse.hpp>

#include "support/catch.hpp"
#include "support/paged_source.hpp"
#include "support/problem.hpp"

#include <array>
#include <cstddef>
#include <vector>

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

template <class Source, class Mask>
answer<float> attend_source(const problem_size& size, hr::view<const float> q, const Source& source,
                            const Mask& mask) {
  answer<float> result{{size.q_len, size.Q_heads, size.v_dim}, {size.q_len, size.Q_heads, 1}};
  const any_attention heads(size.Q_heads, size.KV_groups, size.qk_dim, size.v_dim);
  heads(q, source, result.out.view(), mask, {.lse = result.lse.per_head()});
  return result;
}

// Prefill and decode, one key, keys that end inside a page and inside a tile.
const std::vector<problem_size> shapes = {
    {1, 1, 2, 2, 8, 8}, {37, 150, 6, 2, 17, 5}, {1, 300, 8, 1, 16, 16}, {2, 1901, 4, 2, 32, 16}};

// A source whose sizes are of another type than the library's.
template <class Size>
struct counted_by {
  using KeyCodec = hr::scalar_codec<float>;
  using ValueCodec = KeyCodec;
  hr::kv_cache<float> cache;

  Size tokens() const { return static_cast<Size>(cache.tokens()); }
  Size groups() const { return 2; }
  Size qk_dim() const { return 8; }
  Size v_dim() const { return 8; }
  auto keys(Index g, Index begin, Index end) const { return cache.keys(g, begin, end); }
  auto values(Index g, Index begin, Index end) const { return cache.values(g, begin, end); }
};
static_assert(hr::kv_source<counted_by<int>> && !hr::kv_source<counted_by<std::size_t>>);

}  // namespace

TEST_CASE("a view_source reads its views in place") {
  const problem p({1, 6, 4, 2, 3, 5}, 1, layout::heads_padded);
  const hr::view_source<float, float> source(p.keys(), p.values());
  CHECK((source.tokens() == 6 && source.groups() == 2));
  CHECK((source.qk_dim() == 3 && source.v_dim() == 5));
  const auto keys = source.keys(1, 2, 5);
  const auto values = source.values(1, 2, 5);
  CHECK((keys.tokens == 3 && values.tokens == 3));
  for (Index i = 0; i < 3; ++i) {
    CHECK(keys.rows + i * keys.stride == p.keys().row(2 + i, 1));
    CHECK(values.rows + i * values.stride == p.values().row(2 + i, 1));
  }
}

TEST_CASE("a source says whether its keys and values are of one run, and if so they are") {
  STATIC_REQUIRE(!hr::detail::has_one_run<paged_source<float>>);
  const auto check = []<class Source>(const Source& source) {
    STATIC_REQUIRE(hr::detail::has_one_run<Source>);
    for (Index begin = 0; begin < source.tokens(); ++begin)
      for (Index end = begin + 1; end <= source.tokens(); ++end)
        for (Index g = 0; g < source.groups(); ++g) {
          REQUIRE(source.keys(g, begin, end).tokens == end - begin);
          REQUIRE(source.values(g, begin, end).tokens == end - begin);
        }
  };
  const problem p({1, 6, 4, 2, 8, 8});
  check(hr::view_source<float, float>(p.keys(), p.values()));
  hr::kv_cache<hr::int8_blocks, 2, 32> cache(9);
  const problem blocks({1, 6, 4, 2, 32, 32});
  cache.append(blocks.keys(), blocks.values());
  check(cache);
  hr::latent_cache<float, 8, 4> latents(9);
  const problem<float> rows({1, 6, 1, 1, 8, 4});
  latents.append(rows.keys(), rows.values());
  check(latents);
}

TEST_CASE("pages of any length give what one run of tokens gives") {
  for (const problem_size& size : shapes) {
    const problem p(size);
    const auto exact = p.exact(hr::causal());
    for (const Index page : {1, 7, 16, 128, 200}) {
      INFO("kv_len " << size.kv_len << ", pages of " << page);
      const paged_source<float> source(p.keys(), p.values(), page);
      REQUIRE(error_ratio(attend_source(size, p.queries(), source, hr::causal()), exact) <= 1);
    }
  }
}

TEST_CASE("a run that is longer than what was asked for does not become a tile") {
  struct endless : paged_source<float> {
    using paged_source::paged_source;
    hr::token_run<float> keys(Index g, Index begin, Index end) const {
      const auto run = paged_source::keys(g, begin, end);
      return {run.rows, run.stride, run.tokens + 1};
    }
  };
  const problem_size size{40, 150, 2, 1, 8, 8};
  const problem p(size);
  const endless source(p.keys(), p.values(), 16);
  CHECK_THROWS_AS(attend_source(size, p.queries(), source, hr::causal()), eigen_assertion);
}

TEST_CASE("a mask that starts within a page asks for a run from there") {
  const problem_size size{3, 150, 2, 1, 8, 8};
  const problem p(size);
  const auto mask = hr::causal() & hr::sliding_window(20);
  const paged_source<float> source(p.keys(), p.values(), 16);
  REQUIRE(error_ratio(attend_source(size, p.queries(), source, mask), p.exact(mask)) <= 1);
}

TEST_CASE("a source may count by any signed type") {
  using counted = counted_by<int>;
  for (const Index q_len : {1, 2, 90}) {
    const problem p({q_len, 150, 4, 2, 8, 8});
    counted source{hr::kv_cache<float>(150, 2, 8)};
    source.cache.append(p.keys(), p.values());
    const auto expected = p.exact(hr::causal{});
    const any_attention attention(4, 2, 8, 8);
    answer<float> result = attend(p, hr::none());
    const auto check = [&](const auto& call) {
      call(result.out.view(), hr::attention_options<float>{.lse = result.lse.per_head()});
      CHECK(error_ratio(result, expected) <= 1);
    };
    check([&](auto out, auto options) {
      attention(p.queries(), source, out, hr::causal{}, options);
    });
    CHECK(attention.path_for(q_len, source) == attention.path_for(q_len, source.cache));

    const std::array offsets = {Index(0), q_len};
    using sequence = hr::batch_sequence<counted, hr::causal>;
    const std::vector<sequence> sequences = {sequence(source)};
    check([&](auto out, auto options) {
      hr::attend_batch(attention, p.queries(), offsets, sequences, out, options);
    });
    check([&](auto out, auto options) {
      const hr::token_slice first(source, 0, 40), rest(source, 40, 150);
      using slice = hr::token_slice<counted>;
      const std::vector<hr::shared_prefix<slice>> shared = {{first, 0, 1}};
      using own_sequence = hr::batch_sequence<slice, hr::causal>;
      const std::vector<own_sequence> own = {own_sequence(rest)};
      hr::attend_cascade(attention, p.queries(), offsets, shared, own, out, options);
    });
    check([&](auto out, auto options) {
      hr::attend_blocks(attention, p.queries(), source, {q_len, 75}, std::array{0, 2},
                        std::array{0, 1}, out, hr::causal{}, options);
    });
    std::vector<Index> list_offsets = {0}, tokens;
    for (Index t = 0; t < q_len; ++t) {
      for (Index j = 0; j < 150; ++j) tokens.push_back(j);
      list_offsets.push_back(std::ssize(tokens));
    }
    check([&](auto out, auto options) {
      hr::attend_tokens(attention, p.queries(), source, list_offsets, tokens, out, hr::causal{},
                        options);
    });
    hr::page_index index(16, 150, 4, 2, 8);
    index.update(source);
    CHECK(index.tokens() == 150);
  }
}

TEST_CASE("keys and values of a source may each be stored in a scalar of their own") {
  const problem_size size{5, 150, 4, 2, 16, 8};
  const problem<float, Eigen::bfloat16, Eigen::half> p(size);
  const paged_source<Eigen::bfloat16, Eigen::half> source(p.keys(), p.values(), 16);
  REQUIRE(error_ratio(attend_source(size, p.queries(), source, hr::none()), p.exact()) <= 1);
}
