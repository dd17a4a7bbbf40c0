// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/batch.hpp>
#include <headroom/cascade.hpp>
#include <headroom/mask.hpp>

#include "support/catch.hpp"
#include "support/random.hpp"

#include <array>
#include <cstddef>
#include <vector>

// What sequences share, of keys and values as of latents: shapes, and the law of what comes out.

namespace headroom_tests {

/// Sequences {q_len, own tokens} over prefixes {tokens, begin, end}.
using own_lengths = std::vector<std::array<Eigen::Index, 2>>;
using shared_lengths = std::vector<std::array<Eigen::Index, 3>>;

inline const own_lengths mixed = {{1, 40}, {5, 5}, {1, 1700}, {30, 70}, {0, 3}, {1, 1}};

struct cascade_shape {
  own_lengths own;
  shared_lengths shared;
  std::vector<Eigen::Index> windows = {};  // of the sequences

  /// Up to 6 sequences and 3 prefixes, some of these `longest` tokens long.
  static cascade_shape any(random_source& random, Eigen::Index longest) {
    cascade_shape shape;
    for (Eigen::Index i = random.integer(1, 6); i > 0; --i) {
      const Eigen::Index q_len = random.chance(0.6) ? 1 : random.integer(0, 20);
      shape.own.push_back({q_len, q_len + random.integer(0, 60)});
    }
    for (Eigen::Index i = random.integer(0, 3); i > 0; --i)
      shape.share(random, random.chance(0.2) ? longest : random.integer(0, 130));
    return shape;
  }

  /// The same, shorter, and with windows that end within and before what is a sequence's own.
  static cascade_shape any_windowed(random_source& random) {
    cascade_shape shape;
    for (Eigen::Index i = random.integer(1, 5); i > 0; --i) {
      const Eigen::Index q_len = random.chance(0.5) ? 1 : random.integer(0, 20);
      shape.own.push_back({q_len, q_len + random.integer(0, 40)});
      shape.windows.push_back(random.integer(1, random.chance(0.5) ? 60 : 250));
    }
    for (Eigen::Index i = random.integer(1, 3); i > 0; --i)
      shape.share(random, random.integer(0, 90));
    return shape;
  }

 private:
  void share(random_source& random, Eigen::Index tokens) {
    const auto count = static_cast<Eigen::Index>(own.size());
    const Eigen::Index begin = random.integer(0, count);
    shared.push_back({tokens, begin, random.integer(begin, count)});
  }
};

template <class Prefix>
bool shares(std::size_t sequence, const Prefix& prefix) {
  const auto i = static_cast<Eigen::Index>(sequence);
  return prefix.begin() <= i && i < prefix.end();
}

/// Tokens that a sequence shares.
template <class Prefix>
Eigen::Index tokens_shared_by(std::size_t sequence, const std::vector<Prefix>& prefixes) {
  Eigen::Index tokens = 0;
  for (const Prefix& prefix : prefixes)
    if (shares(sequence, prefix)) tokens += prefix.source().tokens();
  return tokens;
}

/// A sequence over each cache; mask_of(i) is the mask of sequence i.
template <class Cache, class MaskOf>
auto masked_sequences(const std::vector<Cache>& caches, const MaskOf& mask_of) {
  std::vector<headroom::batch_sequence<Cache, decltype(mask_of(0))>> result;
  for (std::size_t i = 0; i < caches.size(); ++i) result.emplace_back(caches[i], mask_of(i));
  return result;
}

/// The masks of sequences under windows of their own, as mask_of; refers to these.
inline auto within(const std::vector<Eigen::Index>& windows) {
  return [&windows](std::size_t i) {
    return headroom::causal() & headroom::sliding_window(windows[i]);
  };
}

/// What is shared counts as if each sequence had a copy of it, at any number of levels.
///
/// \tparam Batch  made of own_lengths and shared_lengths; worst(cascade()) is the largest error of
///                the cascade, in bounds
template <class Batch>
void check_levels() {
  SECTION("one level") {
    const Batch batch(mixed, {{300, 0, 6}});
    CHECK(batch.worst(batch.cascade()) <= 1);
  }
  SECTION("a long prefix, which is split") {
    const Batch batch(mixed, {{2000, 0, 6}});
    CHECK(batch.worst(batch.cascade()) <= 1);
  }
  SECTION("a tree of prefixes, and a sequence without") {
    const Batch batch(mixed, {{200, 0, 5}, {90, 0, 2}, {33, 2, 4}, {1, 3, 4}});
    CHECK(batch.worst(batch.cascade()) <= 1);
  }
  SECTION("prefixes of nothing and of nobody") {
    const Batch batch(mixed, {{0, 0, 6}, {5, 2, 2}, {5, 4, 5}});
    CHECK(batch.worst(batch.cascade()) <= 1);
  }
  SECTION("no prefixes") {
    const Batch alone(mixed, {});
    CHECK(alone.worst(alone.cascade()) <= 1);
  }
}

}  // namespace headroom_tests
