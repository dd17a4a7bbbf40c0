// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: what does not fit the sizes is refused under the name of who was called; a call that fits
// has what was given, and the defaults of what was not. (What attention says of each argument is in
// misuse.cpp.)
#include <headroom/detail/checked_call.hpp>
#include <headroom/kv_source.hpp>

#include "support/catch.hpp"
#include "support/problem.hpp"

#include <limits>

namespace hr = headroom::detail;
using namespace headroom_tests;
using Eigen::Index;
using headroom::none;

namespace {

struct of_two_groups {
  static constexpr int fixed_groups = 2, fixed_qk_dim = 16, fixed_v_dim = 6;
};
struct of_three : of_two_groups {
  static constexpr int fixed_groups = 3;
};

const hr::call_sizes sizes{{"entry", 3}, 4, 2, 16, 6};

}  // namespace

TEST_CASE("a call has what was given, and defaults where nothing was") {
  const problem<> p({5, 40, 4, 2, 16, 6});
  tensor<float> out(5, 4, 6);
  const auto call = hr::checked_call(sizes, p.queries(), out.view(), Index(40), none(), {});
  CHECK(call.q.data() == p.queries().data());
  CHECK(call.out.data() == out.view().data());
  CHECK(call.kv_len == 40);
  CHECK(call.heads_per_group == 2);
  CHECK(call.first_position == 35);
  CHECK(call.scale == 0.25f);
  const headroom::attention_options<float> options{.scale = 3.f, .first_position = 7};
  const auto given = hr::call_of(sizes, p.queries(), out.view(), Index(40), none(), options);
  CHECK(given.first_position == 7);
  CHECK(given.scale == 3.f);
}

TEST_CASE("what does not fit is refused under the name of who was called") {
  const problem<> p({5, 40, 4, 2, 16, 7});
  tensor<float> out(5, 4, 6), wide(5, 4, 7);
  CHECK_THROWS_WITH(hr::check_arguments(sizes, p.queries(), wide.view(), {}),
                    "entry: sequence 3: out has width 7, expected v_dim = 6");
  const hr::call_sizes named{"entry", 4, 2, 16, 6, "nope + rope", "value"};
  CHECK_THROWS_WITH(hr::check_arguments(named, p.queries().slice_dim(0, 8), out.view(), {}),
                    "entry: q has width 8, expected nope + rope = 16");
  const hr::fixed_call_sizes<hr::known_sizes{}> of_any{{"entry", 4, 2, 16, 6}};
  CHECK_THROWS_WITH(hr::check_source(of_any, headroom::view_source(p.keys(), p.values())),
                    "entry: v has width 7, expected v_dim = 6");
  CHECK_THROWS_WITH(hr::path_of<float>(sizes, -1, headroom::view_source(p.keys(), p.values())),
                    "entry: sequence 3: path_for q_len = -1, expected at least 0");
}

TEST_CASE("a position is refused where a window added to it would overflow") {
  const Index most = headroom::sliding_window::unlimited;
  CHECK_NOTHROW(hr::check_position("entry", {}));
  CHECK_NOTHROW(hr::check_position("entry", most));
  CHECK_NOTHROW(hr::check_position("entry", -most));
  CHECK_THROWS_AS(hr::check_position("entry", most + 1), std::invalid_argument);
  CHECK_THROWS_AS(hr::check_position("entry", std::numeric_limits<Index>::min()),
                  std::invalid_argument);
}

TEST_CASE("a source of other sizes cannot fit where the compiler knows both") {
  using fixed = hr::fixed_call_sizes<hr::known_sizes{}, 2, 16, Eigen::Dynamic>;
  CHECK(fixed::may_fit<of_two_groups>);
  CHECK_FALSE(fixed::may_fit<of_three>);
  CHECK(fixed::may_fit<headroom::view_source<float, float>>);
}
