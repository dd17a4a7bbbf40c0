// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: attention over a slice is attention over a cache of these tokens alone, bit by bit,
// whatever source they are of and wherever in a page the slice begins; so are forks that share
// what they begin with as a slice of one of them. A slice of tokens that are not there is refused.
#include <headroom/cascade.hpp>
#include <headroom/int4_codec.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/latent_cache.hpp>
#include <headroom/mla_cascade.hpp>
#include <headroom/page_pool.hpp>
#include <headroom/paged_cache.hpp>
#include <headroom/paged_latents.hpp>
#include <headroom/token_slice.hpp>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/latent_problem.hpp"
#include "support/pages.hpp"
#include "support/problem.hpp"
#include "support/refusal.hpp"
#include "support/serving.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

constexpr int groups = 2, dim = 32;
constexpr Index Q_heads = 6, page_tokens = 16;

template <class Stored>
using in_one_piece = hr::kv_cache<Stored, groups, dim>;
template <class Stored>
using on_pages = hr::paged_cache<Stored, groups, dim>;

template <class Source>
answer<float> attend_to(hr::view<const float> q, const Source& source) {
  answer<float> result{{q.tokens(), Q_heads, dim}, {q.tokens(), Q_heads, 1}};
  const any_attention heads(Q_heads, groups, dim, dim);
  heads(q, source, result.out.view(), hr::causal(), {.lse = result.lse.per_head()});
  return result;
}

template <class Cache>
void append(Cache& cache, const problem<>& p, Index begin, Index end) {
  cache.append(p.keys().slice_tokens(begin, end), p.values().slice_tokens(begin, end));
}

// Ranges of 2100 tokens: all, none, whole pages, and none that a page begins or ends with.
constexpr std::array<std::array<Index, 2>, 7> ranges = {
    {{0, 2100}, {2100, 2100}, {0, 16}, {32, 1968}, {5, 7}, {13, 2090}, {400, 2100}}};

// Forks of one sequence in a pool, each with tokens of its own after the prompt.
template <class Stored>
struct forks {
  static constexpr Index prompt = 1700;
  problem<> p = problem<>({0, prompt + 200, Q_heads, groups, dim, dim}, 5);
  typename on_pages<Stored>::Pool pool{200, page_tokens};
  std::vector<on_pages<Stored>> sequences;
  std::vector<Index> offsets = {0};

  explicit forks(const std::vector<std::array<Index, 2>>& q_and_own) {
    poison(pool);
    sequences.reserve(q_and_own.size() + 1);
    append(sequences.emplace_back(pool), p, 0, prompt);
    for (const auto& [q_len, own] : q_and_own) {
      append(sequences.emplace_back(sequences.front().fork()), p, prompt, prompt + own);
      offsets.push_back(offsets.back() + q_len);
    }
    sequences.erase(sequences.begin());
  }

  // What each gets where it shares the first `shared` tokens with the others.
  answer<float> cascade(hr::view<const float> q, Index shared) const {
    using Slice = hr::token_slice<on_pages<Stored>>;
    const Slice beginning(sequences.front(), 0, shared);
    const std::array prefixes = {
        hr::shared_prefix(beginning, 0, static_cast<Index>(sequences.size()))};
    std::vector<Slice> own;
    for (const auto& sequence : sequences) own.emplace_back(sequence, shared, sequence.tokens());
    std::vector<hr::batch_sequence<Slice, hr::causal>> batch;
    for (const Slice& rest : own) batch.emplace_back(rest);
    answer<float> result{{q.tokens(), Q_heads, dim}, {q.tokens(), Q_heads, 1}};
    hr::attend_cascade(any_attention(Q_heads, groups, dim, dim), q, offsets, prefixes, batch,
                       result.out.view(), {.lse = result.lse.per_head()});
    return result;
  }

  // The largest error of that, in bounds: a merge adds the error of an lse to that of a weight.
  double worst(hr::view<const float> q, const answer<float>& got) const {
    using Codec = typename on_pages<Stored>::KeyCodec;
    const tensor<float> k = stored_as<Codec>(p.k), v = stored_as<Codec>(p.v);
    double result = 0;
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      const Index tokens = sequences[i].tokens();
      const auto part = [&](const auto& x) { return x.slice_tokens(offsets[i], offsets[i + 1]); };
      const auto exact_of = [&](double weight_error) {
        return exact_attention<float>(part(q), k.view().slice_tokens(0, tokens),
                                      v.view().slice_tokens(0, tokens), hr::causal(), {},
                                      weight_error, rounding_of_codecs<float, Codec, Codec>());
      };
      const auto alone = exact_of(0);
      double weight_error = 2 * elementary_error<float>;
      for (Index t = 0; t < alone.lse.tokens(); ++t)
        for (Index h = 0; h < Q_heads; ++h)
          weight_error =
              std::max(weight_error, alone.bound.lse(t, h, 0) + 2 * elementary_error<float>);
      const auto exact = exact_of(weight_error);
      result = std::max(
          {result, error_ratio(part(got.out.view()), exact.out.view(), exact.bound.out.view()),
           error_ratio(part(got.lse.view()), exact.lse.view(), exact.bound.lse.view())});
    }
    return result;
  }
};

}  // namespace

// A slice does not see how tokens are stored: rows that are read as they are, and rows that are
// decoded, are enough.
TEMPLATE_TEST_CASE("a slice is attention over a cache of its tokens", "", Eigen::bfloat16,
                   hr::int4_blocks) {
  const problem<> p({9, 2100, Q_heads, groups, dim, dim}, 3);
  in_one_piece<TestType> contiguous(2100);
  append(contiguous, p, 0, 2100);
  typename on_pages<TestType>::Pool pool(140, page_tokens);
  poison(pool);
  on_pages<TestType> paged(pool);
  append(paged, p, 0, 2100);
  for (const auto& [begin, end] : ranges) {
    in_one_piece<TestType> copy(2100);
    append(copy, p, begin, end);
    for (const Index q_len : {1, 9}) {
      INFO("tokens [" << begin << ", " << end << "), " << q_len << " queries");
      const auto q = p.queries().slice_tokens(0, q_len);
      const answer<float> expected = attend_to(q, copy);
      CHECK(same_bits(attend_to(q, hr::token_slice(contiguous, begin, end)), expected));
      CHECK(same_bits(attend_to(q, hr::token_slice(paged, begin, end)), expected));
    }
  }
}

TEST_CASE("a slice of a slice, and of views") {
  const problem<> p({4, 90, Q_heads, groups, dim, dim});
  const hr::view_source source(p.keys(), p.values());
  const hr::token_slice most(source, 10, 80);
  const hr::token_slice some(most, 3, 61);
  STATIC_REQUIRE(decltype(some)::one_run);
  CHECK((some.tokens() == 58 && some.groups() == groups));
  CHECK(same_bits(attend_to(p.queries(), some),
                  attend_to(p.queries(), hr::view_source(p.keys().slice_tokens(13, 71),
                                                         p.values().slice_tokens(13, 71)))));
}

TEMPLATE_TEST_CASE("forks share what they begin with", "", Eigen::bfloat16, hr::int4_blocks) {
  const forks<TestType> batch({{1, 1}, {5, 40}, {1, 200}, {17, 17}});
  tensor<float> q(batch.offsets.back(), Q_heads, dim);
  random_source random(4);
  random.fill(q.view());
  // All of the prompt, whole pages of it, and some of its last page.
  for (const Index shared : {batch.prompt, Index(1696), Index(37), Index(0)}) {
    INFO("shared: " << shared);
    CHECK(batch.worst(std::as_const(q).view(), batch.cascade(std::as_const(q).view(), shared)) <=
          1);
  }
}

TEST_CASE("latents are shared so too") {
  latent_problem<float> p(2, 5, 24, 10, 6, 7, 3, 300);
  hr::latent_page_pool<float> pool(40, page_tokens, 24, 6);
  poison(pool);
  hr::paged_latents paged(pool);
  paged.append(p.latents, p.rope_keys);
  const hr::token_slice shared(paged, 0, 250), own(paged, 250, 300);
  STATIC_REQUIRE(decltype(own)::values_in_keys);
  const std::array prefixes = {hr::shared_prefix(shared, 0, 1)};
  const std::array batch = {hr::batch_sequence(own, hr::causal())};
  matrix<float> out(3, 5 * 7);
  hr::attend_cascade(p.core(), p.q, std::array{0, 3}, prefixes, batch, hr::linear(p.up), out);
  const matrix<double> exact = p.exact(hr::causal());
  CHECK(difference(out.cast<double>(), exact) <= 2 * p.bound);
}

TEST_CASE("tokens that are not there are refused") {
  const problem<> p({0, 9, Q_heads, groups, dim, dim});
  in_one_piece<float> cache(9);
  append(cache, p, 0, 9);
  CHECK(refusal_of([&] { hr::token_slice(cache, 3, 10); }) ==
        "token_slice: taking tokens [3, 10), expected a range within size = 9");
  CHECK(refusal_of([&] { hr::token_slice(cache, 4, 3); }) ==
        "token_slice: taking tokens [4, 3), expected a range within size = 9");
  CHECK(refusal_of([&] { hr::token_slice(cache, -1, 3); }) ==
        "token_slice: taking tokens [-1, 3), expected a range within size = 9");
  // A temporary does not outlive its slice.
  using Slice = hr::token_slice<in_one_piece<float>>;
  STATIC_REQUIRE_FALSE(std::constructible_from<Slice, in_one_piece<float>, Index, Index>);
}
