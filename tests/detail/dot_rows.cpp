// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: rows are attention over the keys and values that they are passed, step after step, whatever
// memory holds these.
#include <headroom/detail/dot_rows.hpp>
#include <headroom/score_mod.hpp>

#include "support/block_call.hpp"
#include "support/catch.hpp"

#include <array>
#include <span>
#include <vector>

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

// Passes copies of keys and values, in steps of so many keys, each in memory of its own.
auto by_hand(Index step_keys) {
  return [=](const auto& call, const auto& source) {
    using Call = std::remove_cvref_t<decltype(call)>;
    using Source = std::remove_cvref_t<decltype(source)>;
    constexpr int most = hr::detail::most_dot_rows;
    for (Index g = 0; g < call.groups(); ++g) {
      hr::detail::scratch memory;
      const hr::detail::stacked_rows rows{g, call.heads_per_group, 0, call.rows_per_group()};
      const std::array states = {new_state(memory, rows.count, source.v_dim())};
      hr::detail::dot_rows<Call, Source, float, most> all(call, rows, std::span(states), source,
                                                          step_keys, memory);
      REQUIRE((all.group() == g && all.groups() == 1));
      std::vector<std::vector<float>> copies;
      const auto copied = [&](const auto& run, Index dim) {
        return copies.emplace_back(run.rows, run.rows + dim).data();
      };
      for (Index first = 0; first < call.kv_len; first += step_keys) {
        const hr::detail::key_step step{hr::detail::line_order::in_turn(first),
                                        std::min(step_keys, call.kv_len - first)};
        copies.clear();
        copies.reserve(static_cast<std::size_t>(2 * step.count));
        // Whole lines are read ahead of: rows that are not there are those before them.
        std::vector<const float*> keys, values;
        for (Index i = 0; i < step.count; ++i) {
          const Index at = first + i;
          keys.push_back(copied(source.keys(g, at, at + 1), source.qk_dim()));
          values.push_back(copied(source.values(g, at, at + 1), source.v_dim()));
        }
        const auto pass = [&](std::vector<const float*>& from, Index together, const auto& to) {
          from.resize(static_cast<std::size_t>((step.count + together - 1) / together * together),
                      from.back());
          for (Index i = 0; i < step.count; i += together) {
            const float* const* const stored = from.data() + i;
            to(stored, hr::detail::paged_read_ahead<float>{stored, 0, 0}, i,
               std::min(together, step.count - i));
          }
        };
        pass(keys, all.key_shape().keys, [&](auto... taken) { all.multiply_keys(taken...); });
        const bool hidden = all.weigh(step, false);
        pass(values, all.value_shape().keys,
             [&](auto stored, const auto& ahead, Index i, Index count) {
               all.add_values(stored, ahead, step, i, count, hidden);
             });
      }
      all.finish();
      call.write(rows, states[0]);
    }
  };
}

}  // namespace

TEST_CASE("rows over the keys that they are passed are attention") {
  for (Index rows = 1; rows <= hr::detail::most_dot_rows; ++rows)
    for (const Index kv_len : {1, 3, 64, 65, 200})
      for (const Index step_keys : {64, 128}) {
        INFO(rows << " rows, " << kv_len << " keys in steps of " << step_keys);
        const problem p({1, kv_len, 2 * rows, 2, 33, 21});
        REQUIRE(error_ratio(answer_by(by_hand(step_keys), p, hr::none()), p.exact()) <= 1);
        const auto window = hr::causal() & (hr::sliding_window(50) | hr::prefix(3));
        REQUIRE(error_ratio(answer_by(by_hand(step_keys), p, window), p.exact(window)) <= 1);
      }
}

TEST_CASE("a value that no row sees may be NaN") {
  problem p({1, 100, 2, 1, 16, 16});
  fill_row(p.k.view(), 70, 0, quiet_nan<float>());
  fill_row(p.v.view(), 70, 0, quiet_nan<float>());
  const auto without = hr::mask([](const hr::query_row&, Index key) { return key != 70; });
  if (hr::detail::most_dot_rows < 2) return;
  CHECK(error_ratio(answer_by(by_hand(64), p, without), p.exact(without)) <= 1);
  const auto seen = answer_by(by_hand(64), p, hr::none());
  CHECK(std::isnan(seen.out(0, 1, 5)));
}
