// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: as row_block, and for any number of rows: panels of lanes, whole or not, and more than one.
#include <headroom/detail/packet_block.hpp>

#include "support/block_laws.hpp"
#include "support/catch.hpp"
#include "support/pairs.hpp"

#include <limits>
#include <utility>
#include <vector>

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;
using hr::detail::lanes;

namespace {

template <class Call>
using packet_block = hr::detail::packet_block<Call>;

// Multiplies pairs of bfloat16: by the CPU's instruction where it has one, and by its generic twin.
template <class Pair>
struct pairs {
  template <class Call>
  using block = hr::detail::packet_block<Call, Pair>;
};
using bfloat16_problem = problem<float, Eigen::bfloat16>;
constexpr float infinity = std::numeric_limits<float>::infinity();

// The twin rounds to bfloat16 on any machine.
template <class Mask>
exact_answer exact_in_pairs(const bfloat16_problem& p, const Mask& mask) {
  return p.exact(mask, {}, bfloat16_roundoff);
}

}  // namespace

TEST_CASE("tiles of any sizes give the same state") {
  check_tiles_of_any_sizes<packet_block>();
}

TEST_CASE("softcap, bias, mask and sinks come in their order") {
  check_order_of_modifications<packet_block>();
}

TEST_CASE("the range of a block is the union of what its rows see, within the keys") {
  check_range_of_a_block<packet_block>();
}

TEST_CASE("a tile may hold NaN where no row looks, and what one row sees stays with it") {
  check_hidden_nan<packet_block>();
}

TEST_CASE("any number of rows is attention, under masks that cut panels") {
  for (const Index q_len : {1, 2, 7, 8, 9, 23, 24, 25, 47, 60}) {
    INFO("q_len " << q_len);
    const problem p({q_len, 130, 3, 1, 33, 21});
    REQUIRE(error_ratio(answer_by(in_tiles<packet_block>({96}), p, hr::none()), p.exact()) <= 1);
    for (const Index window : {1, 5, 90}) {
      const auto mask = hr::causal() & hr::sliding_window(window);
      REQUIRE(error_ratio(answer_by(in_tiles<packet_block>({96, 17}), p, mask), p.exact(mask)) <=
              1);
    }
  }
}

TEST_CASE("a cap applies to what is seen, and hides nothing") {
  const problem p({40, 40, 2, 1, 16, 8});
  const hr::attention_options<float> options{.softcap = 0.5f};
  REQUIRE(error_ratio(answer_by(in_tiles<packet_block>({13}), p, hr::causal(), options),
                      p.exact(hr::causal(), options)) <= 1);
}

TEST_CASE("keys and values that are hidden may be NaN, in a panel where others see them") {
  problem p({30, 30, 1, 1, 8, 16});
  fill_row(p.k.view(), 29, 0, quiet_nan<float>());
  fill_row(p.v.view(), 29, 0, quiet_nan<float>());
  const auto got = answer_by(in_tiles<packet_block>({30}), p, hr::causal());
  problem clean = p;
  fill_row(clean.k.view(), 29, 0, 0.f);
  fill_row(clean.v.view(), 29, 0, 0.f);
  const auto exact = clean.exact(hr::causal());
  for (Index t = 0; t < 29; ++t)
    for (Index d = 0; d < 16; ++d)
      REQUIRE(std::abs(got.out(t, 0, d) - exact.out(t, 0, d)) <= exact.bound.out(t, 0, d));
  for (Index d = 0; d < 16; ++d) CHECK(std::isnan(got.out(29, 0, d)));
}

TEMPLATE_LIST_TEST_CASE("pairs of bfloat16 are attention, under masks that cut pairs", "",
                        bfloat16_pairs) {
  const auto in_pairs = [](std::vector<Index> sizes) {
    return in_tiles<pairs<TestType>::template block>(std::move(sizes));
  };
  const Index v_dim = GENERATE(2 * lanes, 2 * lanes + 5, 3);
  for (const Index q_len : {1, 7, 23, 24, 60})
    for (const Index kv_len : {61, 130}) {
      INFO("q_len " << q_len << ", kv_len " << kv_len << ", v_dim " << v_dim);
      const bfloat16_problem p({q_len, kv_len, 3, 1, 34, v_dim});
      REQUIRE(error_ratio(answer_by(in_pairs({96}), p, hr::none()),
                          exact_in_pairs(p, hr::none())) <= 1);
      for (const Index window : {1, 2, 5, 90}) {
        const auto mask = hr::causal() & hr::sliding_window(window);
        REQUIRE(error_ratio(answer_by(in_pairs({96, 17}), p, mask), exact_in_pairs(p, mask)) <= 1);
      }
      const auto odd = hr::mask([](Index, Index, Index key) { return key % 3 != 1; });
      REQUIRE(error_ratio(answer_by(in_pairs({33}), p, odd), exact_in_pairs(p, odd)) <= 1);
    }
}

TEMPLATE_LIST_TEST_CASE("few weights in pairs have their residuals, more have not", "",
                        bfloat16_pairs) {
  const auto in_pairs = in_tiles<pairs<TestType>::template block>({33, 96});
  constexpr Index few = hr::detail::most_keys_with_residuals;
  const double with_residuals = 0x1p-16;
  for (const Index kv_len : {Index(1), Index(2), Index(61), few, few + 1}) {
    INFO("kv_len " << kv_len);
    bfloat16_problem p({30, kv_len, 3, 1, 34, 2 * lanes + 5});
    round_to_bfloat16(p.q.view());
    const auto ratio = [&](const auto& mask) {
      return error_ratio(answer_by(in_pairs, p, mask), p.exact(mask, {}, with_residuals));
    };
    CHECK((ratio(hr::none()) <= 1) == (kv_len <= few));
    REQUIRE(ratio(hr::causal() & hr::sliding_window(few / 3)) <= 1);
    fill_row(p.v.view(), 0, 0, Eigen::bfloat16(infinity));
    const auto infinite = answer_by(in_pairs, p, hr::none());
    for (Index d = 0; d < p.v.dim(); ++d) CHECK(infinite.out(29, 0, d) == infinity);
    fill_row(p.v.view(), 0, 0, Eigen::bfloat16(1.f));
    const auto odd = hr::mask([](Index, Index, Index key) { return key % 3 != 1; });
    if (kv_len <= few) REQUIRE(ratio(odd) <= 1);
    fill_row(p.v.view(), kv_len - 1, 0, quiet_nan<Eigen::bfloat16>());
    if (kv_len <= few) REQUIRE(ratio(hr::key_length(kv_len - 1)) <= 1);
  }
}

TEMPLATE_LIST_TEST_CASE("keys of residuals may begin and end with half a pair", "",
                        bfloat16_pairs) {
  const auto in_pairs = in_tiles<pairs<TestType>::template block>({300});
  const hr::sliding_window window(hr::detail::most_keys_with_residuals);
  for (const Index kv_len : {200, 201}) {
    bfloat16_problem p({1, kv_len, 5 * lanes, 1, 34, 2 * lanes});
    round_to_bfloat16(p.q.view());
    const auto mask = hr::causal() & window;
    REQUIRE(error_ratio(answer_by(in_pairs, p, mask), p.exact(mask, {}, 0x1p-16)) <= 1);
  }
}

TEMPLATE_LIST_TEST_CASE("of a pair, one key may be hidden and NaN", "", bfloat16_pairs) {
  for (const Index hidden : {6, 7}) {
    bfloat16_problem p({5, 12, 1, 1, 8, lanes});
    fill_row(p.k.view(), hidden, 0, quiet_nan<Eigen::bfloat16>());
    fill_row(p.v.view(), hidden, 0, quiet_nan<Eigen::bfloat16>());
    const auto mask = hr::mask([=](Index, Index, Index key) { return key != hidden; });
    const auto got = answer_by(in_tiles<pairs<TestType>::template block>({12}), p, mask);
    REQUIRE(error_ratio(got, exact_in_pairs(p, mask)) <= 1);
  }
  bfloat16_problem p({6, 7, 1, 1, 8, lanes});  // the last key has no partner
  fill_row(p.k.view(), 6, 0, quiet_nan<Eigen::bfloat16>());
  fill_row(p.v.view(), 6, 0, quiet_nan<Eigen::bfloat16>());
  const auto got = answer_by(in_tiles<pairs<TestType>::template block>({7}), p, hr::causal());
  for (Index d = 0; d < lanes; ++d) {
    CHECK(std::isfinite(got.out(4, 0, d)));
    CHECK(std::isnan(got.out(5, 0, d)));
  }
}
