# SPDX-FileCopyrightText: 2026 The headroom authors
# SPDX-License-Identifier: Apache-2.0
"""The decoder of Llama and of DeepSeek-V2 in plain PyTorch, and the files it is kept in.

Module and tensor names are Hugging Face's. Every model takes a config.json as a dict.
"""

import json
import math
import struct

import torch
from torch import nn
from torch.nn import functional as F


# --- The model ------------------------------------------------------------------------------------


class RMSNorm(nn.Module):
    def __init__(self, width, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight


def rope_frequencies(dim, theta):
    """theta^(-2i/dim), in radians per position."""
    return theta ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)


def rope_tables(positions, frequencies):
    """cos and sin of position * frequency, each [positions, dim/2]."""
    angles = torch.arange(positions, dtype=torch.float64)[:, None] * frequencies
    return angles.cos().float(), angles.sin().float()


def rotate_half_pairs(x, cos, sin):
    """Llama's pairing: element i turns with element i + dim/2. x: [..., tokens, dim]."""
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


def rotate_interleaved_pairs(x, cos, sin):
    """DeepSeek's pairing: element 2i turns with element 2i + 1. x: [..., tokens, dim]."""
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack((a * cos - b * sin, b * cos + a * sin), -1).flatten(-2)


def causal_attention(q, k, v, scale, block=64):
    """Softmax attention of q [B, H, T, D] over k [B, G, T, D], v [B, G, T, Dv] -> [B, T, H Dv].

    The H / G query heads of a group are stacked as rows of one product, so K and V stay unrepeated;
    a block of queries is multiplied with the keys up to its end alone.
    """
    batch, heads, tokens, dim = q.shape
    groups = k.shape[1]
    q = (q * scale).view(batch, groups, heads // groups, tokens, dim)
    k, v = k.transpose(2, 3).flatten(0, 1), v.flatten(0, 1)
    future = torch.full((tokens, tokens), -math.inf).triu(1)
    outputs = []
    for begin in range(0, tokens, block):
        end = min(begin + block, tokens)
        scores = q[:, :, :, begin:end].reshape(batch * groups, -1, dim) @ k[:, :, :end]
        masked = scores.view(-1, end - begin, end) + future[begin:end, :end]
        out = masked.softmax(-1).view_as(scores) @ v[:, :end]
        outputs.append(out.view(batch, heads, end - begin, -1))
    return torch.cat(outputs, 2).transpose(1, 2).flatten(2)


def split_heads(x, heads):
    """[B, T, heads * D] -> [B, heads, T, D]."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def linear(rows_in, rows_out, bias=False):
    return nn.Linear(rows_in, rows_out, bias=bias)


class GroupedQueryAttention(nn.Module):
    """MHA, GQA and MQA: they differ in num_key_value_heads alone."""

    def __init__(self, c):
        super().__init__()
        self.heads, self.kv_heads, self.dim = (
            c["num_attention_heads"], c["num_key_value_heads"], c["head_dim"])
        self.frequencies = rope_frequencies(self.dim, c["rope_theta"])
        hidden, bias = c["hidden_size"], c["attention_bias"]
        self.q_proj = linear(hidden, self.heads * self.dim, bias)
        self.k_proj = linear(hidden, self.kv_heads * self.dim, bias)
        self.v_proj = linear(hidden, self.kv_heads * self.dim, bias)
        self.o_proj = linear(self.heads * self.dim, hidden, bias)

    def forward(self, x):
        cos, sin = rope_tables(x.shape[1], self.frequencies)
        q = rotate_half_pairs(split_heads(self.q_proj(x), self.heads), cos, sin)
        k = rotate_half_pairs(split_heads(self.k_proj(x), self.kv_heads), cos, sin)
        v = split_heads(self.v_proj(x), self.kv_heads)
        return self.o_proj(causal_attention(q, k, v, self.dim**-0.5))


class LatentAttention(nn.Module):
    """MLA in its expanded form, with DeepSeek-V2's names and without a query rank."""

    def __init__(self, c):
        super().__init__()
        self.heads, self.rank = c["num_attention_heads"], c["kv_lora_rank"]
        self.nope, self.rope, self.value = (
            c["qk_nope_head_dim"], c["qk_rope_head_dim"], c["v_head_dim"])
        self.frequencies = rope_frequencies(self.rope, c["rope_theta"])
        self.scale = (self.nope + self.rope) ** -0.5
        hidden = c["hidden_size"]
        self.q_proj = linear(hidden, self.heads * (self.nope + self.rope))
        self.kv_a_proj_with_mqa = linear(hidden, self.rank + self.rope)
        self.kv_a_layernorm = RMSNorm(self.rank, c["rms_norm_eps"])
        self.kv_b_proj = linear(self.rank, self.heads * (self.nope + self.value))
        self.o_proj = linear(self.heads * self.value, hidden)

    def query(self, x):
        return self.q_proj(x)

    def forward(self, x):
        cos, sin = rope_tables(x.shape[1], self.frequencies)
        q_nope, q_pe = split_heads(self.query(x), self.heads).split((self.nope, self.rope), -1)
        latent, k_pe = self.kv_a_proj_with_mqa(x).split((self.rank, self.rope), -1)
        kv = split_heads(self.kv_b_proj(self.kv_a_layernorm(latent)), self.heads)
        k_nope, v = kv.split((self.nope, self.value), -1)
        q_pe = rotate_interleaved_pairs(q_pe, cos, sin)
        k_pe = rotate_interleaved_pairs(k_pe, cos, sin)  # one for all heads
        q = torch.cat((q_nope, q_pe), -1)
        k = torch.cat((k_nope, k_pe[:, None].expand(-1, self.heads, -1, -1)), -1)
        return self.o_proj(causal_attention(q, k, v, self.scale))


class SwiGLU(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.gate_proj = linear(c["hidden_size"], c["intermediate_size"])
        self.up_proj = linear(c["hidden_size"], c["intermediate_size"])
        self.down_proj = linear(c["intermediate_size"], c["hidden_size"])

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.input_layernorm = RMSNorm(c["hidden_size"], c["rms_norm_eps"])
        attention = LatentAttention if "kv_lora_rank" in c else GroupedQueryAttention
        self.self_attn = attention(c)
        self.post_attention_layernorm = RMSNorm(c["hidden_size"], c["rms_norm_eps"])
        self.mlp = SwiGLU(c)

    def forward(self, x):
        x = x + self.self_attn(self.input_layernorm(x))
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.embed_tokens = nn.Embedding(c["vocab_size"], c["hidden_size"])
        self.layers = nn.ModuleList(Block(c) for _ in range(c["num_hidden_layers"]))
        self.norm = RMSNorm(c["hidden_size"], c["rms_norm_eps"])


class LanguageModel(nn.Module):
    """Token ids [B, T] -> logits [B, T, vocab]."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.model = Decoder(config)
        self.apply(self._initialise)

    def _initialise(self, module):
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=self.config["initializer_range"])
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.5 * module.in_features**-0.5)

    def forward(self, tokens):
        x = self.model.embed_tokens(tokens)
        for layer in self.model.layers:
            x = layer(x)
        return self.model.norm(x) @ self.head().T

    def head(self):
        return self.model.embed_tokens.weight  # tied


# --- Files ----------------------------------------------------------------------------------------

SAFETENSORS_DTYPES = {
    torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64"}


def write_safetensors(path, tensors):
    """Header length (8 bytes, little endian), a JSON header padded with spaces, the raw data."""
    header, blobs, offset = {"__metadata__": {"format": "pt"}}, [], 0
    for name, tensor in tensors.items():
        blob = tensor.detach().contiguous().view(torch.uint8).numpy().tobytes()
        header[name] = {
            "dtype": SAFETENSORS_DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + len(blob)],
        }
        blobs.append(blob)
        offset += len(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n")


@torch.no_grad()
def write_golden(path, model, tokens):
    """A prompt and the float32 logits [tokens, vocab] of the model with its weights as stored."""
    logits = model(tokens[None])[0]
    write_safetensors(path, {"input_ids": tokens, "logits": logits})
