// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a mistake that only shows at run time is refused by the call it is made in, before anything
// is written, with a sentence that names the argument, what it was, and what was expected.
// tests/compile_fail has the mistakes that the compiler refuses.
#include <headroom/attention.hpp>
#include <headroom/dense_mask.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/latent_cache.hpp>
#include <headroom/layer.hpp>
#include <headroom/mla.hpp>
#include <headroom/score_mod.hpp>

#include <functional>
#include <stdexcept>

#include "support/catch.hpp"
#include "support/problem.hpp"
#include "support/refusal.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using shape_check = std::function<void(const hr::mask_shape&)>;

// Stands for any mask in a call: it asks another one whether the shape fits.
struct mask_with_check : hr::mask_defaults {
  shape_check other;

  void check(const hr::mask_shape& shape) const {
    if (other) other(shape);
  }
};

template <class Mask>
mask_with_check checks_of(const Mask& mask) {
  mask_with_check result;
  result.other = [=](const hr::mask_shape& shape) { mask.check(shape); };
  return result;
}

// An attention call in which everything fits: 4 heads over 2 groups, 3 queries, 5 keys. A test
// breaks one thing and looks at what is said and whether anything was written.
struct attention_call {
  problem<float> p{{3, 5, 4, 2, 8, 6}};
  hr::view<const float> q = p.queries(), k = p.keys(), v = p.values();
  tensor<float> out{3, 4, 6}, lse{3, 4, 1};
  hr::attention_options<float> options;
  mask_with_check mask;

  attention_call() {
    random_source random(5);
    random.fill(out.view());
    random.fill(lse.view());
    options.lse = lse.per_head();
  }

  std::string refusal_of(const std::function<void()>& run) const {
    const tensor<float> out_before = out, lse_before = lse;
    const std::string said = headroom_tests::refusal_of(run);
    if (!same_bits(out.view(), out_before.view())) return "out was written: " + said;
    if (!same_bits(lse.view(), lse_before.view())) return "lse was written: " + said;
    return said;
  }
  std::string run() { return run_with(out.view()); }
  std::string run_with(hr::view<float> target) {
    return refusal_of([&] { heads()(q, k, v, target, mask, options); });
  }
  template <class Source>
  std::string run_over(const Source& source) {
    return refusal_of([&] { heads()(q, source, out.view(), mask, options); });
  }

  static any_attention heads() { return any_attention(4, 2, 8, 6); }
};

// A cache of 3 tokens with room for 2 more, and what is to be appended.
struct cache_call {
  problem<float> p{{1, 5, 4, 2, 8, 6}}, more{{1, 2, 4, 2, 8, 6}, 2};
  hr::kv_cache<float> cache{5, 2, 8, 6};
  hr::view<const float> k = more.keys(), v = more.values();

  cache_call() { cache.append(p.keys().slice_tokens(0, 3), p.values().slice_tokens(0, 3)); }

  // What the call says; it must not have changed the cache.
  template <class Exception = std::invalid_argument>
  std::string refusal_of(const std::function<void()>& run) const {
    const std::string said = headroom_tests::refusal_of<Exception>(run);
    const bool unchanged = same_bits(cache.key_view(), p.keys().slice_tokens(0, 3)) &&
                           same_bits(cache.value_view(), p.values().slice_tokens(0, 3));
    return unchanged ? said : "the cache was changed: " + said;
  }
  template <class Exception = std::invalid_argument>
  std::string append() {
    return refusal_of<Exception>([&] { cache.append(k, v); });
  }
};

}  // namespace

TEST_CASE("the calls that the cases break are right as they are") {
  attention_call call;
  CHECK(call.run() == "out was written: nothing was thrown");
  cache_call appending;
  CHECK(appending.append() == "the cache was changed: nothing was thrown");
}

TEST_CASE("attention names the argument whose shape disagrees") {
  attention_call c;
  SECTION("q has other heads") {
    c.q = c.q.slice_heads(0, 3);
    CHECK(c.run() == "attention: q has 3 heads, expected Q_heads = 4");
  }
  SECTION("q has another width") {
    c.q = c.q.slice_dim(0, 7);
    CHECK(c.run() == "attention: q has width 7, expected qk_dim = 8");
  }
  SECTION("k has other heads") {
    c.k = c.k.slice_heads(0, 1);
    CHECK(c.run() == "attention: k has 1 heads, expected KV_groups = 2");
  }
  SECTION("k has the query heads") {
    c.k = hr::view<const float>(c.k.data(), 5, 4, 8, 16, 0);
    CHECK(c.run() == "attention: k has 4 heads, expected KV_groups = 2");
  }
  SECTION("k has another width") {
    c.k = c.k.slice_dim(0, 6);
    CHECK(c.run() == "attention: k has width 6, expected qk_dim = 8");
  }
  SECTION("v has other heads") {
    c.v = c.v.slice_heads(0, 1);
    CHECK(c.run() == "attention: v has 1 heads, expected KV_groups = 2");
  }
  SECTION("v has another width") {
    c.v = c.v.slice_dim(0, 4);
    CHECK(c.run() == "attention: v has width 4, expected v_dim = 6");
  }
  SECTION("v has fewer tokens than k") {
    c.v = c.v.slice_tokens(0, 4);
    CHECK(c.run() == "attention: v has 4 tokens, expected kv_len = 5 as k");
  }
  SECTION("k and v are swapped") {
    std::swap(c.k, c.v);
    CHECK(c.run() == "attention: k has width 6, expected qk_dim = 8");
  }
  SECTION("out is where q is") {
    float* const same = const_cast<float*>(c.q.data());
    CHECK(c.run_with(hr::view<float>(same, 3, 4, 6, 32, 8)) ==
          "attention: out begins where q does, expected memory that overlaps no input");
  }
  SECTION("out has other tokens") {
    CHECK(c.run_with(c.out.view().slice_tokens(0, 2)) ==
          "attention: out has 2 tokens, expected q_len = 3");
  }
  SECTION("out has other heads") {
    CHECK(c.run_with(c.out.view().slice_heads(0, 2)) ==
          "attention: out has 2 heads, expected Q_heads = 4");
  }
  SECTION("out has another width") {
    CHECK(c.run_with(c.out.view().slice_dim(0, 5)) ==
          "attention: out has width 5, expected v_dim = 6");
  }
  SECTION("lse is transposed") {
    c.options.lse = hr::token_head_view<float>(c.lse.view().data(), 4, 3);
    CHECK(c.run() == "attention: lse is [4, 3], expected [q_len, Q_heads] = [3, 4]");
  }
}

TEST_CASE("attention names the matrix whose columns are not whole heads") {
  attention_call c;
  const RowMajor q = RowMajor::Random(3, 32), k = RowMajor::Random(5, 16),
                 v = RowMajor::Random(5, 12), odd = RowMajor::Random(5, 13);
  RowMajor out = RowMajor::Random(3, 24);
  const RowMajor before = out;
  const auto heads = attention_call::heads();
  CHECK(refusal_of([&] { heads(odd.topRows(3), k, v, out); }) ==
        "attention: q has 13 columns, expected a multiple of heads = 4");
  CHECK(refusal_of([&] { heads(q, odd, v, out); }) ==
        "attention: k has 13 columns, expected a multiple of heads = 2");
  CHECK(refusal_of([&] { heads(q, k, odd, out); }) ==
        "attention: v has 13 columns, expected a multiple of heads = 2");
  CHECK(refusal_of([&] { heads(q, k, v, out.leftCols(23)); }) ==
        "attention: out has 23 columns, expected a multiple of heads = 4");
  // As many columns as query heads would need: whole heads, of the wrong width.
  CHECK(refusal_of([&] { heads(q, q, v, out); }) ==
        "attention: v has 5 tokens, expected kv_len = 3 "
        "as k");
  CHECK(out == before);
}

TEST_CASE("attention refuses options out of range") {
  attention_call c;
  const std::vector<float> sinks(3);
  SECTION("sinks for other heads") {
    c.options.sinks = sinks;
    CHECK(c.run() == "attention: 3 sinks were given, expected Q_heads = 4");
  }
  SECTION("an lse without memory") {
    Eigen::MatrixXf empty;
    c.options.lse = empty;
    CHECK(c.run().starts_with("attention: lse is [0, 0], expected [q_len, Q_heads] = ["));
  }
  SECTION("a scale that is not a number") {
    c.options.scale = std::nanf("");
    CHECK(c.run().ends_with("nan, expected a finite number"));
  }
  SECTION("an infinite scale") {
    c.options.scale = -std::numeric_limits<float>::infinity();
    CHECK(c.run() == "attention: scale = -inf, expected a finite number");
  }
  SECTION("a position that windows could not be added to") {
    for (const Index position :
         {std::numeric_limits<Index>::max(), std::numeric_limits<Index>::min()}) {
      c.options.first_position = position;
      CHECK(c.run().starts_with("attention: first_position = " + std::to_string(position)));
    }
  }
  SECTION("a tiny negative softcap") {
    c.options.softcap = -1e-8f;
    CHECK(c.run() == "attention: softcap = -1e-08, expected 0 (off) or a positive number");
  }
  SECTION("a negative softcap") {
    c.options.softcap = -30;
    CHECK(c.run() == "attention: softcap = -30, expected 0 (off) or a positive number");
  }
  SECTION("a softcap that is not a number") {
    c.options.softcap = std::nanf("");
    CHECK(c.run().ends_with("nan, expected 0 (off) or a positive number"));
  }
  SECTION("an infinite softcap") {
    c.options.softcap = std::numeric_limits<float>::infinity();
    CHECK(c.run() == "attention: softcap = inf, expected 0 (off) or a positive number");
  }
}

TEST_CASE("a mask that does not fit the call is refused by the call") {
  attention_call c;
  const auto said = [&](const auto& mask) {
    c.mask = checks_of(mask);
    return c.run();
  };
  const std::vector<char> flags(12);
  const std::vector<float> numbers(3 * 2 * 5);
  CHECK(said(hr::key_length(6)) == "key_length: length = 6, expected 0 to kv_len = 5");
  CHECK(said(hr::key_length(-1)) == "key_length: length = -1, expected 0 to kv_len = 5");
  CHECK(said(hr::sliding_window(0)) ==
        "sliding_window: window = 0, expected at least 1 (it counts the own position)");
  CHECK(said(hr::sliding_window(2, -1)) == "sliding_window: ahead = -1, expected at least 0");
  CHECK(said(hr::sliding_window::symmetric(0)) ==
        "sliding_window: window = 0, expected at least 1 (it counts the own position)");
  CHECK(said(hr::prefix(-2)) == "prefix: tokens = -2, expected at least 0");
  CHECK(said(hr::key_padding(flags)) == "key_padding: 12 flags were given, expected kv_len = 5");
  CHECK(said(hr::dense_mask(hr::tokens_major(flags.data(), 3, 1, 4))) ==
        "dense_mask: [q_len, heads, kv_len] = [3, 1, 4] was given, expected [3, 1 or 4, 5]");
  CHECK(said(hr::dense_bias(hr::tokens_major(numbers.data(), 3, 2, 5))) ==
        "dense_bias: [q_len, heads, kv_len] = [3, 2, 5] was given, expected [3, 1 or 4, 5]");
  CHECK(said(hr::alibi(std::span(numbers).first(2))) ==
        "alibi: 2 slopes were given, expected Q_heads = 4");
  CHECK(said(hr::causal() & hr::sliding_window(-4)) ==
        "sliding_window: window = -4, expected at least 1 (it counts the own position)");
  CHECK(said(hr::causal() & hr::sliding_window(1)).starts_with("out was written"));
}

TEST_CASE("attention over a cache of other sizes names the cache's") {
  attention_call c;
  CHECK(c.run_over(hr::kv_cache<float>(5, 4, 8, 6)) ==
        "attention: k has 4 heads, expected KV_groups = 2");
  CHECK(c.run_over(hr::kv_cache<float>(5, 2, 16, 6)) ==
        "attention: k has width 16, expected qk_dim = 8");
  CHECK(c.run_over(hr::kv_cache<float>(5, 2, 8)) == "attention: v has width 8, expected v_dim = 6");
}

TEST_CASE("an attention of impossible sizes is not made") {
  CHECK(refusal_of([] { any_attention(32, 5, 64, 64); }) ==
        "attention: KV_groups = 5 does not divide Q_heads = 32");
  CHECK(refusal_of([] { any_attention(0, 1, 64, 64); }) ==
        "attention: Q_heads = 0 was given, expected at least 1");
  CHECK(refusal_of([] { any_attention(8, 0, 64, 64); }) ==
        "attention: KV_groups = 0 was given, expected at least 1");
  CHECK(refusal_of([] { any_attention(8, 2, -64, 64); }) ==
        "attention: qk_dim = -64 was given, expected at least 1");
  CHECK(refusal_of([] { hr::attention<8, 2>(64, 0); }) ==
        "attention: v_dim = 0 was given, expected at least 1");
  CHECK(refusal_of([] { hr::attention<8, 2, 64>(8, 4, 64, 64); }) ==
        "attention: KV_groups = 4 was given, expected 2 as in the template");
}

TEST_CASE("a cache refuses what does not fit and stays as it is") {
  cache_call c;
  SECTION("k has other heads") {
    c.k = c.k.slice_heads(0, 1);
    CHECK(c.append() == "kv_cache: k has 1 heads, expected KV_groups = 2");
  }
  SECTION("k has another width") {
    c.k = c.k.slice_dim(0, 7);
    CHECK(c.append() == "kv_cache: k has width 7, expected 8");
  }
  SECTION("v has other heads") {
    c.v = c.v.slice_heads(1, 2);
    CHECK(c.append() == "kv_cache: v has 1 heads, expected KV_groups = 2");
  }
  SECTION("v has another width") {
    c.v = c.v.slice_dim(0, 5);
    CHECK(c.append() == "kv_cache: v has width 5, expected 6");
  }
  SECTION("v has other tokens") {
    c.v = c.v.slice_tokens(0, 1);
    CHECK(c.append() == "kv_cache: v has 1 tokens, expected 2 as k");
  }
  SECTION("a matrix of odd columns") {
    const RowMajor odd = RowMajor::Random(2, 15);
    CHECK(c.refusal_of([&] { c.cache.append(odd, c.v); }) ==
          "kv_cache: k has 15 columns, expected a multiple of heads = 2");
  }
  SECTION("more than there is room for") {
    c.k = c.p.keys().slice_tokens(0, 3);
    c.v = c.p.values().slice_tokens(0, 3);
    CHECK(c.append<std::length_error>() ==
          "kv_cache: appending 3 tokens to 3 exceeds the capacity of 5");
  }
  SECTION("truncating to more than there are") {
    CHECK(c.refusal_of([&] { c.cache.truncate(4); }) ==
          "kv_cache: truncate to 4 tokens, expected 0 to size = 3");
    CHECK(c.refusal_of([&] { c.cache.truncate(-1); }) ==
          "kv_cache: truncate to -1 tokens, expected 0 to size = 3");
  }
}

TEST_CASE("a cache of impossible sizes is not made") {
  CHECK(refusal_of([] { hr::kv_cache<float>(-1, 2, 8); }) ==
        "kv_cache: capacity = -1, expected at least 0");
  CHECK(refusal_of([] { hr::kv_cache<float>(4, 0, 8); }) ==
        "kv_cache: KV_groups = 0 was given, expected at least 1");
  CHECK(refusal_of([] { hr::kv_cache<float>(4, 2, 0); }) ==
        "kv_cache: qk_dim = 0 was given, expected at least 1");
  CHECK(refusal_of([] { hr::kv_cache<float, 2, 8>(4, 2, 7, 8); }) ==
        "kv_cache: qk_dim = 7 was given, expected 8 as in the template");
  CHECK(refusal_of([] { hr::latent_cache<float>(4, 0, 8); }) ==
        "latent_cache: latent_rank = 0 was given, expected at least 1");
  CHECK(refusal_of([] { hr::latent_cache<float>(4, 16, -1); }) ==
        "latent_cache: rope = -1 was given, expected at least 0");
  constexpr Index huge = Index(1) << 61;
  CHECK_THROWS_AS(hr::kv_cache<float>(huge, 1, 1), std::length_error);
  CHECK_THROWS_AS((hr::kv_cache<Eigen::bfloat16, 8, 128>(huge >> 7)), std::length_error);
  CHECK_THROWS_AS(hr::latent_cache<float>(huge / 2, 3, 1), std::length_error);
}

TEST_CASE("no view has fewer than no tokens") {
  attention_call c;
  SECTION("q") {
    c.q = hr::tokens_major(c.q.data(), -1, 4, 8);
    CHECK(c.run() == "attention: q has -1 tokens, expected at least 0");
  }
  SECTION("k") {
    c.k = hr::tokens_major(c.k.data(), -1, 2, 8);
    CHECK(c.run() == "attention: k has -1 tokens, expected at least 0");
  }
  SECTION("what is appended") {
    cache_call appending;
    appending.k = hr::tokens_major(appending.k.data(), -1, 2, 8);
    CHECK(appending.append() == "kv_cache: k has -1 tokens, expected at least 0");
  }
}

TEST_CASE("latent attention names what disagrees, and writes nothing") {
  // 2 heads, latents of 8, 4 + 2 wide queries, values of 3; 5 cached tokens, 1 query.
  hr::latent_cache<float> latents(5, 8, 2), wide(5, 16, 2), other_rope(5, 8, 4);
  const RowMajor weight = RowMajor::Random(2 * (4 + 3), 8), q = RowMajor::Random(1, 2 * (4 + 2));
  const RowMajor c = RowMajor::Random(5, 8), k_pe = RowMajor::Random(5, 2);
  latents.append(c, k_pe);
  RowMajor out = RowMajor::Random(1, 2 * 3);
  const RowMajor before = out;
  const hr::linear up(weight), transposed(weight.data(), 8, 14);
  const std::vector<float> bias(14);
  const hr::linear<float> with_bias(weight.data(), 14, 8, bias.data());
  const hr::mla<2, 8, 4, 2, 3> heads;

  CHECK(refusal_of([&] { heads(q, wide, up, out); }) ==
        "mla: latents have width 16, expected latent_rank = 8");
  CHECK(refusal_of([&] { heads(q, other_rope, up, out); }) ==
        "mla: latents with rotary keys have width 12, expected latent_rank + rope = 10");
  CHECK(refusal_of([&] { heads(q, latents, transposed, out); }) ==
        "mla: up is [8, 14], expected [Q_heads * (nope + value), latent_rank] = [14, 8]");
  CHECK(refusal_of([&] { heads(q, latents, with_bias, out); }) ==
        "mla: up has a bias, expected none");
  CHECK(refusal_of([&] { heads(q.leftCols(10), latents, up, out); }) ==
        "mla: q has width 5, expected nope + rope = 6");
  CHECK(refusal_of([&] { heads(q, latents, up, out.leftCols(4)); }) ==
        "mla: out has width 2, expected value = 3");
  CHECK(refusal_of([&] { heads(q, latents, up, out.topRows(0)); }) ==
        "mla: out has 0 tokens, expected q_len = 1");
  CHECK(out == before);

  CHECK(refusal_of([&] { latents.append(c.leftCols(7), k_pe); }) ==
        "latent_cache: latents are [5, 1, 7], expected [tokens, 1, latent_rank = 8]");
  CHECK(refusal_of([&] { latents.append(c.topRows(4), k_pe); }) ==
        "latent_cache: rope_keys have 5 tokens, expected 4 as latents");
  CHECK(refusal_of<std::length_error>([&] { latents.append(c, k_pe); }) ==
        "latent_cache: appending 5 tokens to 5 exceeds the capacity of 5");
  CHECK(latents.tokens() == 5);
  CHECK(same_bits(latents.latent_view(), hr::as_view(c, 1)));
  CHECK(same_bits(latents.rope_key_view(), hr::as_view(k_pe, 1)));
}

TEST_CASE("a layer names what disagrees; its cache and output stay as they are") {
  const RowMajor w = RowMajor::Random(16, 16), narrow = RowMajor::Random(8, 16);
  const hr::attention<4, 2, 4> sizes;
  const auto weights = [&] {
    return hr::attention_weights<float>{
        hr::linear(w), hr::linear(narrow), hr::linear(narrow), hr::linear(w), {}, {}, 1e-6};
  };
  const auto broken = [&](auto breaks) {
    auto these = weights();
    breaks(these);
    return refusal_of([&] { hr::attention_layer layer(sizes, these); });
  };
  CHECK(broken([&](auto& these) { these.k = hr::linear(w); }) ==
        "attention_layer: k has 16 out_features, expected heads * width = 8");
  CHECK(broken([&](auto& these) { these.v = {}; }) ==
        "attention_layer: one of k and v is absent, expected both or neither");
  CHECK(broken([&](auto& these) { these.o = hr::linear(w.leftCols(15)); }) ==
        "attention_layer: o has 15 in_features, expected Q_heads * v_dim = 16");

  const hr::attention_layer layer(sizes, weights());
  hr::kv_cache<float> cache(3, 2, 4), other(3, 4, 4);
  const RowMajor x = RowMajor::Random(4, 16);
  RowMajor out = RowMajor::Random(4, 16);
  layer(x.topRows(2), cache, out.topRows(2));
  const RowMajor before = out;
  CHECK(refusal_of([&] { layer(x.leftCols(15), cache, out); }) ==
        "layer: x is [4, 15], expected [tokens, hidden = 16]");
  CHECK(refusal_of([&] { layer(x, cache, out.topRows(3)); }) ==
        "layer: out is [3, 16], expected [4, 16]");
  CHECK(refusal_of([&] { layer(x.topRows(2), other, out.topRows(2)); }) ==
        "kv_cache: k has 2 heads, expected KV_groups = 4");
  const std::array<Index, 3> three = {0, 1, 2};
  const std::string positions = "layer: 3 positions were given, expected one for each of 2 tokens";
  CHECK(refusal_of([&] { layer(x.topRows(2), cache, out.topRows(2), hr::causal{}, three); }) ==
        positions);
  CHECK(refusal_of([&] { layer.append(x.topRows(2), cache, three); }) == positions);
  CHECK(refusal_of([&] {
          layer.attend(x.topRows(2), cache, out.topRows(2), hr::causal{}, three);
        }) == positions);
  CHECK(refusal_of<std::length_error>([&] { layer(x.topRows(2), cache, out.topRows(2)); }) ==
        "kv_cache: appending 2 tokens to 2 exceeds the capacity of 3");
  CHECK(cache.tokens() == 2);
  CHECK(other.tokens() == 0);
  CHECK(out == before);
}
