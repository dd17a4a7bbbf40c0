// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: up to most_dot_rows rows of any number of groups over any source are attention, whatever
// order the keys are taken in: those that all rows see from several places at a time, those at the
// edges of a mask one by one.
#include <headroom/detail/dot_block.hpp>
#include <headroom/int8_codec.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/score_mod.hpp>

#include "support/any_mask.hpp"
#include "support/block_call.hpp"
#include "support/catch.hpp"
#include "support/codec_laws.hpp"
#include "support/paged_source.hpp"
#include "support/pairs.hpp"

#include <algorithm>
#include <limits>

#include <vector>

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;
using hr::detail::most_dot_rows;

namespace {

// Hides one key.
auto without_key(Index hidden) {
  return hr::mask([=](const hr::query_row&, Index key) { return key != hidden; });
}

constexpr auto every_third = [](const hr::query_row&, Index key) { return key % 3 == 0; };

constexpr auto odd_for_one_head = [](const hr::query_row& row, Index key) {
  return row.head != 2 || key % 2 == 1;
};

// Where a head begins later than others, each group takes its keys alone.
struct later_heads : hr::none {
  hr::key_range keys(const hr::query_row& row) const {
    return {row.head < 2 ? 0 : 77, row.kv_len, true};
  }
  bool visible(const hr::query_row& row, Index key) const { return key >= keys(row).begin; }
};

// All masks that do not modify scores are one type, so that each kind of block is compiled once.
using window_or_prefix = hr::either_mask<hr::sliding_window, hr::prefix>;
using some_mask =
    any_mask<hr::none, hr::causal, hr::both_masks<hr::causal, hr::sliding_window>, window_or_prefix,
             hr::both_masks<hr::causal, window_or_prefix>, hr::prefix, hr::key_length,
             decltype(without_key(0)), decltype(hr::mask(every_third)),
             hr::both_masks<decltype(hr::mask(odd_for_one_head)), hr::causal>, later_heads>;

const some_mask everything{hr::none()}, causal{hr::causal()};

// Which groups of a block share lines.
enum class lines { of_all, of_one };

// A block holds all rows of `together` groups; the keys come in two calls, cut at `cut`.
template <class Operand = float>
auto in_two_parts(Index cut, Index together = 1, lines shared = lines::of_all) {
  return [=](const auto& call, const auto& source) {
    using Call = std::remove_cvref_t<decltype(call)>;
    using Source = std::remove_cvref_t<decltype(source)>;
    for (Index g = 0; g < call.groups(); g += together) {
      hr::detail::scratch memory;
      const hr::detail::stacked_rows rows{g, call.heads_per_group, 0, call.rows_per_group()};
      std::vector<hr::softmax_state<float>> states;
      for (Index i = g; i < std::min(g + together, call.groups()); ++i)
        states.push_back(new_state(memory, rows.count, source.v_dim()));
      const Index of_line = shared == lines::of_all ? static_cast<Index>(states.size()) : 1;
      hr::detail::dot_block<Call, Source, Operand> block(call, rows, states, source, of_line,
                                                         memory);
      block.add_keys(0, std::min(cut, call.kv_len));
      block.add_keys(std::min(cut, call.kv_len), call.kv_len);
      for (std::size_t i = 0; i < states.size(); ++i)
        call.write(rows.of_group(static_cast<Index>(i)), states[i]);
    }
  };
}

// A problem whose keys and values are held as whole numbers, and by so many groups together.
template <class Codec>
struct whole_problem {
  problem<float> p;
  hr::kv_cache<Codec> cache;

  whole_problem(const problem_size& size)
      : p(size), cache(size.kv_len, size.KV_groups, size.qk_dim, size.v_dim) {
    for (auto* numbers : {&p.k, &p.v})
      for (Index t = 0; t < size.kv_len; ++t)
        for (Index g = 0; g < size.KV_groups; ++g)
          for (Index d = 0; d < numbers->view().dim(); ++d) (*numbers)(t, g, d) *= 30;
    for (Index t = 0; t < size.q_len; ++t)
      for (Index h = 0; h < size.Q_heads; ++h)
        for (Index d = 0; d < size.qk_dim; ++d) p.q(t, h, d) /= 30;
    cache.append(p.keys(), p.values());
  }

  template <class Operand>
  answer<float> by_block(Index cut, Index together, const some_mask& mask) const {
    const auto q = p.queries();
    answer<float> result{{q.tokens(), q.heads(), cache.v_dim()}, {q.tokens(), q.heads(), 1}};
    hr::attention_options<float> options;
    options.lse = result.lse.per_head();
    in_two_parts<Operand>(cut, together)(
        hr::detail::checked_call({"test", q.heads(), cache.groups(), cache.qk_dim(), cache.v_dim()},
                                 q, result.out.view(), cache.tokens(), mask, options),
        cache);
    return result;
  }

  exact_answer exact(const some_mask& mask) const {
    const decoded_source numbers(cache);
    return exact_attention<float>(p.queries(), numbers.keys(), numbers.values(), mask, {}, 0,
                                  operand_rounding::whole_numbers());
  }
};

}  // namespace

TEST_CASE("any number of rows and keys is attention") {
  for (Index rows = 1; rows <= most_dot_rows; ++rows)
    for (const Index kv_len : {0, 1, 31, 63, 64, 65, 127, 128, 129, 300}) {
      INFO(rows << " rows, " << kv_len << " keys");
      const problem p({1, kv_len, 2 * rows, 2, 33, 21});
      REQUIRE(error_ratio(answer_by(in_two_parts(100), p, everything), p.exact(everything)) <= 1);
      const problem several({rows, kv_len, 2, 2, 64, 64});
      REQUIRE(error_ratio(answer_by(in_two_parts(1000), several, causal), several.exact(causal)) <=
              1);
    }
}

TEST_CASE("groups taken together are what each is alone") {
  for (const Index rows : {1, (most_dot_rows + 1) / 2, most_dot_rows})
    for (const Index groups : {2, 3, 7, 20})
      for (const Index kv_len : {1, 5, 64, 300}) {
        INFO(groups << " groups of " << rows << " rows, " << kv_len << " keys");
        const problem p({1, kv_len, groups * rows, groups, 33, 21});
        const auto exact = p.exact(causal);
        const auto alone = answer_by(in_two_parts(100), p, causal);
        REQUIRE(error_ratio(alone, exact) <= 1);
        for (const Index together : {groups, (groups + 1) / 2})
          REQUIRE(same_bits(answer_by(in_two_parts(100, together), p, causal), alone));
        const some_mask window(hr::causal() & (hr::sliding_window(90) | hr::prefix(2)));
        REQUIRE(error_ratio(answer_by(in_two_parts(70, groups), p, window), p.exact(window)) <= 1);
      }
}

TEST_CASE("a value that no row may see reaches none, of groups together too") {
  problem p({1, 100, 3, 3, 16, 16});
  fill_row(p.v.view(), 99, 1, quiet_nan<float>());
  const some_mask without_last(without_key(99));
  REQUIRE(error_ratio(answer_by(in_two_parts(40, 3), p, without_last), p.exact(without_last)) <= 1);
  const auto seen = answer_by(in_two_parts(40, 3), p, everything);
  CHECK((!std::isnan(seen.out(0, 0, 3)) && std::isnan(seen.out(0, 1, 3)) &&
         !std::isnan(seen.out(0, 2, 3))));
}

TEST_CASE("masks may cut the keys anywhere, and make holes") {
  const problem p({most_dot_rows, 300, 1, 1, 16, 8});
  const auto check = [&](const some_mask& mask) {
    REQUIRE(error_ratio(answer_by(in_two_parts(170), p, mask), p.exact(mask)) <= 1);
  };
  check(some_mask(hr::causal() & hr::sliding_window(150)));
  check(some_mask(hr::key_length(140)));
  check(some_mask(hr::sliding_window(3) | hr::prefix(3)));
  check(some_mask(hr::prefix(0)));
  check(some_mask(hr::mask(every_third)));
}

TEST_CASE("softcap, bias and sinks come in their order") {
  const problem p({1, 200, 2, 1, 16, 8});
  const std::vector<float> sinks = {0, 1}, slopes = hr::alibi_slopes(2);
  if (most_dot_rows < 2) return;
  const auto mask = hr::causal() & hr::alibi(slopes) & hr::sliding_window(190);
  const hr::attention_options<float> options{.scale = 2.f, .softcap = 3, .sinks = sinks};
  REQUIRE(error_ratio(answer_by(in_two_parts(90), p, mask, options), p.exact(mask, options)) <= 1);
}

namespace {

// One row over keys of width 20 and values of width 12.
template <class Stored>
answer<float> one_row(const problem<float, Stored>& p, const auto& source) {
  answer<float> result{{1, 1, 12}, {1, 1, 1}};
  hr::attention_options<float> options;
  options.lse = result.lse.per_head();
  in_two_parts(140)(hr::detail::checked_call({"test", 1, 1, 20, 12}, p.queries(), result.out.view(),
                                             150, everything, options),
                    source);
  return result;
}

}  // namespace

TEMPLATE_TEST_CASE("stored numbers are read as they are", "", double, float, Eigen::half,
                   Eigen::bfloat16) {
  const problem<float, TestType> p({1, 150, 1, 1, 20, 12});
  const auto exact = exact_attention<float>(p.queries(), p.keys(), p.values());
  const hr::view_source<TestType, TestType> source(p.keys(), p.values());
  REQUIRE(error_ratio(one_row(p, source), exact) <= 1);
}

// A scalar of 32 bits and one of 16: pages do not see more of what they hold.
TEMPLATE_TEST_CASE("stored numbers are read from pages too", "", float, Eigen::bfloat16) {
  const problem<float, TestType> p({1, 150, 1, 1, 20, 12});
  const auto exact = exact_attention<float>(p.queries(), p.keys(), p.values());
  for (const Index page : {1, 5, 16})
    REQUIRE(error_ratio(one_row(p, paged_source<TestType>(p.keys(), p.values(), page)), exact) <=
            1);
}

TEST_CASE("pages may end anywhere in a line") {
  const Index heads = 3 * std::min(2, most_dot_rows);
  const problem p({1, 150, heads, 3, 20, 12});
  for (const Index page : {1, 3, 16, 40}) {
    answer<float> result{{1, heads, 12}, {1, heads, 1}};
    hr::attention_options<float> options;
    options.lse = result.lse.per_head();
    in_two_parts(140, 3)(hr::detail::checked_call({"test", heads, 3, 20, 12}, p.queries(),
                                                  result.out.view(), 150, everything, options),
                         paged_source<float>(p.keys(), p.values(), page));
    REQUIRE(error_ratio(result, p.exact()) <= 1);
  }
}

TEMPLATE_TEST_CASE("groups that pages have in turn are what each is alone", "", float,
                   Eigen::bfloat16) {
  using hr::detail::page_keys;
  using Operand =
      std::conditional_t<std::is_same_v<TestType, float>, float, hr::detail::bfloat16_pair>;
  for (const Index rows : {1, std::min(2, most_dot_rows), most_dot_rows})
    for (const Index kv_len : {1, 40, 64, 65, 300, 800, 1700})
      for (const Index page : {page_keys / 2, page_keys, 2 * page_keys}) {
        INFO(rows << " rows, " << kv_len << " keys, pages of " << page);
        const problem<float, TestType> p({1, kv_len, 3 * rows, 3, 16, 32});
        const paged_source<TestType> pages(p.keys(), p.values(), page);
        const auto same = [&](const auto& mask, const hr::attention_options<float>& given = {}) {
          const auto by = [&](Index together) {
            answer<float> result{{1, 3 * rows, 32}, {1, 3 * rows, 1}};
            hr::attention_options<float> options = given;
            options.lse = result.lse.per_head();
            in_two_parts<Operand>(600, together, lines::of_one)(
                hr::detail::checked_call({"test", 3 * rows, 3, 16, 32}, p.queries(),
                                         result.out.view(), kv_len, mask, options),
                pages);
            return result;
          };
          const auto alone = by(1);
          REQUIRE(error_ratio(alone, p.exact(mask, given, bfloat16_roundoff)) <= 1);
          for (const Index together : {2, 3}) REQUIRE(same_bits(by(together), alone));
        };
        same(everything);
        same(some_mask(hr::causal() & (hr::sliding_window(250) | hr::prefix(20))));
        same(some_mask(hr::mask(odd_for_one_head) & hr::causal()));
        same(some_mask(later_heads()));
        const std::vector<float> slopes = hr::alibi_slopes(3 * rows);
        same(hr::causal() & hr::alibi(slopes), {.softcap = 5});
      }
}

TEST_CASE("hidden keys and values may be NaN; seen ones show") {
  problem p({1, 100, 1, 1, 16, 16});
  fill_row(p.k.view(), 99, 0, quiet_nan<float>());
  fill_row(p.v.view(), 99, 0, quiet_nan<float>());
  const some_mask without_last(without_key(99));
  const auto got = answer_by(in_two_parts(100), p, without_last);
  for (Index d = 0; d < 16; ++d) CHECK(!std::isnan(got.out(0, 0, d)));
  const auto seen = answer_by(in_two_parts(100), p, everything);
  for (Index d = 0; d < 16; ++d) CHECK(std::isnan(seen.out(0, 0, d)));
}

TEMPLATE_LIST_TEST_CASE("pairs of bfloat16 are attention, of groups together too", "",
                        bfloat16_pairs) {
  using number = Eigen::bfloat16;
  for (Index rows = 1; rows <= most_dot_rows; ++rows)
    for (const Index kv_len : {0, 1, 31, 63, 64, 65, 150, 300})
      for (const Index dim : {8, 33, 80}) {
        INFO(rows << " rows, " << kv_len << " keys, width " << dim);
        const problem<float, number> p({1, kv_len, 3 * rows, 3, dim, dim + 5});
        const auto alone = answer_by(in_two_parts<TestType>(100), p, everything);
        REQUIRE(error_ratio(alone, p.exact(everything, {}, bfloat16_roundoff)) <= 1);
        REQUIRE(same_bits(answer_by(in_two_parts<TestType>(100, 3), p, everything), alone));
      }
  const problem<float, number> p({most_dot_rows, 300, 2, 2, 16, 8});
  const some_mask mask(hr::causal() & (hr::sliding_window(70) | hr::prefix(3)));
  REQUIRE(error_ratio(answer_by(in_two_parts<TestType>(170, 2), p, mask),
                      p.exact(mask, {}, bfloat16_roundoff)) <= 1);
}

TEMPLATE_LIST_TEST_CASE("few weights in pairs have their residuals, more have not", "",
                        bfloat16_pairs) {
  constexpr Index few = hr::detail::most_keys_with_residuals;
  for (Index rows = 1; rows <= most_dot_rows; ++rows)
    for (const Index kv_len : {Index(1), Index(2), Index(33), few, few + 1}) {
      INFO(rows << " rows, " << kv_len << " keys");
      problem<float, Eigen::bfloat16> p({1, kv_len, 3 * rows, 3, 40, 21});
      round_to_bfloat16(p.q.view());
      const auto alone = answer_by(in_two_parts<TestType>(30), p, everything);
      CHECK((error_ratio(alone, p.exact(everything, {}, 0x1p-16)) <= 1) == (kv_len <= few));
      REQUIRE(same_bits(answer_by(in_two_parts<TestType>(30, 3), p, everything), alone));
    }
}

TEMPLATE_LIST_TEST_CASE("whole numbers are attention, of groups together too", "", int16_pairs) {
  constexpr Index whole = 2 * hr::detail::lanes;
  const auto check = [&]<class Codec>(const whole_problem<Codec>& p, const some_mask& mask) {
    const auto alone = p.template by_block<TestType>(100, 1, mask);
    REQUIRE(error_ratio(alone, p.exact(mask)) <= 1);
    REQUIRE(same_bits(p.template by_block<TestType>(100, 3, mask), alone));
  };
  for (Index rows = 1; rows <= most_dot_rows; ++rows)
    for (const Index kv_len : {0, 1, 31, 33, 64, 65, 150, 300}) {
      INFO(rows << " rows, " << kv_len << " keys");
      const problem_size size{1, kv_len, 3 * rows, 3, whole, 3 * hr::detail::lanes};
      check(whole_problem<hr::int8_rows>(size), everything);
      check(whole_problem<hr::saturating_int8>(size), everything);
    }
  const whole_problem<hr::int8_rows> p({most_dot_rows, 300, 2, 2, 2 * whole, whole});
  check(p, some_mask(hr::causal() & (hr::sliding_window(70) | hr::prefix(3))));
}

TEMPLATE_LIST_TEST_CASE("whole numbers: a token that is NaN shows where it is seen, and only there",
                        "", int16_pairs) {
  constexpr Index whole = 2 * hr::detail::lanes;
  for (const Index hidden : {0, 70, 79}) {
    whole_problem<hr::int8_rows> p({1, 80, most_dot_rows, 1, whole, whole});
    problem<float> poisoned = p.p;
    fill_row(poisoned.k.view(), hidden, 0, quiet_nan<float>());
    fill_row(poisoned.v.view(), hidden, 0, quiet_nan<float>());
    p.cache.truncate(0);
    p.cache.append(poisoned.keys(), poisoned.values());
    const some_mask without(without_key(hidden));
    REQUIRE(error_ratio(p.template by_block<TestType>(80, 1, without), p.exact(without)) <= 1);
    const auto seen = p.template by_block<TestType>(80, 1, everything);
    for (Index d = 0; d < whole; ++d) CHECK(std::isnan(seen.out(0, 0, d)));
  }
  // So does a query, of its own row.
  whole_problem<hr::int8_rows> p({1, 80, most_dot_rows, 1, whole, whole});
  p.p.q(0, most_dot_rows - 1, whole - 1) = quiet_nan<float>();
  const auto got = p.template by_block<TestType>(80, 1, everything);
  for (Index h = 0; h < most_dot_rows; ++h)
    CHECK(std::isnan(got.out(0, h, 0)) == (h == most_dot_rows - 1));
}

TEMPLATE_LIST_TEST_CASE("of a pair, one key may be hidden and NaN, or not be there", "",
                        bfloat16_pairs) {
  for (const Index hidden : {70, 72, 76, 79}) {
    problem<float, Eigen::bfloat16> p({1, 80, most_dot_rows, 1, 16, 48});
    fill_row(p.k.view(), hidden, 0, quiet_nan<Eigen::bfloat16>());
    fill_row(p.v.view(), hidden, 0, quiet_nan<Eigen::bfloat16>());
    const some_mask without(without_key(hidden));
    REQUIRE(error_ratio(answer_by(in_two_parts<TestType>(80), p, without),
                        p.exact(without, {}, bfloat16_roundoff)) <= 1);
    const auto seen = answer_by(in_two_parts<TestType>(80), p, everything);
    for (Index d = 0; d < 48; ++d) CHECK(std::isnan(seen.out(0, 0, d)));
  }
  problem<float, Eigen::bfloat16> several({1, 80, 3 * most_dot_rows, 3, 16, 16});
  fill_row(several.v.view(), 77, 1, quiet_nan<Eigen::bfloat16>());
  const some_mask without(without_key(77));
  REQUIRE(error_ratio(answer_by(in_two_parts<TestType>(80, 3), several, without),
                      several.exact(without, {}, bfloat16_roundoff)) <= 1);
  // An infinity stays one: nothing that is no number is multiplied by weight 0.
  for (const Index kv_len : {1, 3, 16, 67, 100}) {
    problem<float, Eigen::bfloat16> p({1, kv_len, most_dot_rows, 1, 16, 48});
    fill_row(p.v.view(), kv_len - 1, 0, Eigen::bfloat16(std::numeric_limits<float>::infinity()));
    const auto got = answer_by(in_two_parts<TestType>(80), p, everything);
    for (Index d = 0; d < 48; ++d) CHECK((std::isinf(got.out(0, 0, d)) && got.out(0, 0, d) > 0));
  }
}
