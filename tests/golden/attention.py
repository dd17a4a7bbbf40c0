# SPDX-FileCopyrightText: 2026 The headroom authors
# SPDX-License-Identifier: Apache-2.0
"""Writes attention.hpp: outputs and log-sum-exps of attention in float64, for tests/golden.cpp.

    python3 tests/golden/attention.py > tests/golden/attention.hpp

Written apart from the library, in PyTorch: keys and values are repeated for the heads of a group,
masks are tensors, a sink is one more column of the logits (as in the gpt-oss model code). Inputs are
a formula, so only answers are stored; they are multiples of 1/64 below 1, which every storage scalar
holds exactly.
"""
import math

import torch

Q_HEADS, KV_GROUPS, QK_DIM, V_DIM = 4, 2, 8, 5
INF = float("inf")


def numbers(seed, *shape):
    i = torch.arange(math.prod(shape), dtype=torch.int64)
    return (((31 * i * i + 17 * i + 1009 * seed + i // 127) % 127 - 63) / 64).double().reshape(shape)


def inputs(q_len, kv_len, groups=KV_GROUPS):
    """q [q_len, Q_HEADS, QK_DIM], k [kv_len, groups, QK_DIM], v [kv_len, groups, V_DIM]."""
    return (numbers(1, q_len, Q_HEADS, QK_DIM) * 4, numbers(2, kv_len, groups, QK_DIM),
            numbers(3, kv_len, groups, V_DIM))


def attention(q, k, v, allowed=None, bias=None, scale=None, softcap=0.0, sinks=None):
    """allowed and bias broadcast to [heads, q_len, kv_len]. Returns out and lse, tokens first."""
    heads_per_group = q.shape[1] // k.shape[1]
    q, k, v = (x.transpose(0, 1) for x in (q, k, v))
    k, v = (x.repeat_interleave(heads_per_group, dim=0) for x in (k, v))
    logits = q @ k.transpose(1, 2) * (scale if scale is not None else 1 / math.sqrt(q.shape[-1]))
    if softcap:
        logits = softcap * torch.tanh(logits / softcap)
    if bias is not None:
        logits = logits + bias
    if allowed is not None:
        logits = logits.masked_fill(~allowed.expand_as(logits), -INF)
    lse = torch.logsumexp(logits, dim=-1)
    if sinks is not None:
        column = sinks[:, None, None].expand(-1, logits.shape[1], 1)
        weights = torch.softmax(torch.cat([logits, column], dim=-1), dim=-1)[..., :-1]
    else:
        weights = torch.softmax(logits, dim=-1)
    weights = weights.nan_to_num(0)  # rows that see no key
    return (weights @ v).transpose(0, 1), lse.transpose(0, 1)


def distance(q_len, kv_len):
    """Position of query t, counted from the end of the keys, minus that of key j."""
    return torch.arange(q_len)[:, None] + kv_len - q_len - torch.arange(kv_len)[None, :]


def cases():
    q, k, v = inputs(6, 11)
    d, j = distance(6, 11), torch.arange(11)
    sinks = torch.tensor([-1.0, 0.0, 1.5, 3.0]).double()
    slopes = torch.tensor([2.0 ** (-8 * (h + 1) / Q_HEADS) for h in range(Q_HEADS)]).double()
    bias = numbers(4, Q_HEADS, 6, 11)
    bias = bias.masked_fill(bias > 0.75, -INF)

    yield "bidirectional", attention(q, k, v)
    yield "causal", attention(q, k, v, allowed=d >= 0)
    yield "decode", attention(q[-1:], k, v, allowed=(d >= 0)[-1:])
    yield "multi_query", attention(q, k[:, :1], v[:, :1], allowed=d >= 0)
    few = distance(6, 4) >= 0
    yield "more_queries_than_keys", attention(q, k[:4], v[:4], allowed=few)
    yield "window_of_3", attention(q, k, v, allowed=(d >= 0) & (d < 3))
    yield "symmetric_window_of_3", attention(q, k, v, allowed=d.abs() < 3)
    yield "prefix_of_8", attention(q, k, v, allowed=(d >= 0) | (j < 8))
    yield "window_of_3_and_first_2", attention(q, k, v, allowed=(d >= 0) & ((d < 3) | (j < 2)))
    yield "padded_to_7_keys", attention(q, k, v, allowed=j < 7)
    yield "softcap", attention(q, k, v, allowed=d >= 0, softcap=1.5, scale=1.25)
    yield "sinks", attention(q, k, v, allowed=d >= 0, sinks=sinks)
    yield "dense_bias", attention(q, k, v, bias=bias)
    yield "capped_then_biased", attention(q, k, v, bias=bias, softcap=0.5)
    yield "alibi", attention(q, k, v, allowed=d >= 0, bias=-slopes[:, None, None] * d.abs())
    q, k, v = inputs(2, 1500)
    d = distance(2, 1500)
    yield "long_decode", attention(q, k, v, allowed=d >= 0)
    yield "long_sinks", attention(q, k, v, allowed=(d >= 0) & (d < 1200), sinks=sinks, softcap=2.0)


def emit(name, values):
    print(f"inline constexpr double {name}[] = {{")
    texts = [repr(x).replace("inf", "inf_") for x in values.flatten().tolist()]
    for i in range(0, len(texts), 4):
        print("    " + ", ".join(texts[i:i + 4]) + ",")
    print("};\n")


print("""// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
// Written by attention.py, not by hand.
#pragma once

#include <limits>

// clang-format off
namespace golden::attention {

inline constexpr double inf_ = std::numeric_limits<double>::infinity();
""")
for name, (out, lse) in cases():
    emit(name + "_out", out)
    emit(name + "_lse", lse)
print("}  // namespace golden::attention")
