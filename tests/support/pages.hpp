// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/page_pool.hpp>
#include <headroom/paged_latents.hpp>

#include "support/random.hpp"

#include <cstddef>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

// What tests do to pools of pages behind their back.

namespace headroom_tests {

template <class Storage>
void poison_pages(const headroom::page_memory<Storage>& memory, Eigen::Index pages) {
  const auto bytes = static_cast<std::size_t>(pages * memory.page_stride) * sizeof(Storage);
  if (bytes > 0) std::memset(static_cast<void*>(const_cast<Storage*>(memory.data)), 0xff, bytes);
}

/// Fills every page with ones, a NaN in every scalar and in the scales of every codec.
template <class Stored, int groups, int qk_dim, int v_dim, class StoredValue>
void poison(headroom::page_pool<Stored, groups, qk_dim, v_dim, StoredValue>& pool) {
  poison_pages(pool.key_pages(), pool.pages());
  poison_pages(pool.value_pages(), pool.pages());
}
template <class Scalar, int rank, int rope>
void poison(headroom::latent_page_pool<Scalar, rank, rope>& pool) {
  poison_pages(pool.latent_pages(), pool.pages());
}

/// Leaves the free pages of a pool in random order. append(sequence) appends a token to one.
template <class Sequence, class Append>
void scramble(typename Sequence::Pool& pool, random_source& random, const Append& append) {
  std::vector<std::unique_ptr<Sequence>> holders;
  while (pool.pages_free() > 0) {
    holders.push_back(std::make_unique<Sequence>(pool, 1));
    append(*holders.back());
  }
  while (!holders.empty()) {
    const auto any =
        static_cast<std::size_t>(random.integer(0, static_cast<Eigen::Index>(holders.size()) - 1));
    std::swap(holders[any], holders.back());
    holders.pop_back();
  }
}

}  // namespace headroom_tests
