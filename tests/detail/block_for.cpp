// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: the rows of a block are attended by the kernel that suits their number and scalar, with the
// same result.
#include <headroom/detail/block_for.hpp>

#include "support/block_call.hpp"
#include "support/catch.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

const auto by_rows = [](const auto& call, const auto& source) {
  for (Index g = 0; g < call.groups(); ++g) {
    hr::detail::scratch memory;
    const hr::detail::stacked_rows rows{g, call.heads_per_group, 0, call.rows_per_group()};
    const auto state = new_state(memory, rows.count, source.v_dim());
    hr::detail::attend_rows(call, rows, source, 0, call.kv_len, state);
    call.write(rows, state);
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
