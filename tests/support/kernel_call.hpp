// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/attention.hpp>

#include "support/problem.hpp"

namespace headroom_tests {

/// Answers a problem by a kernel of detail/ of the test's choice, past the dispatch: it is called
/// as kernel(call, source).
template <class Mask, class Kernel, class Key, class Value>
answer<float> answer_by(const Kernel& kernel, const problem<float, Key, Value>& p, const Mask& mask,
                        headroom::attention_options<float> options = {}) {
  const auto q = p.queries();
  const auto v = p.values();
  answer<float> result{{q.tokens(), q.heads(), v.dim()}, {q.tokens(), q.heads(), 1}};
  options.lse = result.lse.per_head();
  const headroom::view_source<Key, Value> source(p.keys(), v);
  const auto call = headroom::detail::checked_call(
      {"test", q.heads(), source.groups(), source.qk_dim(), source.v_dim()}, q, result.out.view(),
      source.tokens(), mask, options);
  kernel(call, source);
  return result;
}

}  // namespace headroom_tests
