// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: each score is what the mask makes of it, or minus infinity where the row does not see the
// key, however many keys there are and wherever their scores lie. A mask is asked, and modifies,
// only what it must.
#include <headroom/detail/mask_scores.hpp>
#include <headroom/score_mod.hpp>

#include <limits>
#include <vector>

#include "support/catch.hpp"

namespace hr = headroom;
using Eigen::Index;
using hr::detail::key_run;
using hr::detail::mask_scores;

namespace {

constexpr Index kv_len = 500;
constexpr hr::query_row row{1, 2, 300, kv_len};

// Every third number is a score, 0, 1, 2 and so on.
constexpr Index distance = 3;

template <class Scalar>
std::vector<Scalar> numbers() {
  std::vector<Scalar> result;
  for (Index i = 0; i < distance * kv_len; ++i)
    result.push_back(i % distance == 0 ? static_cast<Scalar>(i / distance) : Scalar(-7));
  return result;
}

template <class Scalar, class Mask>
void check(const Mask& mask, const key_run& keys, Scalar unit) {
  const hr::key_range range = mask.keys(row);
  bool sees_all = true, sees_unasked = true;
  for (Index k = 0; k < keys.count; ++k) {
    sees_all &= hr::sees(mask, row, keys(k));
    sees_unasked &= range.holds(keys(k)) && range.shows(keys(k));
  }
  std::vector<Scalar> scores = numbers<Scalar>();
  const auto before = scores;
  const auto at = [&](Index k) -> Scalar& {
    return scores[static_cast<std::size_t>(distance * k)];
  };
  CHECK(mask_scores(mask, row, range, keys, sees_unasked, unit, at) == !sees_all);
  for (Index i = 0; i < distance * kv_len; ++i) {
    const Index k = i / distance;
    const Scalar old = before[static_cast<std::size_t>(i)];
    Scalar expected = old;
    if (i % distance == 0 && k < keys.count) {
      if (!hr::sees(mask, row, keys(k)))
        expected = -std::numeric_limits<Scalar>::infinity();
      else if (Mask::modifies_scores)
        expected = mask.modify(unit * old, row, keys(k));
    }
    REQUIRE(scores[static_cast<std::size_t>(i)] == expected);
  }
}

template <class Scalar, class Mask>
void check_runs(const Mask& mask, Scalar unit) {
  for (const Index count : {0, 1, 63, 64, 65, 200, 490}) check<Scalar>(mask, {5, 1, count}, unit);
  check<Scalar>(mask, {3, 4, 120}, unit);
  check<Scalar>(mask, {kv_len - 1, 1, 1}, unit);
}

}  // namespace

TEMPLATE_TEST_CASE("scores are hidden, or modified, one by one", "", float, double) {
  const auto even = hr::mask([](Index, Index, Index key) { return key % 2 == 0; });
  const auto far = hr::score_mod([](auto score, const hr::query_row& query, Index key) {
    return score - decltype(score)(query.position - key) / 8;
  });
  check_runs<TestType>(hr::none(), 1);
  check_runs<TestType>(hr::causal(), 1);
  check_runs<TestType>(hr::causal() & (hr::sliding_window(50) | hr::prefix(7)), 1);
  check_runs<TestType>(even | hr::prefix(80), 1);
  check_runs<TestType>(far, TestType(0.5));
  check_runs<TestType>(hr::causal() & even & far, TestType(0.5));
}

TEST_CASE("a mask is not asked about what it shows, hides or does not hold") {
  std::vector<Index> asked, modified;
  const auto mask = hr::mask([&](Index, Index, Index key) {
                      asked.push_back(key);
                      return key != 42;
                    }) &
                    hr::score_mod([&](float score, Index, Index, Index key) {
                      modified.push_back(key);
                      return score;
                    });
  std::vector<float> scores(10, 1.f);
  const auto at = [&](Index k) -> float& { return scores[static_cast<std::size_t>(k)]; };
  CHECK(mask_scores(mask, row, {40, 45, false, 43, 44}, {38, 1, 10}, false, 1.f, at));
  CHECK(asked == std::vector<Index>{40, 41, 42, 44});
  CHECK(modified == std::vector<Index>{40, 41, 43, 44});
}
