// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

// One function, compiled three times. Nothing of Eigen or headroom crosses this border: each copy
// has its own.

constexpr int Q_heads = 32, KV_groups = 8, dim = 128;

/// Causal attention of q [q_len, Q_heads, dim] over k and v [kv_len, KV_groups, dim], all
/// row-major.
using attend_function = void(const float* q, long q_len, const float* k, const float* v,
                             long kv_len, float* out);

attend_function attend_v2, attend_v3, attend_v4;
