// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: what path_for says is what a call does: how many parts the executor gets, and whether
// queries and weights are rounded.
#include <headroom/attention_path.hpp>
#include <headroom/int4_codec.hpp>
#include <headroom/int8_codec.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/ring_cache.hpp>
#include <headroom/rotated_cache.hpp>
#include <headroom/scaled_cache.hpp>

#include "support/catch.hpp"
#include "support/codec_laws.hpp"
#include "support/problem.hpp"
#include "support/refusal.hpp"

#include <string>
#include <type_traits>

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;
using hr::attention_kernel;

namespace {

// Runs the work, and counts it.
struct counting {
  Index* items;

  template <class Work>
  void operator()(Index count, const Work& work) const {
    *items = count;
    hr::serial()(count, work);
  }
};

template <class Scalar, class Key>
void check_parts(const problem_size& size) {
  INFO(size.q_len << " queries, " << size.kv_len << " keys");
  const problem<Scalar, Key> p(size);
  const any_attention attention(size.Q_heads, size.KV_groups, size.qk_dim, size.v_dim);
  const hr::view_source<Key, Key> source(p.keys(), p.values());
  Index items = 0;
  attend(p, hr::none(), {}, counting{&items});
  const hr::attention_path path = attention.path_for<Scalar>(size.q_len, source);
  CHECK(path.work_items == items);
  CHECK(path.work_items % std::max<Index>(1, path.splits) == 0);
  CHECK((path.kernel == attention_kernel::none) == (size.q_len == 0));
}

template <class Scalar, class Key>
attention_kernel kernel_of(Index q_len, Index qk_dim = 64, Index v_dim = 64) {
  const problem<Scalar, Key> p({q_len, 10, 4, 2, qk_dim, v_dim});
  const any_attention attention(4, 2, qk_dim, v_dim);
  return attention.path_for<Scalar>(q_len, hr::view_source<Key, Key>(p.keys(), p.values())).kernel;
}

}  // namespace

TEST_CASE("an executor gets as many parts as are said") {
  for (const Index q_len : {0, 1, 3, 17, 500})
    for (const Index kv_len : {0, 1, 700, 5000}) {
      check_parts<float, float>({q_len, kv_len, 4, 2, 16, 16});
      check_parts<float, Eigen::half>({q_len, kv_len, 8, 8, 16, 16});
      if (q_len < 100) check_parts<double, double>({q_len, kv_len, 3, 1, 16, 16});
    }
}

TEST_CASE("what is decoded into memory is said") {
  const any_attention attention(4, 2, 64, 64);
  const auto decodes = [&]<class Codec>(std::type_identity<Codec>, Index q_len) {
    return attention.path_for(q_len, hr::kv_cache<Codec>(10, 2, 64)).decodes;
  };
  const bool has_kernels = hr::detail::has_kernels<float>;
  for (const Index few : {1, hr::detail::most_dot_rows / 2}) {
    if (few == 0 || 2 * few > hr::detail::most_dot_rows) continue;
    CHECK(!decodes(std::type_identity<float>(), few));
    CHECK(decodes(std::type_identity<Eigen::half>(), few) == !has_kernels);
    CHECK(decodes(std::type_identity<hr::int8_rows>(), few) == !has_kernels);
    CHECK(decodes(std::type_identity<hr::int4_codec<2>>(), few) == (hr::detail::lanes > 1));
  }
  CHECK(!decodes(std::type_identity<float>(), 64));
  CHECK(decodes(std::type_identity<hr::int8_rows>(), 64));
  CHECK(attention.path_for<double>(1, hr::kv_cache<float>(10, 2, 64)).decodes);
  CHECK(!attention.path_for<double>(1, hr::kv_cache<double>(10, 2, 64)).decodes);
}

TEST_CASE("the path over a cache around another is that over what the call reads") {
  const any_attention attention(4, 2, 16, 16);
  const Index window = 1000, held = window + 4;
  const problem<> p({1, 3 * window, 4, 2, 16, 16}), few({1, held, 4, 2, 16, 16});
  const auto path_over = [&]<class Cache>(Cache cache, const problem<>& of) {
    cache.append(of.keys(), of.values());
    return attention.path_for(3, cache);
  };
  using Whole = hr::kv_cache<Eigen::half>;
  using Ring = hr::ring_cache<Whole>;
  const hr::ring_shape shape{.window = window, .prefix = 4, .chunk = 3 * window};
  const hr::attention_path whole = path_over(Whole(3 * window, 2, 16), p);
  const hr::attention_path in_ring = path_over(Whole(held, 2, 16), few);
  CHECK(whole != in_ring);
  CHECK(path_over(hr::rotated_cache<Whole>(3 * window, 2, 16), p) == whole);
  CHECK(path_over(hr::scaled_cache<Whole>(3 * window, 2, 16), p) == whole);
  CHECK(path_over(Ring(shape, 2, 16), p) == in_ring);
  CHECK(path_over(hr::rotated_cache<Ring>(shape, 2, 16), p) == in_ring);
}

TEST_CASE("few keys are not cut, many are") {
  const any_attention attention(4, 2, 16, 16);
  const problem<> few({1, 64, 4, 2, 16, 16}), many({1, 5000, 4, 2, 16, 16});
  CHECK(attention.path_for(1, hr::view_source<float, float>(few.keys(), few.values())).splits == 1);
  CHECK(attention.path_for(1, hr::view_source<float, float>(many.keys(), many.values())).splits >
        1);
}

TEST_CASE("a kernel goes with the scalar, the rows and what is stored") {
  const Index few = hr::detail::most_dot_rows / 2, many = hr::detail::most_dot_rows;
  CHECK(kernel_of<double, double>(1) == attention_kernel::eigen_products);
  CHECK(kernel_of<double, double>(many) == attention_kernel::eigen_products);
  if (hr::detail::has_kernels<float>) {
    if (few > 0) CHECK(kernel_of<float, float>(few) == attention_kernel::dot_products);
    if (few > 0)
      CHECK((kernel_of<float, Eigen::bfloat16>(few) == attention_kernel::bfloat16_dots) ==
            hr::detail::has_fast_bfloat16_dots);
    CHECK(kernel_of<float, float>(many) == attention_kernel::outer_products);
    CHECK(kernel_of<float, Eigen::half>(many) == attention_kernel::outer_products);
    CHECK((kernel_of<float, Eigen::bfloat16>(many) == attention_kernel::bfloat16_pairs) ==
          hr::detail::has_fast_bfloat16_dots);
    CHECK(kernel_of<float, Eigen::bfloat16>(many, 63) == attention_kernel::outer_products);
    CHECK(kernel_of<float, Eigen::bfloat16>(many, 64, 63) ==
          kernel_of<float, Eigen::bfloat16>(many));
  } else {
    CHECK(kernel_of<float, float>(many) == attention_kernel::eigen_products);
  }
}

TEMPLATE_TEST_CASE("queries and weights are rounded where it says so, and only there", "", float,
                   Eigen::half, Eigen::bfloat16) {
  for (const Index q_len : {1, 40})
    for (const Index dim : {63, 64}) {
      const problem<float, TestType> p({q_len, 300, 4, 2, dim, dim});
      const any_attention attention(4, 2, dim, dim);
      const hr::view_source<TestType, TestType> source(p.keys(), p.values());
      const attention_kernel kernel = attention.path_for(q_len, source).kernel;
      const bool rounds =
          kernel == attention_kernel::bfloat16_pairs || kernel == attention_kernel::bfloat16_dots;
      CHECK((error_ratio(attend(p), p.exact(hr::none(), {}, 0)) > 1) == rounds);
    }
}

TEMPLATE_TEST_CASE("over whole numbers they are rounded where it says so, and only there", "",
                   hr::int8_rows, hr::saturating_int8, hr::int8_blocks) {
  for (const Index q_len : {1, 40})
    for (const Index dim : {48, 63, 64}) {
      problem<float> p({q_len, 300, 4, 2, dim, dim});
      // Units of a query follow its largest number, which no key shows.
      for (Index t = 0; t < q_len; ++t)
        for (Index h = 0; h < 4; ++h) p.q(t, h, 0) = 1000;
      for (Index t = 0; t < 300; ++t)
        for (Index g = 0; g < 2; ++g) {
          for (Index d = 0; d < dim; ++d) p.k(t, g, d) *= 20;
          p.k(t, g, 0) = 0;
        }
      hr::kv_cache<TestType> cache(300, 2, dim);
      cache.append(p.keys(), p.values());
      const any_attention attention(4, 2, dim, dim);
      const bool rounds = attention.path_for(q_len, cache).kernel == attention_kernel::int16_dots;
      CHECK(rounds == (hr::detail::has_fast_int16_dots && hr::detail::has_kernels<float> &&
                       q_len == 1 && dim % hr::detail::integer_width<TestType> == 0));
      const decoded_source numbers(cache);
      const auto exact = exact_attention<float>(p.queries(), numbers.keys(), numbers.values());
      answer<float> got{{q_len, 4, dim}, {q_len, 4, 1}};
      hr::attention_options<float> options;
      options.lse = got.lse.per_head();
      attention(p.queries(), cache, got.out.view(), hr::none(), options);
      CHECK((error_ratio(got, exact) > 1) == rounds);
    }
}

TEST_CASE("what is no call has no path") {
  const problem<> p({1, 8, 4, 2, 16, 16});
  const hr::view_source<float, float> source(p.keys(), p.values());
  CHECK(refusal_of([&] { any_attention(4, 4, 16, 16).path_for(1, source); }) ==
        "attention: k has 2 heads, expected KV_groups = 4");
  CHECK(refusal_of([&] { any_attention(4, 2, 16, 16).path_for(-1, source); }) ==
        "attention: path_for q_len = -1, expected at least 0");
}
