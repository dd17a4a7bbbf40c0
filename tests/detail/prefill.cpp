// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: blocks of rows are computed each on its own and together write every row of out and lse
// once, wherever the last block ends and in whatever order they run.
#include <headroom/detail/prefill.hpp>

#include "support/catch.hpp"
#include "support/kernel_call.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

const auto prefill = [](const auto& call, const auto& source) {
  hr::detail::prefill(call, source, hr::serial());
};

const auto prefill_backwards = [](const auto& call, const auto& source) {
  hr::detail::prefill(call, source, [](Index count, const auto& work) {
    for (Index i = count; i-- > 0;) work(i);
  });
};

}  // namespace

TEST_CASE("any number of rows and keys is attention") {
  // Rows of a group around one and two blocks, keys around one and two tiles.
  const Index B = hr::detail::block_rows, T = hr::detail::tile_keys;
  for (const auto& [q_len, heads] : {std::pair<Index, Index>{1, 1},
                                     {B - 1, 1},
                                     {B, 1},
                                     {B + 1, 1},
                                     {B / 3 - 1, 3},
                                     {B / 3 + 1, 3},
                                     {2 * B / 3 + 1, 3}})
    for (const Index kv_len : {Index(0), Index(1), T - 1, T, T + 1, 2 * T + 1}) {
      INFO("q_len " << q_len << ", heads per group " << heads << ", kv_len " << kv_len);
      const problem p({q_len, kv_len, 2 * heads, 2, 9, 5});
      REQUIRE(error_ratio(answer_by(prefill, p, hr::causal()), p.exact(hr::causal())) <= 1);
    }
}

TEST_CASE("many keys are right without a split") {
  const problem p({3, 2049, 4, 2, 16, 8});
  REQUIRE(error_ratio(answer_by(prefill, p, hr::none()), p.exact()) <= 1);
}

TEST_CASE("a mask may show each block other keys, or none") {
  const problem p({150, 150, 2, 1, 8, 8});
  const auto window = hr::causal() & hr::sliding_window(10);
  REQUIRE(error_ratio(answer_by(prefill, p, window), p.exact(window)) <= 1);
  const auto streaming = hr::causal() & (hr::sliding_window(5) | hr::prefix(3));
  REQUIRE(error_ratio(answer_by(prefill, p, streaming), p.exact(streaming)) <= 1);
  const hr::attention_options<float> early{.first_position = -100};  // the first 100 see nothing
  REQUIRE(error_ratio(answer_by(prefill, p, hr::causal(), early), p.exact(hr::causal(), early)) <=
          1);
}

TEST_CASE("the order of the blocks does not change a bit") {
  const problem p({150, 150, 4, 2, 16, 8});
  CHECK(same_bits(answer_by(prefill_backwards, p, hr::causal()),
                  answer_by(prefill, p, hr::causal())));
}
