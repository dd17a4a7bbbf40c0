// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/paged_cache.hpp>

#include "support/poison.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <set>
#include <utility>
#include <vector>

// Sequences on pages, and vectors that say what they should hold.

namespace headroom_tests {

/// A number of token `token`, in [-4, 4), told from every other of the first thousands of tokens.
/// Keys are these; values are their negatives.
inline float number_of(Eigen::Index token, Eigen::Index group, Eigen::Index d) {
  constexpr std::uint32_t odd = 644'245'095;  // permutes the numbers of 20 bits
  const auto place = static_cast<std::uint32_t>(token * 64 + group * 16 + d);
  return static_cast<float>(place * odd % (1u << 20)) / (1u << 17) - 4;
}

/// A sequence, and the tokens that it should hold.
struct modelled_sequence {
  using Pool = headroom::page_pool<float>;

  headroom::paged_cache<float> sequence;
  std::vector<Eigen::Index> tokens;
};

/// Keys and values of these tokens.
struct token_rows {
  tensor<float> k, v;

  token_rows(const std::vector<Eigen::Index>& tokens, Eigen::Index groups, Eigen::Index qk_dim,
             Eigen::Index v_dim)
      : k(std::ssize(tokens), groups, qk_dim), v(std::ssize(tokens), groups, v_dim) {
    for (Eigen::Index t = 0; t < k.tokens(); ++t)
      for (Eigen::Index g = 0; g < groups; ++g) {
        const Eigen::Index token = tokens[static_cast<std::size_t>(t)];
        for (Eigen::Index d = 0; d < qk_dim; ++d) k(t, g, d) = number_of(token, g, d);
        for (Eigen::Index d = 0; d < v_dim; ++d) v(t, g, d) = -number_of(token, g, d);
      }
  }
  headroom::view<const float> keys() const { return k.view(); }
  headroom::view<const float> values() const { return v.view(); }
};

/// Tokens first, first + 1, ...
template <class Sequence>
void append(Sequence& sequence, Eigen::Index first, Eigen::Index count) {
  std::vector<Eigen::Index> tokens;
  for (Eigen::Index t = 0; t < count; ++t) tokens.push_back(first + t);
  const token_rows rows(tokens, sequence.groups(), sequence.qk_dim(), sequence.v_dim());
  sequence.append(rows.keys(), rows.values());
}

/// Whether a source's token `t` is the token `expected`, and its run as long as its page allows.
template <class Source>
bool holds_token(const Source& source, Eigen::Index t, Eigen::Index expected) {
  for (Eigen::Index g = 0; g < source.groups(); ++g) {
    const auto key = source.keys(g, t, source.tokens());
    const auto value = source.values(g, t, source.tokens());
    const Eigen::Index run =
        std::min(source.page_tokens() - t % source.page_tokens(), source.tokens() - t);
    if (key.tokens != run || value.tokens != run) return false;
    for (Eigen::Index d = 0; d < source.qk_dim(); ++d)
      if (key.rows[d] != number_of(expected, g, d)) return false;
    for (Eigen::Index d = 0; d < source.v_dim(); ++d)
      if (value.rows[d] != -number_of(expected, g, d)) return false;
  }
  return true;
}

inline bool holds(const modelled_sequence& s) {
  if (s.sequence.tokens() != std::ssize(s.tokens)) return false;
  for (Eigen::Index t = 0; t < s.sequence.tokens(); ++t)
    if (!holds_token(s.sequence, t, s.tokens[static_cast<std::size_t>(t)])) return false;
  return true;
}

/// Whether a pool counts what the tables of its sequences list.
inline bool counted(const headroom::page_stock& pool,
                    const std::vector<modelled_sequence>& sequences) {
  std::map<headroom::page_id, Eigen::Index> holders;
  for (const modelled_sequence& s : sequences) {
    const auto table = s.sequence.block_table();
    const std::set<headroom::page_id> pages(table.begin(), table.end());
    const Eigen::Index needed = (s.sequence.tokens() + pool.page_tokens() - 1) / pool.page_tokens();
    if (std::ssize(table) != needed || pages.size() != table.size()) return false;
    for (const headroom::page_id page : pages) {
      if (page < 0 || page >= pool.pages()) return false;
      ++holders[page];
    }
  }
  const auto shared = std::count_if(holders.begin(), holders.end(),
                                    [](const auto& entry) { return entry.second > 1; });
  return pool.pages_in_use() == std::ssize(holders) && pool.pages_shared() == shared &&
         pool.pages() == pool.pages_in_use() + pool.pages_free() &&
         pool.sequences() == std::ssize(sequences);
}

/// Pages that appending to one of a pool's sequences takes, by the rule rather than by the code.
inline Eigen::Index pages_taken(const headroom::page_stock& pool,
                                const std::vector<modelled_sequence>& sequences,
                                const modelled_sequence& s, Eigen::Index count) {
  const Eigen::Index size = pool.page_tokens(), before = s.sequence.tokens();
  Eigen::Index pages = (before + count + size - 1) / size - (before + size - 1) / size;
  if (count > 0 && before % size != 0) {
    const headroom::page_id last = s.sequence.block_table().back();
    Eigen::Index holders = 0;
    for (const modelled_sequence& other : sequences) {
      const auto table = other.sequence.block_table();
      holders += std::count(table.begin(), table.end(), last);
    }
    pages += holders > 1;
  }
  return pages;
}

}  // namespace headroom_tests
