// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/checked_call.hpp>
#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/nesting.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/mask.hpp>
#include <headroom/rope.hpp>

#include <cstddef>
#include <iterator>
#include <optional>
#include <span>

namespace headroom::inline HEADROOM_ISA {

/// One sequence of a batch: how many of the batch's tokens are its own, where they go, and where
/// they stand.
template <class Cache>
struct layer_sequence {
  Index tokens;  ///< new tokens, 0 or more
  Cache* cache;  ///< of this sequence alone
  std::optional<token_positions> positions =
      std::nullopt;  ///< cache->tokens() onwards if not given; refer to a list, if it is one
};

namespace detail {

inline void check_token_positions(const std::optional<token_positions>& positions, Index tokens) {
  require(!positions || positions->fit(tokens),
          "layer: ", positions ? std::ssize(positions->ids()) : 0,
          " positions were given, expected one for each of ", tokens, " tokens");
}

template <class Cache>
void check_sequences(std::span<const layer_sequence<Cache>> sequences, Index tokens) {
  Index total = 0;
  for (const auto& sequence : sequences) {
    require(sequence.tokens >= 0 && sequence.cache != nullptr, "layer: a sequence has ",
            sequence.tokens, " tokens or no cache, expected at least 0 tokens and a cache");
    require(sequence.tokens <= tokens - total, "layer: sequences have more than ", tokens,
            " tokens, expected as many as x");
    check_token_positions(sequence.positions, sequence.tokens);
    total += sequence.tokens;
  }
  require(total == tokens, "layer: sequences have ", total, " tokens, expected ", tokens, " as x");
  for (std::size_t i = 0; i < sequences.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      require(sequences[i].cache != sequences[j].cache, "layer: sequences ", j, " and ", i,
              " share a cache, expected one for each");
}

// The mask of a sequence, which is one for all or that of a function.
template <class Mask>
decltype(auto) mask_of(const Mask& mask, Index sequence) {
  if constexpr (attention_mask<Mask>)
    return (mask);
  else
    return mask(sequence);
}

// What would be refused once tokens are there, before any are: a ring cannot take them back
// without a trace.
template <class Cache, class Mask>
void check_appended(std::span<const layer_sequence<Cache>> sequences, const Mask& mask,
                    Index Q_heads) {
  for (Index i = 0; i < std::ssize(sequences); ++i) {
    const auto& [tokens, cache, positions] = sequences[static_cast<std::size_t>(i)];
    if constexpr (checks_room<Cache>) cache->check_room(tokens);
    const mask_shape shape{Q_heads, tokens, cache->tokens() + tokens};
    if (sequences.size() > 1)
      check_mask({"layer", i}, mask_of(mask, i), shape);
    else
      mask_of(mask, i).check(shape);
  }
}

// Takes back what a call appended to its caches, unless the call ran to its end. So a cache's
// truncate must not throw where it only takes back tokens of the last append.
template <class Cache>
class append_guard {
 public:
  append_guard(std::span<const layer_sequence<Cache>> sequences, scratch& memory)
      : sequences_(sequences), sizes_(memory.take<Index>(std::ssize(sequences))) {
    for (std::size_t i = 0; i < sequences_.size(); ++i) sizes_[i] = sequences_[i].cache->tokens();
  }
  append_guard(const append_guard&) = delete;
  append_guard& operator=(const append_guard&) = delete;
  ~append_guard() {
    for (std::size_t i = 0; i < sequences_.size(); ++i) sequences_[i].cache->truncate(sizes_[i]);
  }
  void keep() { sequences_ = {}; }

 private:
  std::span<const layer_sequence<Cache>> sequences_;
  Index* sizes_;
};

}  // namespace detail

}  // namespace headroom::inline HEADROOM_ISA
