// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: the calls of a batch are those of its sequences, each over its own rows; what does not fit
// is named with its sequence.
#include <headroom/attention.hpp>
#include <headroom/detail/batch_calls.hpp>
#include <headroom/kv_cache.hpp>

#include "support/catch.hpp"
#include "support/problem.hpp"

#include <array>
#include <stdexcept>
#include <vector>

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

using Cache = hr::kv_cache<float>;
using sequence = hr::batch_sequence<Cache, hr::key_length>;

// Two sequences, of 2 and 3 queries.
struct batch {
  problem<> p{{5, 7, 4, 2, 8, 6}};
  Cache one{7, 2, 8, 6}, two{7, 2, 8, 6};
  std::vector<sequence> sequences;
  std::array<int, 3> offsets = {0, 2, 5};
  answer<float> result{{5, 4, 6}, {5, 4, 1}};

  batch() {
    one.append(p.keys(), p.values());
    two.append(p.keys().slice_tokens(0, 4), p.values().slice_tokens(0, 4));
    sequences.emplace_back(one, hr::key_length(6));
    sequences.emplace_back(two, hr::key_length(3), 1);
  }

  auto sizes() const { return hr::detail::sizes_of("who", any_attention(4, 2, 8, 6)); }
  void check(const hr::attention_options<float>& options = {}) {
    hr::detail::check_batch(sizes(), p.queries(), result.out.view(), offsets, sequences, options);
  }
};

}  // namespace

TEST_CASE("a call has the rows, the keys, the mask and the position of its sequence") {
  batch b;
  b.check();
  const auto call = [&](Index i) {
    return hr::detail::call_of_sequence(
        b.sizes(), i, b.p.queries(), b.result.out.view(), b.offsets, b.sequences,
        hr::attention_options<float>{.lse = b.result.lse.per_head()});
  };
  CHECK((call(0).q.tokens() == 2 && call(1).q.tokens() == 3));
  CHECK(call(1).q.data() == b.p.queries().row(2, 0));
  CHECK(call(1).out.data() == b.result.out.view().row(2, 0));
  CHECK(&call(1).lse(0, 0) == &b.result.lse(2, 0, 0));
  CHECK((call(0).kv_len == 7 && call(1).kv_len == 4));
  CHECK((call(0).mask.length == 6 && call(1).mask.length == 3));
  CHECK((call(0).first_position == 5 && call(1).first_position == 1));
}

TEST_CASE("what does not fit is named with its sequence") {
  batch b;
  CHECK_THROWS_WITH(b.check({.first_position = 0}), contains("who: options has a first_position"));
  b.sequences[1] = sequence(b.two, hr::key_length(5));
  CHECK_THROWS_AS(b.check(), std::invalid_argument);
  CHECK_THROWS_WITH(b.check(), contains("who: sequence 1: key_length: length = 5"));
  b.sequences[1] = sequence(b.two, hr::key_length(3), hr::sliding_window::unlimited + 1);
  CHECK_THROWS_WITH(b.check(), contains("who: sequence 1: first_position"));
  const Cache narrow(7, 2, 8, 5);
  b.sequences[1] = sequence(narrow, hr::key_length(0));
  CHECK_THROWS_WITH(b.check(), contains("who: sequence 1: v has width 5, expected v_dim = 6"));
  b.offsets = {0, 3, 4};
  CHECK_THROWS_WITH(b.check(), contains("who: offsets[2] = 4, expected tokens of q = 5"));
}
