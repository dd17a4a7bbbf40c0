// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/inputs.hpp"

#include <cstddef>
#include <utility>
#include <vector>

namespace headroom_bench {

/// Leaves the free pages of a pool in random order: each is held alone, then given back.
///
/// \param first_width, second_width  of the rows that a token of a Cache is appended as
template <class Cache>
void scramble(typename Cache::Pool& pool, Index first_width, Index second_width) {
  const matrix first = matrix::Zero(1, first_width), second = matrix::Zero(1, second_width);
  std::vector<Cache> holders;
  while (pool.pages_free() > 0) holders.emplace_back(pool, 1).append(first, second);
  numbers random;
  while (!holders.empty()) {
    const auto any = static_cast<std::size_t>((random() + 1) / 2 * float(holders.size()));
    std::swap(holders[any], holders.back());
    holders.pop_back();
  }
}

}  // namespace headroom_bench
