// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: attention is a softmax over the keys that a query sees,
//   out[t,h] = sum_j softmax_j(scale q[t,h].k[j,g]) v[j,g],   g = h / heads_per_group,
// so it obeys the laws of one. Two right results are within two bounds of each other.
#include <headroom/attention.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/score_mod.hpp>
#include <headroom/softmax_state.hpp>

#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/paged_source.hpp"
#include "support/problem.hpp"
#include "support/random.hpp"
#include "support/sizes.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

constexpr float minus_infinity = -std::numeric_limits<float>::infinity();

// Small and large, prefill and decode, one key, more queries than keys.
const std::vector<problem_size> shapes = {
    {1, 1, 1, 1, 1, 1},       {7, 19, 6, 2, 5, 3},   {1, 200, 8, 2, 16, 16},
    {65, 129, 4, 1, 33, 17},  {31, 13, 2, 2, 8, 24}, {1, 1999, 12, 3, 64, 64},
    {3, 1100, 71, 1, 19, 65},
};

/// The rows, [first, first + count), of some tensor.
template <class Scalar>
hr::view<const Scalar> tokens_of(const tensor<Scalar>& x, Index begin, Index end) {
  return x.view().slice_tokens(begin, end);
}

/// Each head has a window of its own, beside the same first tokens.
struct windows_of_heads : hr::mask_defaults {
  Index narrowest;
  Index prefix;
  Index first_head;

  windows_of_heads(Index window, Index first_tokens, Index first = 0)
      : narrowest(window), prefix(first_tokens), first_head(first) {}

  auto of(const hr::query_row& row) const {
    return hr::causal{} &
           (hr::sliding_window{narrowest * (1 + first_head + row.head)} | hr::prefix{prefix});
  }
  hr::key_range keys(const hr::query_row& row) const { return of(row).keys(row); }
  bool visible(const hr::query_row& row, Index key) const { return of(row).visible(row, key); }
};

}  // namespace

TEST_CASE("Grouped heads are heads with repeated keys and values") {
  for (const problem_size& size : shapes) {
    const problem p(size);
    tensor<float> k(size.kv_len, size.Q_heads, size.qk_dim),
        v(size.kv_len, size.Q_heads, size.v_dim);
    const Index heads_per_group = size.Q_heads / size.KV_groups;
    for (Index j = 0; j < size.kv_len; ++j)
      for (Index h = 0; h < size.Q_heads; ++h) {
        for (Index d = 0; d < size.qk_dim; ++d) k(j, h, d) = p.k(j, h / heads_per_group, d);
        for (Index d = 0; d < size.v_dim; ++d) v(j, h, d) = p.v(j, h / heads_per_group, d);
      }
    const auto repeated =
        attend<float>(p.queries(), std::as_const(k).view(), std::as_const(v).view(), hr::causal{});
    REQUIRE(error_ratio(attend(p, hr::causal{}), repeated, p.exact(hr::causal{}).bound) <= 2);
  }
}

TEST_CASE("Each group by itself gives its heads of the whole") {
  const problem p({5, 150, 12, 3, 16, 8});
  const auto whole = attend(p);
  const auto bound = p.exact().bound;
  for (Index g = 0; g < 3; ++g) {
    const auto part =
        attend<float>(p.queries().slice_heads(4 * g, 4 * g + 4), p.keys().slice_heads(g, g + 1),
                      p.values().slice_heads(g, g + 1));
    REQUIRE(error_ratio(std::as_const(part.out).view(),
                        whole.out.view().slice_heads(4 * g, 4 * g + 4),
                        bound.out.view().slice_heads(4 * g, 4 * g + 4)) <= 2);
  }
}

TEST_CASE("A group has the bits that it has alone, whatever other heads see") {
  constexpr Index groups = 4;
  for (const Index q_len : {1, 2, 9})
    for (const Index window : {3, 17, 60})
      for (const Index first_tokens : {0, 5, 70}) {
        INFO(q_len << " queries, window " << window << ", first tokens " << first_tokens);
        const problem p({q_len, 700, 2 * groups, groups, 32, 32});
        const auto whole = attend(p, windows_of_heads(window, first_tokens));
        const paged_source<float> pages(p.keys(), p.values(), 16);
        const any_attention attention(2 * groups, groups, 32, 32);
        const auto on_pages = [&](const auto& executor) {
          answer<float> result = whole;
          attention(p.queries(), pages, result.out.view(), windows_of_heads(window, first_tokens),
                    {.lse = result.lse.per_head()}, executor);
          return result;
        };
        const auto in_parts = [](Index count, const auto& work) {
          for (Index i = count; i-- > 0;) work(i);
        };
        CHECK(same_bits(on_pages(hr::serial()), whole));
        CHECK(same_bits(on_pages(in_parts), whole));
        for (Index g = 0; g < groups; ++g) {
          const auto part = attend<float>(
              p.queries().slice_heads(2 * g, 2 * g + 2), p.keys().slice_heads(g, g + 1),
              p.values().slice_heads(g, g + 1), windows_of_heads(window, first_tokens, 2 * g));
          CHECK(same_bits(std::as_const(part.out).view(),
                          whole.out.view().slice_heads(2 * g, 2 * g + 2)));
        }
      }
}

TEST_CASE("A group has the bits that it has alone, however far other heads' maxima move") {
  constexpr Index groups = 7;
  for (const Index q_len : {1, 2}) {
    const problem p({q_len, 294, 2 * groups, groups, 32, 32});
    // Scores grow with the keys, slowly for the first group.
    std::vector<float> slopes(2 * groups, 0.5f);
    slopes[0] = slopes[1] = 0.02f;
    const auto whole = attend(p, hr::alibi(slopes));
    const auto first = attend<float>(p.queries().slice_heads(0, 2), p.keys().slice_heads(0, 1),
                                     p.values().slice_heads(0, 1),
                                     hr::alibi(std::span<const float>(slopes).first(2)));
    CHECK(same_bits(std::as_const(first.out).view(), whole.out.view().slice_heads(0, 2)));
  }
}

TEST_CASE("A mask need not say again of a key what it hides by its range") {
  struct hole : hr::mask_defaults {
    hr::key_range keys(const hr::query_row& row) const {
      if (row.head == 3) return {0, row.kv_len, true};
      return {0, row.kv_len, false, 0, 10, row.kv_len / 3, row.kv_len / 2 + row.head};
    }
  };
  const auto same = hr::mask([](const hr::query_row& row, Index key) {
    return row.head == 3 || key < row.kv_len / 3 || key >= row.kv_len / 2 + row.head;
  });
  for (const Index kv_len : {40, 700})
    for (const Index q_len : {1, 12, 100}) {
      const problem p({q_len, kv_len, 4, 2, 16, 16});
      const auto expected = p.exact(same);
      REQUIRE(error_ratio(attend(p, hole{}), expected) <= 1);
      REQUIRE(error_ratio(attend(p, hole{} & hr::score_mod([](auto score, Index, Index, Index) {
                                      return score;
                                    })),
                          expected) <= 1);
    }
}

TEST_CASE("A window over the whole cache is attention on the slice that it shows") {
  const Index kv_len = 1500;
  const problem p({1, kv_len, 4, 2, 32, 16});
  for (const Index window : {1, 2, 127, 128, 129, 1000, 1024, 1499, 1500, 4000}) {
    const Index begin = std::max<Index>(0, kv_len - window);
    const auto k = tokens_of(p.k, begin, kv_len), v = tokens_of(p.v, begin, kv_len);
    const auto sliced = attend<float>(p.queries(), k, v);
    const auto windowed = attend(p, hr::causal{} & hr::sliding_window{window});
    REQUIRE(error_ratio(windowed, sliced, exact_attention<float>(p.queries(), k, v).bound) <= 2);
  }
}

TEST_CASE("Token by token, in chunks, or at once: the cache gives the same") {
  const problem p({300, 300, 6, 2, 16, 12});
  const auto bound = p.exact(hr::causal{}).bound;
  const auto whole = attend(p, hr::causal{});
  for (const Index chunk : {1, 7, 64, 128, 299}) {
    answer<float> chunks{{300, 6, 12}, {300, 6, 1}};
    hr::kv_cache<float> cache(300, 2, 16, 12);
    for (Index t = 0; t < 300; t += chunk) {
      const Index end = std::min<Index>(t + chunk, 300);
      cache.append(tokens_of(p.k, t, end), tokens_of(p.v, t, end));
      auto lse = chunks.lse.view().slice_tokens(t, end);
      any_attention(6, 2, 16, 12)(tokens_of(p.q, t, end), cache,
                                  chunks.out.view().slice_tokens(t, end), hr::causal{},
                                  {.lse = {lse.data(), end - t, 6}});
    }
    REQUIRE(error_ratio(chunks, whole, bound) <= 2);
  }
}

TEST_CASE("Any split of the keys, merged, is the whole") {
  for (const problem_size& size : shapes) {
    const problem p(size);
    const auto exact = p.exact();
    // A merge weighs a part by its lse: the lse's error is one more of every weight of the part.
    double weight_error = 0;
    for (Index t = 0; t < size.q_len; ++t)
      for (Index h = 0; h < size.Q_heads; ++h)
        weight_error = std::max(weight_error, exact.bound.lse(t, h, 0));
    weight_error += 2 * elementary_error<float>;
    for (const Index cut : {Index(0), Index(1), size.kv_len / 3, size.kv_len - 1, size.kv_len}) {
      auto first = attend<float>(p.queries(), tokens_of(p.k, 0, cut), tokens_of(p.v, 0, cut));
      auto second = attend<float>(p.queries(), tokens_of(p.k, cut, size.kv_len),
                                  tokens_of(p.v, cut, size.kv_len));
      hr::merge_attention(first.out.view(), first.lse.per_head(), second.out.view(),
                          second.lse.per_head(), first.out.view(), first.lse.per_head());
      const auto merged =
          exact_attention<float>(p.queries(), p.keys(), p.values(), hr::none{}, {}, weight_error);
      REQUIRE(error_ratio(first, attend(p), merged.bound) <= 2);
    }
  }
}

TEST_CASE("The order of unmasked keys does not matter") {
  for (const problem_size& size : shapes) {
    const problem p(size);
    problem shuffled = p;
    const Index n = size.kv_len, step = n % 7 != 0 ? 7 : n % 11 != 0 ? 11 : 1;
    for (Index j = 0; j < n; ++j)
      for (Index g = 0; g < size.KV_groups; ++g) {
        const Index from = (j * step + 3) % n;  // step and n have no common divisor
        for (Index d = 0; d < size.qk_dim; ++d) shuffled.k(j, g, d) = p.k(from, g, d);
        for (Index d = 0; d < size.v_dim; ++d) shuffled.v(j, g, d) = p.v(from, g, d);
      }
    REQUIRE(error_ratio(attend(shuffled), attend(p), p.exact().bound) <= 2);
  }
}

TEST_CASE("A constant added to every score moves lse by it and nothing else") {
  for (const problem_size& size : shapes)
    for (const float constant : {-1000.f, -3.f, 20.f, 1e4f}) {
      const problem p(size);
      const auto add =
          hr::score_mod([=](auto score, Index, Index, Index) { return score + constant; });
      const auto bound = p.exact(add).bound;
      auto moved = attend(p, add);
      auto expected = attend(p);
      REQUIRE(error_ratio(std::as_const(moved.out).view(), std::as_const(expected.out).view(),
                          bound.out.view()) <= 2);
      for (Index t = 0; t < size.q_len; ++t)
        for (Index h = 0; h < size.Q_heads; ++h) expected.lse(t, h, 0) += constant;
      REQUIRE(error_ratio(std::as_const(moved.lse).view(), std::as_const(expected.lse).view(),
                          bound.lse.view()) <= 2);
    }
}

TEST_CASE("Results have the same bits on every executor") {
  const auto backwards = [](Index count, const auto& work) {
    for (Index i = count; i-- > 0;) work(i);
  };
  const auto pool = [](Index count, const auto& work) {
    std::vector<std::thread> threads;
    for (Index i = 0; i < count; ++i) threads.emplace_back([&work, i] { work(i); });
    for (std::thread& thread : threads) thread.join();
  };
  for (const problem_size& size : shapes) {
    const problem p(size);
    const auto alone = attend(p, hr::causal{});
    REQUIRE(error_ratio(alone, p.exact(hr::causal{})) <= 1);
    REQUIRE(same_bits(attend(p, hr::causal{}, {}, backwards), alone));
    REQUIRE(same_bits(attend(p, hr::causal{}, {}, pool), alone));
#ifdef _OPENMP
    for (const int threads : {0, 1, 2, 3})
      REQUIRE(same_bits(attend(p, hr::causal{}, {}, hr::openmp{threads}), alone));
#endif
  }
}

TEST_CASE("A sequence's result does not depend on the other queries that are computed") {
  const problem p({200, 200, 4, 2, 16, 16});
  const auto whole = attend(p, hr::causal{});
  for (const Index t : {0, 63, 64, 199}) {
    const auto row = attend<float>(tokens_of(p.q, t, t + 1), p.keys(), p.values(), hr::causal{},
                                   {.first_position = t});
    const auto bound = p.exact(hr::causal{}).bound;
    REQUIRE(error_ratio(row.out.view(), tokens_of(whole.out, t, t + 1),
                        tokens_of(bound.out, t, t + 1)) <= 2);
  }
}

TEST_CASE("Queries before the first key see nothing: zeros, and an lse of minus infinity") {
  const problem p({40, 13, 6, 3, 8, 5});
  const auto result = attend(p, hr::causal{});
  REQUIRE(error_ratio(result, p.exact(hr::causal{})) <= 1);
  for (Index t = 0; t < 40; ++t)
    for (Index h = 0; h < 6; ++h) {
      REQUIRE((result.lse(t, h, 0) == minus_infinity) == (t < 27));
      for (Index d = 0; d < 5; ++d)
        if (t < 27) REQUIRE(result.out(t, h, d) == 0);
    }
}

TEST_CASE("Rows that a mask hides wholly are zeros, sinks or not") {
  const std::vector<float> sinks = {-1, 0, 3, std::numeric_limits<float>::infinity()};
  for (const Index kv_len : {5, 1300}) {
    const problem p({2, kv_len, 4, 2, 8, 5});
    const auto odd_heads = hr::mask([](Index head, Index, Index) { return head % 2 == 1; });
    const hr::attention_options<float> options{.sinks = sinks};
    const auto result = attend(p, odd_heads, options);
    REQUIRE(error_ratio(result, p.exact(odd_heads, options)) <= 1);
    for (Index h = 0; h < 4; ++h) REQUIRE((result.lse(1, h, 0) == minus_infinity) == (h % 2 == 0));
    for (Index h = 0; h < 4; h += 2) REQUIRE(result.out(1, h, 0) == 0);
    REQUIRE(result.out(1, 3, 0) == 0);  // a sink of infinity takes all the weight
    const auto nothing = attend(p, hr::key_length(0), options);
    REQUIRE(error_ratio(nothing, p.exact(hr::key_length(0), options)) <= 1);
    REQUIRE(nothing.out(0, 1, 0) == 0);
    REQUIRE(nothing.lse(0, 1, 0) == minus_infinity);
  }
}

TEST_CASE("No queries and no keys are answers too") {
  const problem no_queries({0, 9, 2, 1, 4, 4});
  REQUIRE(attend(no_queries).out.tokens() == 0);
  const problem no_keys({3, 0, 2, 1, 4, 4});
  const std::vector<float> sinks = {1, 2};
  const auto result = attend(no_keys, hr::causal{}, {.sinks = sinks});
  for (Index t = 0; t < 3; ++t)
    for (Index h = 0; h < 2; ++h) {
      REQUIRE(result.lse(t, h, 0) == minus_infinity);
      for (Index d = 0; d < 4; ++d) REQUIRE(result.out(t, h, d) == 0);
    }
}

TEST_CASE("A sink takes its share of the weight, and lse leaves it out") {
  for (const problem_size& size : shapes) {
    const problem p(size);
    random_source random(7);
    const auto sinks = random.numbers(size.Q_heads, 4);
    const auto plain = attend(p);
    auto scaled = plain;
    for (Index t = 0; t < size.q_len; ++t)
      for (Index h = 0; h < size.Q_heads; ++h)
        for (Index d = 0; d < size.v_dim; ++d)
          scaled.out(t, h, d) = static_cast<float>(
              plain.out(t, h, d) /
              (1 + std::exp(static_cast<double>(sinks[static_cast<std::size_t>(h)]) -
                            plain.lse(t, h, 0))));
    const hr::attention_options<float> options{.sinks = sinks};
    const auto result = attend(p, hr::none{}, options);
    REQUIRE(same_bits(std::as_const(result.lse).view(), std::as_const(plain.lse).view()));
    REQUIRE(error_ratio(result, scaled, p.exact(hr::none{}, options).bound) <= 2);
    // A sink of minus infinity is none.
    const std::vector<float> no_sinks(static_cast<std::size_t>(size.Q_heads), minus_infinity);
    REQUIRE(same_bits(attend(p, hr::none{}, {.sinks = no_sinks}), plain));
  }
}

TEST_CASE("A softcap bends scores before bias and mask") {
  const problem p({9, 140, 4, 2, 32, 8});
  const hr::attention_options<float> capped{.scale = 2.f, .softcap = 3.f};
  const auto by_hand = hr::score_mod([](auto score, Index, Index, Index key) {
    return 3 * std::tanh(score / 3) + 0.25f * float(key % 2);
  });
  const auto bias = hr::score_mod(
      [](auto score, Index, Index, Index key) { return score + 0.25f * float(key % 2); });
  const auto bound = p.exact(bias, capped).bound;
  REQUIRE(error_ratio(attend(p, bias, capped), attend(p, by_hand, {.scale = 2.f}), bound) <= 2);
  // Far above every score it bends nothing.
  REQUIRE(error_ratio(attend(p, hr::none{}, {.softcap = 1e6f}), attend(p),
                      p.exact(hr::none{}, {.softcap = 1e6f}).bound) <= 2);
  // Far below them it leaves their signs: an exponential of them would be no number.
  for (const float scale : {1e9f, 1e18f}) {
    const auto signs = hr::score_mod([](auto score, Index, Index, Index) {
      return score > 0 ? decltype(score)(0.5) : decltype(score)(-0.5);
    });
    const auto got = attend(p, hr::none{}, {.scale = scale, .softcap = 0.5f});
    REQUIRE(error_ratio(got, attend(p, signs), p.exact(signs).bound) <= 2);
  }
}

TEST_CASE("scale is a factor on q, 1 / sqrt(qk_dim) unless given") {
  for (const problem_size& size : shapes) {
    const problem p(size);
    const float usual = 1 / std::sqrt(static_cast<float>(size.qk_dim));
    REQUIRE(same_bits(attend(p), attend(p, hr::none{}, {.scale = usual})));
    problem doubled = p;
    for (Index t = 0; t < size.q_len; ++t)
      for (Index h = 0; h < size.Q_heads; ++h)
        for (Index d = 0; d < size.qk_dim; ++d) doubled.q(t, h, d) *= 2;
    REQUIRE(same_bits(attend(doubled), attend(p, hr::none{}, {.scale = 2 * usual})));
    // Every score 0: the mean of the values.
    REQUIRE(error_ratio(attend(p, hr::none{}, {.scale = 0.f}),
                        p.exact(hr::none{}, {.scale = 0.f})) <= 1);
  }
}

TEST_CASE("Queries in bfloat16 are multiplied as they are, whatever the scale") {
  using number = Eigen::bfloat16;
  std::vector<problem_size> sizes = shapes;
  sizes.insert(sizes.end(), {{70, 300, 4, 2, 64, 64}, {1, 300, 8, 2, 64, 64}});
  const auto check = [](const problem<number>& p, const auto& mask,
                        hr::attention_options<float> options) {
    const auto exact = exact_attention<float>(p.queries(), p.keys(), p.values(), mask, options, 0);
    answer<float> got{{p.q.tokens(), p.q.heads(), p.v.dim()}, {p.q.tokens(), p.q.heads(), 1}};
    options.lse = got.lse.per_head();
    any_attention(p.q.heads(), p.k.heads(), p.q.dim(), p.v.dim())(p.queries(), p.keys(), p.values(),
                                                                  got.out.view(), mask, options);
    REQUIRE(error_ratio(got, exact) <= 1);
  };
  const auto bias = hr::score_mod(
      [](auto score, Index, Index, Index key) { return score + 0.25f * float(key % 2); });
  for (const problem_size& size : sizes) {
    const problem<number> p(size);
    for (const float scale : {0.f, 0.3f, -0.3f, 11.3f}) {
      INFO(size.q_len << " x " << size.kv_len << ", scale " << scale);
      check(p, hr::none{}, {.scale = scale});
      check(p, hr::none{}, {.scale = scale, .softcap = 3.f});
      check(p, bias & hr::sliding_window(200), {.scale = scale});
      check(p, bias, {.scale = scale, .softcap = 3.f});
    }
  }
}

TEST_CASE("first_position places the queries among the keys") {
  const problem p({20, 400, 4, 2, 16, 8});
  const auto bound = p.exact(hr::causal{}).bound;
  REQUIRE(same_bits(attend(p, hr::causal{}, {.first_position = 380}), attend(p, hr::causal{})));
  for (const Index first : {0, 1, 100, 300}) {
    const Index end = first + 20;
    const auto k = tokens_of(p.k, 0, end), v = tokens_of(p.v, 0, end);
    const auto early = attend(p, hr::causal{}, {.first_position = first});
    REQUIRE(error_ratio(early, attend<float>(p.queries(), k, v, hr::causal{}),
                        exact_attention<float>(p.queries(), k, v, hr::causal{}).bound) <= 2);
  }
  REQUIRE(same_bits(attend(p, hr::causal{}, {.first_position = 400}), attend(p)));
  const auto before = attend(p, hr::causal{}, {.first_position = -5});
  REQUIRE(before.lse(4, 0, 0) == minus_infinity);
  REQUIRE(std::isfinite(before.lse(5, 0, 0)));
}

TEST_CASE("Scores far apart overflow nothing") {
  for (const problem_size& size : shapes) {
    const problem p(size);
    for (const float scale : {100.f, -100.f, 1e4f}) {
      const hr::attention_options<float> options{.scale = scale};
      REQUIRE(error_ratio(attend(p, hr::none{}, options), p.exact(hr::none{}, options)) <= 1);
    }
  }
}

TEST_CASE("Few rows over many keys are split, and no other call is") {
  using hr::detail::path;
  const auto path_for = hr::detail::path_for;
  REQUIRE(path_for(0, 4, 4096) == path::nothing);
  REQUIRE(path_for(1, 1, 4096) == path::decode);
  REQUIRE(path_for(1, 71, 4096) == path::decode);
  REQUIRE(path_for(8, 4, 4096) == path::decode);
  REQUIRE(path_for(512, 4, 4096) == path::prefill);
  REQUIRE(path_for(1, 4, 64) == path::prefill);
  REQUIRE(path_for(1, 4, 0) == path::prefill);
}

TEST_CASE("Every path gives the same") {
  std::vector<problem_size> sizes = shapes;
  for (const Index kv_len : long_lengths) sizes.push_back({2, kv_len, 6, 2, 24, 40});
  for (const problem_size& size : sizes) {
    const problem p(size);
    const auto exact = p.exact(hr::causal{});
    const hr::view_source<float, float> source(p.keys(), p.values());
    const hr::causal mask;
    std::array<answer<float>, 2> results;
    for (std::size_t i = 0; i < results.size(); ++i) {
      answer<float>& result = results[i];
      result = {{size.q_len, size.Q_heads, size.v_dim}, {size.q_len, size.Q_heads, 1}};
      const auto call = hr::detail::checked_call<float, float>(
          {"test", size.Q_heads, size.KV_groups, size.qk_dim, size.v_dim}, p.queries(),
          result.out.view(), size.kv_len, mask, {.lse = result.lse.per_head()});
      if (i == 0)
        hr::detail::prefill(call, source, hr::serial{});
      else
        hr::detail::decode(call, source, hr::serial{});
      REQUIRE(error_ratio(result, exact) <= 1);
    }
    REQUIRE(error_ratio(results[0], results[1], exact.bound) <= 2);
  }
}

namespace {

// Sizes that the compiler knows, against the same at run time: few rows of a group, and many.
template <int heads_per_group, class Stored>
void require_same_bits() {
  constexpr int groups = 2, heads = heads_per_group * groups;
  for (const Index q_len : {1, 2, 3, 4, 5, 9}) {
    INFO(heads_per_group << " heads of a group, " << q_len << " queries");
    const problem<Stored> p({q_len, 900, heads, groups, 32, 32});
    const auto results = [&](const auto& core) {
      tensor<float> out(q_len, heads, 32);
      core(p.queries(), p.keys(), p.values(), out.view(), hr::causal{});
      return out;
    };
    const tensor<float> fixed = results(hr::attention<heads, groups>(32));
    const tensor<float> given =
        results(hr::attention<Eigen::Dynamic, Eigen::Dynamic>(heads, groups, 32, 32));
    REQUIRE(same_bits(fixed.view(), given.view()));
  }
}

}  // namespace

TEST_CASE("Heads that the compiler knows have the bits of those it does not") {
  require_same_bits<2, float>();
  require_same_bits<4, float>();
  require_same_bits<6, float>();
  require_same_bits<8, float>();
  require_same_bits<32, float>();
  require_same_bits<4, Eigen::bfloat16>();
  require_same_bits<6, Eigen::bfloat16>();
}
