// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: up to most_dot_rows rows over any source are attention, whatever order the keys are taken
// in: those that all rows see from several places at a time, those at the edges of a mask one by
// one.
#include <headroom/detail/dot_block.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/score_mod.hpp>

#include "support/block_call.hpp"
#include "support/catch.hpp"
#include "support/paged_source.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;
using hr::detail::most_dot_rows;

namespace {

// One block holds all rows; the keys come in two calls, cut at `cut`.
auto in_two_parts(Index cut) {
  return [cut](const auto& call, const auto& source) {
    using Call = std::remove_cvref_t<decltype(call)>;
    using Source = std::remove_cvref_t<decltype(source)>;
    for (Index g = 0; g < call.groups(); ++g) {
      hr::detail::scratch memory;
      const hr::detail::stacked_rows rows{g, call.heads_per_group, 0, call.rows_per_group()};
      const auto state = new_state(memory, rows.count, source.v_dim());
      hr::detail::dot_block<Call, Source> block(call, rows, state, source, memory);
      block.add_keys(0, std::min(cut, call.kv_len));
      block.add_keys(std::min(cut, call.kv_len), call.kv_len);
      call.write(rows, state);
    }
  };
}

}  // namespace

TEST_CASE("any number of rows and keys is attention") {
  for (Index rows = 1; rows <= most_dot_rows; ++rows)
    for (const Index kv_len : {0, 1, 31, 63, 64, 65, 127, 128, 129, 300}) {
      INFO(rows << " rows, " << kv_len << " keys");
      const problem p({1, kv_len, 2 * rows, 2, 33, 21});
      REQUIRE(error_ratio(answer_by(in_two_parts(100), p, hr::none()), p.exact()) <= 1);
      const problem several({rows, kv_len, 2, 2, 64, 64});
      REQUIRE(error_ratio(answer_by(in_two_parts(1000), several, hr::causal()),
                          several.exact(hr::causal())) <= 1);
    }
}

TEST_CASE("masks may cut the keys anywhere, and make holes") {
  const problem p({most_dot_rows, 300, 1, 1, 16, 8});
  const auto check = [&](const auto& mask) {
    REQUIRE(error_ratio(answer_by(in_two_parts(170), p, mask), p.exact(mask)) <= 1);
  };
  check(hr::causal() & hr::sliding_window(150));
  check(hr::key_length(140));
  check(hr::sliding_window(3) | hr::prefix(3));
  check(hr::prefix(0));
  check(hr::mask([](const hr::query_row&, Index key) { return key % 3 == 0; }));
}

TEST_CASE("softcap, bias and sinks come in their order") {
  const problem p({1, 200, 2, 1, 16, 8});
  const std::vector<float> sinks = {0, 1}, slopes = hr::alibi_slopes(2);
  if (most_dot_rows < 2) return;
  const auto mask = hr::causal() & hr::alibi(slopes) & hr::sliding_window(190);
  const hr::attention_options<float> options{.scale = 2.f, .softcap = 3, .sinks = sinks};
  REQUIRE(error_ratio(answer_by(in_two_parts(90), p, mask, options), p.exact(mask, options)) <= 1);
}

TEMPLATE_TEST_CASE("stored numbers are read as they are, from pages too", "", double, float,
                   Eigen::half, Eigen::bfloat16) {
  const problem<float, TestType> p({1, 150, 1, 1, 20, 12});
  const auto exact = exact_attention<float>(p.queries(), p.keys(), p.values());
  const auto answer_from = [&](const auto& source) {
    answer<float> result{{1, 1, 12}, {1, 1, 1}};
    hr::attention_options<float> options;
    options.lse = result.lse.per_head();
    in_two_parts(140)(hr::detail::checked_call({"test", 1, 1, 20, 12}, p.queries(),
                                               result.out.view(), 150, hr::none(), options),
                      source);
    return result;
  };
  REQUIRE(error_ratio(answer_from(hr::view_source<TestType, TestType>(p.keys(), p.values())),
                      exact) <= 1);
  for (const Index page : {1, 5, 16})
    REQUIRE(error_ratio(answer_from(paged_source<TestType>(p.keys(), p.values(), page)), exact) <=
            1);
}

TEST_CASE("hidden keys and values may be NaN; seen ones show") {
  problem p({1, 100, 1, 1, 16, 16});
  fill_row(p.k.view(), 99, 0, quiet_nan<float>());
  fill_row(p.v.view(), 99, 0, quiet_nan<float>());
  const auto without_last = hr::mask([](const hr::query_row&, Index key) { return key != 99; });
  const auto got = answer_by(in_two_parts(100), p, without_last);
  for (Index d = 0; d < 16; ++d) CHECK(!std::isnan(got.out(0, 0, d)));
  const auto seen = answer_by(in_two_parts(100), p, hr::none());
  for (Index d = 0; d < 16; ++d) CHECK(std::isnan(seen.out(0, 0, d)));
}
