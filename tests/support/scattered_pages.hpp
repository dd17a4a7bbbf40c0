// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/paged_view.hpp>

#include "support/random.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <numeric>
#include <utility>
#include <vector>

namespace headroom_tests {

/// Keys and values of one sequence on pages as another allocator might lay them: some pages of
/// more, in random order, under a table that goes on with numbers of no page. Whatever is not a
/// token's is ones, a NaN in every scalar and in the scales of every codec.
template <class Stored, class StoredValue = Stored>
class scattered_pages {
 public:
  using View = headroom::paged_view<Stored, StoredValue>;
  using Index = Eigen::Index;

  scattered_pages(headroom::view<const float> k, headroom::view<const float> v, Index page_tokens,
                  random_source& random) {
    const Index needed = (k.tokens() + page_tokens - 1) / page_tokens;
    sizes_ = {.pages = needed + random.integer(0, 5),
              .page_tokens = page_tokens,
              .KV_groups = k.heads(),
              .qk_dim = k.dim(),
              .v_dim = v.dim()};
    tokens_ = k.tokens();
    table_.resize(static_cast<std::size_t>(sizes_.pages));
    std::iota(table_.begin(), table_.end(), headroom::page_id(0));
    for (std::size_t i = table_.size(); i > 1; --i)
      std::swap(table_[i - 1],
                table_[static_cast<std::size_t>(random.integer(0, static_cast<Index>(i) - 1))]);
    table_.resize(static_cast<std::size_t>(needed));
    for (const headroom::page_id none : {-1, 1 << 30}) table_.push_back(none);
    heads_major_ = random.chance(0.5);
    write<typename View::KeyCodec>(k, keys_);
    write<typename View::ValueCodec>(v, values_);
  }

  /// Valid while the pages live, where they are.
  View view() const {
    return View(memory<typename View::KeyCodec>(keys_, sizes_.qk_dim),
                memory<typename View::ValueCodec>(values_, sizes_.v_dim), sizes_, table_, tokens_);
  }

 private:
  template <class Codec>
  using rows = std::vector<typename Codec::Storage>;

  template <class Codec>
  headroom::page_memory<typename Codec::Storage> memory(const rows<Codec>& stored,
                                                        Index dim) const {
    const Index size = Codec::storage_size(dim);
    return heads_major_ ? headroom::heads_major_pages(stored.data(), sizes_.KV_groups,
                                                      sizes_.page_tokens, size)
                        : headroom::tokens_major_pages(stored.data(), sizes_.KV_groups,
                                                       sizes_.page_tokens, size);
  }

  template <class Codec>
  void write(headroom::view<const float> numbers, rows<Codec>& stored) {
    stored.resize(static_cast<std::size_t>(sizes_.pages * sizes_.page_tokens * numbers.heads() *
                                           Codec::storage_size(numbers.dim())));
    std::memset(static_cast<void*>(stored.data()), 0xff,
                stored.size() * sizeof(typename Codec::Storage));
    const auto pages = memory<Codec>(stored, numbers.dim());
    for (Index t = 0; t < numbers.tokens(); ++t)
      for (Index g = 0; g < numbers.heads(); ++g) {
        const headroom::page_id page = table_[static_cast<std::size_t>(t / sizes_.page_tokens)];
        const auto* const row = pages.row(page, g, t % sizes_.page_tokens);
        Codec::encode(numbers.row(t, g), stored.data() + (row - stored.data()), numbers.dim());
      }
  }

  headroom::page_sizes sizes_;
  Index tokens_;
  bool heads_major_;
  std::vector<headroom::page_id> table_;
  rows<typename View::KeyCodec> keys_;
  rows<typename View::ValueCodec> values_;
};

}  // namespace headroom_tests
