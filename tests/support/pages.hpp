// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/page_pool.hpp>
#include <headroom/paged_latents.hpp>

#include "support/random.hpp"

#include <cstddef>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

// What tests do to pools of pages behind their back.

namespace headroom_tests {

template <class Storage>
void poison_rows(const headroom::page_memory<Storage>& memory, const headroom::page_stock& pool,
                 Eigen::Index groups, Eigen::Index row_size) {
  for (Eigen::Index p = 0; p < pool.pages(); ++p)
    for (Eigen::Index g = 0; g < groups; ++g)
      for (Eigen::Index s = 0; s < pool.page_tokens(); ++s) {
        const Storage* const row = memory.row(static_cast<headroom::page_id>(p), g, s);
        std::memset(static_cast<void*>(const_cast<Storage*>(row)), 0xff,
                    static_cast<std::size_t>(row_size) * sizeof(Storage));
      }
}

/// Fills every page with ones, a NaN in every scalar and in the scales of every codec.
template <class Stored, int groups, int qk_dim, int v_dim, class StoredValue>
void poison(headroom::page_pool<Stored, groups, qk_dim, v_dim, StoredValue>& pool) {
  using Pool = std::remove_reference_t<decltype(pool)>;
  poison_rows(pool.key_pages(), pool, pool.groups(), Pool::KeyCodec::storage_size(pool.qk_dim()));
  poison_rows(pool.value_pages(), pool, pool.groups(),
              Pool::ValueCodec::storage_size(pool.v_dim()));
}
template <class Stored, int rank, int rope, class StoredRope>
void poison(headroom::latent_page_pool<Stored, rank, rope, StoredRope>& pool) {
  using Pool = std::remove_reference_t<decltype(pool)>;
  poison_rows(pool.latent_pages(), pool, 1,
              Pool::KeyCodec::storage_size(pool.rank() + pool.rope_width()));
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
