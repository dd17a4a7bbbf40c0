// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/attention_path.hpp>
#include <headroom/detail/block.hpp>
#include <headroom/detail/block_for.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/decode.hpp>
#include <headroom/detail/prefill.hpp>
#include <headroom/detail/row_units.hpp>

#include <algorithm>

// Which path a call takes. First match wins:
//
//   [1] nothing   no query row: nothing is written
//   [2] decode    few rows in a group, and more keys than one split: the keys are split
//   [3] prefill   everything else: blocks of rows walk the keys
//
// The choice depends on the sizes of this call alone, never on threads or on other calls.

namespace headroom::inline HEADROOM_ISA::detail {

enum class path { nothing, decode, prefill };

// Up to this many rows a group offers too few blocks to keep threads busy without a split.
inline constexpr Index most_decode_rows = 4 * block_rows;

inline path path_for(Index q_len, Index heads_per_group, Index kv_len) {
  if (q_len == 0) return path::nothing;  // [1]
  if (q_len * heads_per_group <= most_decode_rows && kv_len > split_keys(kv_len))
    return path::decode;  // [2]
  return path::prefill;   // [3]
}

/// What a user is told of it.
template <class Call, kv_source Source>
attention_path described_path(const Call& call, const Source& source) {
  const path taken = path_for(call.q.tokens(), call.heads_per_group, call.kv_len);
  if (taken == path::nothing) return {attention_kernel::none, 0, 0};
  const Index rows = std::min(call.rows_per_group(), block_rows);
  const Index keys = taken == path::decode ? split_keys(call.kv_len) : call.kv_len;
  const Index splits = taken == path::decode ? parts(call.kv_len, keys) : 1;
  return {kernel_for<typename Call::Scalar>(rows, source), splits,
          row_units(call, source, items_of_threads / splits).count() * splits,
          decodes_rows<typename Call::Scalar, Source>(rows)};
}

template <class Call, kv_source Source, class Executor>
void dispatch(const Call& call, const Source& source, const Executor& executor) {
  switch (path_for(call.q.tokens(), call.heads_per_group, call.kv_len)) {
    case path::nothing:
      return;
    case path::decode:
      return decode(call, source, executor);
    case path::prefill:
      return prefill(call, source, executor);
  }
}

}  // namespace headroom::inline HEADROOM_ISA::detail
