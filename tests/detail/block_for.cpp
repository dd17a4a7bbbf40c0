// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: the rows of a block are attended by the kernel that suits their number and scalar, with the
// same result.
#include <headroom/detail/block_for.hpp>

#include "support/block_call.hpp"
#include "support/catch.hpp"
#include "support/paged_source.hpp"

#include <array>
#include <span>

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

const auto by_rows = [](const auto& call, const auto& source) {
  for (Index g = 0; g < call.groups(); ++g) {
    hr::detail::scratch memory;
    const hr::detail::stacked_rows rows{g, call.heads_per_group, 0, call.rows_per_group()};
    const std::array states = {new_state(memory, rows.count, source.v_dim())};
    hr::detail::attend_rows(call, rows, source, 0, call.kv_len, std::span(states));
    call.write(rows, states[0]);
  }
};

}  // namespace

TEST_CASE("each side of the switch-over is attention") {
  const Index most = hr::detail::most_dot_rows;
  for (const Index q_len : {Index(1), most, most + 1, 3 * most}) {
    INFO("q_len " << q_len);
    const problem p({q_len, 200, 2, 2, 19, 9});
    REQUIRE(error_ratio(answer_by(by_rows, p, hr::causal()), p.exact(hr::causal())) <= 1);
  }
}

TEST_CASE("a state that held something starts anew") {
  const problem p({5, 60, 1, 1, 8, 8});
  const auto twice = [](const auto& call, const auto& source) {
    by_rows(call, source);
    by_rows(call, source);
  };
  CHECK(same_bits(answer_by(twice, p, hr::none()), answer_by(by_rows, p, hr::none())));
}

TEST_CASE("double goes by Eigen's products") {
  CHECK(!hr::detail::has_kernels<double>);
}

TEST_CASE("groups are taken together where their keys lie side by side and their rows are few") {
  const auto together = [](const problem<float>& p, bool heads_first) {
    Index groups = 0;
    answer_by(
        [&](const auto& call, const auto& source) {
          if (!heads_first) {
            groups = hr::detail::groups_together(call, source);
            return;
          }
          // The same keys, each group's in one piece.
          const Index tokens = source.tokens(), dim = source.qk_dim();
          const hr::view<const float> k(p.k.view().data(), tokens, source.groups(), dim, dim,
                                        tokens * dim);
          groups = hr::detail::groups_together(call, hr::view_source<float, float>(k, k));
        },
        p, hr::none());
    return groups;
  };
  const Index few = hr::detail::most_dot_rows, more = few + 1;
  // Products of Eigen's take one group.
  if (few < 2 || !hr::detail::has_kernels<float>) return;
  CHECK(together(problem({few, 50, 4, 4, 8, 8}), false) == 4);
  CHECK(together(problem({few, 50, 4, 4, 8, 8}), true) == 1);
  CHECK(together(problem({more, 50, 4, 4, 8, 8}), false) == 1);
  CHECK(together(problem({few, 1, 4, 4, 8, 8}), false) == 1);
  CHECK(together(problem({few, 50, 1, 1, 8, 8}), false) == 1);
  const auto in_pages = [&](Index page_tokens, Index rows, Index parts) {
    const problem<float> p({rows, 50, 4, 4, 8, 8});
    const paged_source<float> pages(p.keys(), p.values(), page_tokens);
    Index groups = 0;
    answer_by([&](const auto& call,
                  const auto&) { groups = hr::detail::groups_together(call, pages, parts); },
              p, hr::none());
    return groups;
  };
  constexpr Index page = hr::detail::page_keys;
  CHECK((in_pages(page, 1, 1) == 4 && in_pages(page, few, 1) == 4 && in_pages(page, few, 2) == 2));
  CHECK((in_pages(page, more, 1) == 1 && in_pages(2 * page, few, 1) == 1));
  const Index wide = hr::detail::most_bytes_of_rows / (few * 3 * Index(sizeof(float)));
  CHECK(together(problem({few, 50, 8, 8, wide / 2, wide / 2}), false) == 3);
}
