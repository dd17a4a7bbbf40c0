// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "workload.hpp"

// A sequence is [system prompt | prompt | what was written]. A step computes a piece of it.

namespace serve {

/// Tokens [begin, end) of a sequence.
struct piece {
  Index begin, end;
  bool apart;  ///< each attends on its own, as it did or would when it was written

  Index tokens() const { return end - begin; }
  friend bool operator==(const piece&, const piece&) = default;
};

/// How many tokens the first two parts of a sequence have.
struct prompt_parts {
  Index system, prompt;

  Index end() const { return system + prompt; }
};

/// The piece that follows the first `cached` of a sequence's `known` tokens, of at most `chunk`.
///
/// Where a prompt is cut follows from the prompt alone, and no piece is in two of the parts. So a
/// request's numbers are the same bits whether the system prompt was computed for it or found in
/// the pool, whatever else was in the batch, and after it was preempted: a chunk adds up in
/// another order than its tokens one by one, and rounds differently. For the same reason, what was
/// written one token at a time and is computed again, many at a time, stays apart.
inline piece next_piece(const prompt_parts& parts, Index chunk, Index cached, Index known) {
  if (cached >= parts.end()) return {cached, std::min(known, cached + chunk), true};
  const bool in_system = cached < parts.system;
  const Index first = in_system ? 0 : parts.system, end = in_system ? parts.system : parts.end();
  return {cached, std::min(end, first + ((cached - first) / chunk + 1) * chunk), false};
}

}  // namespace serve
