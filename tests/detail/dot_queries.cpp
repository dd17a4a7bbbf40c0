// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: queries times their units are the call's, scaled and rounded; rows that pad a line are 0.
#include <headroom/detail/block.hpp>
#include <headroom/detail/dot_queries.hpp>
#include <headroom/detail/packet_bfloat16.hpp>

#include "support/catch.hpp"
#include "support/problem.hpp"

#include <vector>

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;
using hr::detail::lanes;

namespace {

// Holds each number to share times the largest of its row.
template <class Operand>
void check(Index rows, double share) {
  constexpr Index groups = 3, dim = 4 * lanes;
  const problem<float> p({1, 1, groups * rows, groups, dim, dim});
  answer<float> result{{1, groups * rows, dim}, {1, groups * rows, 1}};
  const auto call = hr::detail::checked_call({"test", groups * rows, groups, dim, dim}, p.queries(),
                                             result.out.view(), 1, hr::none(), {.scale = 0.37f});
  hr::detail::scratch memory;
  const auto shape = hr::detail::line_shape::of(2, rows);
  const hr::detail::dot_queries<Operand> queries(call, {1, rows, 0, rows}, shape, memory);
  for (Index g = 0; g < shape.groups; ++g) {
    std::vector<float> units(static_cast<std::size_t>(shape.keys * shape.rows), 1.f);
    for (float& unit : units) unit *= queries.unit();
    if constexpr (hr::detail::is_integer<Operand>)
      queries.multiply_by_units(g, units.data(), shape.keys);
    for (Index r = 0; r < shape.rows; ++r) {
      double largest = 0;
      for (Index d = 0; d < dim && r < rows; ++d)
        largest = std::max(largest, std::abs(0.37 * double(p.q(0, (1 + g) * rows + r, d))));
      for (Index key = 0; key < shape.keys; ++key)
        REQUIRE(units[static_cast<std::size_t>(key * shape.rows + r)] ==
                units[static_cast<std::size_t>(r)]);
      for (Index d = 0; d < dim; ++d) {
        const double got = double(units[static_cast<std::size_t>(r)]) *
                           double(queries.numbers()[(g * shape.rows + r) * dim + d]);
        const double want = r < rows ? 0.37 * double(p.q(0, (1 + g) * rows + r, d)) : 0;
        REQUIRE(std::abs(got - want) <= share * largest);
      }
    }
  }
}

}  // namespace

TEST_CASE("queries are scaled, rounded and padded") {
  constexpr double scaling = 2 * unit_roundoff<float>;
  for (Index rows = 1; rows <= std::min(lanes, 8); ++rows) {
    check<float>(rows, scaling);
    check<hr::detail::bfloat16_pair>(rows, scaling + bfloat16_roundoff);
    const double whole = scaling + operand_rounding::whole_numbers().query;
    check<hr::detail::widened_int16_pair>(rows, whole);
    check<hr::detail::int16_pair>(rows, whole);
  }
}
