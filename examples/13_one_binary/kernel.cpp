// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Compiled with -DLEVEL=v3 -march=x86-64-v3 and so on. headroom names its namespace after the
// instruction set, and the build renames Eigen's likewise (-DEigen=Eigen_v3): the linker would
// otherwise keep one copy of an inline function for all three, of whichever instruction set.
#include <headroom/attention.hpp>

#include "kernel.hpp"

#define JOIN(a, b) a##b
#define NAME(a, b) JOIN(a, b)

void NAME(attend_, LEVEL)(const float* q, long q_len, const float* k, const float* v, long kv_len,
                          float* out) {
  using headroom::tokens_major;
  headroom::gqa<Q_heads, KV_groups, dim>()(
      tokens_major(q, q_len, Q_heads, dim), tokens_major(k, kv_len, KV_groups, dim),
      tokens_major(v, kv_len, KV_groups, dim), tokens_major(out, q_len, Q_heads, dim),
      headroom::causal());
}
