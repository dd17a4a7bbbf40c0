// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/scratch.hpp>

#include <array>
#include <bit>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>

namespace headroom::inline HEADROOM_ISA::detail {

/// An item of one of several plans.
struct planned_item {
  Index plan;
  Index item;
};

/// Every item of `plans`, the largest first: threads that take one after another then finish at
/// about the same time. Costs are compared to a factor of two, and equals stay in order, so that
/// one pass of counting sorts them and items that read the same memory stay together.
///
/// \tparam Plan  has items() and cost(item)
template <class Plan>
std::span<const planned_item> largest_first(std::span<const Plan> plans, scratch& memory) {
  constexpr std::size_t classes = 8 * sizeof(Index) + 1;
  const auto count = static_cast<Index>(plans.size());
  Index items = 0;
  for (const Plan& plan : plans) items += plan.items();

  auto* const class_of = memory.take<std::uint8_t>(items);  // 0 is the largest
  std::array<Index, classes> next{};                        // place of the next item of a class
  Index known = 0;
  for (const Plan& plan : plans)
    for (Index i = 0; i < plan.items(); ++i) {
      const auto cost = static_cast<std::make_unsigned_t<Index>>(plan.cost(i));
      class_of[known] = static_cast<std::uint8_t>(std::countl_zero(cost));
      ++next[class_of[known++]];
    }
  Index place = 0;
  for (Index& first : next) place += std::exchange(first, place);

  auto* const ordered = memory.take<planned_item>(items);
  known = 0;
  for (Index p = 0; p < count; ++p)
    for (Index i = 0; i < plans[static_cast<std::size_t>(p)].items(); ++i)
      ordered[next[class_of[known++]]++] = {p, i};
  return {ordered, static_cast<std::size_t>(items)};
}

}  // namespace headroom::inline HEADROOM_ISA::detail
