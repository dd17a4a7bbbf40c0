// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: several calls run as one list of items write what each would write alone, in whatever order
// the items run.
#include <headroom/detail/call_batch.hpp>

#include "support/catch.hpp"
#include "support/kernel_call.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

TEST_CASE("a batch of no calls has no items") {
  using call = hr::detail::attention_call<float, float, hr::none>;
  hr::detail::scratch memory;
  hr::detail::call_batch<call, hr::view_source<float, float>> batch(0, memory);
  batch.order();
  CHECK(batch.items() == 0);
}

TEST_CASE("calls together write what each writes alone") {
  // A decode step that is split, a prefill of several blocks, and no query at all.
  const hr::causal mask;
  for (const problem_size& size : {problem_size{1, 2500, 4, 2, 16, 8},
                                   {500, 500, 4, 2, 16, 8},
                                   {0, 7, 4, 2, 16, 8},
                                   {3, 0, 4, 2, 16, 8}}) {
    const problem<> p(size), other({2, 1700, 4, 2, 16, 8}, 2);
    const auto together = [&](const auto& first, const auto& source) {
      answer_by(
          [&](const auto& second, const auto& other_source) {
            hr::detail::scratch memory;
            hr::detail::call_batch<hr::detail::attention_call<float, float, hr::causal>,
                                   hr::view_source<float, float>>
                batch(2, memory);
            batch.add(first, source);
            batch.add(second, other_source);
            batch.order();
            for (Index i = batch.items(); i-- > 0;) batch.run(i);
          },
          other, mask);
    };
    CHECK(same_bits(answer_by(together, p, mask), attend(p, mask)));
  }
}
