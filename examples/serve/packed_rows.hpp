// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "piece.hpp"

namespace serve {

/// A piece of a sequence among the rows of a step.
struct run {
  Index sequence;
  piece tokens;
};

/// The tokens that are computed together, piece after piece: a row each.
struct packed_rows {
  std::vector<Index> ids;
  std::vector<Index> positions;  ///< of each in its sequence
  std::vector<run> runs;

  Index size() const { return static_cast<Index>(ids.size()); }

  /// Adds a piece; `known` are the tokens of its sequence from the first on.
  void add(Index sequence, const piece& p, const std::vector<Index>& known) {
    runs.push_back({sequence, p});
    for (Index t = p.begin; t < p.end; ++t) {
      ids.push_back(known[static_cast<std::size_t>(t)]);
      positions.push_back(t);
    }
  }

  /// f(sequence, queries, keys) for all that attend, each as a sequence of a batch: the next
  /// `queries` rows to the first `keys` tokens of their sequence.
  template <class F>
  void for_each_query(const F& f) const {
    for (const run& r : runs) {
      if (r.tokens.apart)
        for (Index t = r.tokens.begin; t < r.tokens.end; ++t) f(r.sequence, Index(1), t + 1);
      else
        f(r.sequence, r.tokens.tokens(), r.tokens.end);
    }
  }
};

}  // namespace serve
