#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The headroom authors
# SPDX-License-Identifier: Apache-2.0
"""Writes two tiny models with random weights that have what real checkpoints have and ours lack.

    moe/     DeepSeek-V2: a query rank, a mixture-of-experts layer, YaRN, an untied head, two shards
             of float16 and bfloat16.
    llama3/  Llama 3: its RoPE scaling, biases, a head_dim that is not hidden / heads, an untied
             head, bfloat16.

Each gets golden logits that the loader of examples/generate is tested against. Run it as
`python3 moe_golden.py`, with the packages that train.py names; users never need to.
"""

import math
import pathlib

import torch
from torch import nn

from model import (GroupedQueryAttention, LanguageModel, LatentAttention, RMSNorm, SwiGLU, linear,
                   rope_frequencies, write_golden, write_json, write_safetensors)

HERE = pathlib.Path(__file__).resolve().parent

MOE_CONFIG = {
    "architectures": ["DeepseekV2ForCausalLM"],
    "attention_bias": False,
    "first_k_dense_replace": 1,
    "hidden_act": "silu",
    "hidden_size": 32,
    "initializer_range": 0.02,
    "intermediate_size": 48,
    "kv_lora_rank": 16,
    "max_position_embeddings": 256,
    "model_type": "deepseek_v2",
    "moe_intermediate_size": 16,
    "moe_layer_freq": 1,
    "n_group": 1,
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "norm_topk_prob": False,
    "num_attention_heads": 4,
    "num_experts_per_tok": 2,
    "num_hidden_layers": 2,
    "num_key_value_heads": 4,
    "q_lora_rank": 24,
    "qk_nope_head_dim": 12,
    "qk_rope_head_dim": 8,
    "rms_norm_eps": 1e-6,
    "rope_scaling": {
        "beta_fast": 32,
        "beta_slow": 1,
        "factor": 4,
        "mscale": 0.707,
        "mscale_all_dim": 0.707,
        "original_max_position_embeddings": 64,
        "type": "yarn",
    },
    "rope_theta": 10000,
    "routed_scaling_factor": 1.0,
    "scoring_func": "softmax",
    "tie_word_embeddings": False,
    "topk_group": 1,
    "topk_method": "greedy",
    "torch_dtype": "float16",
    "v_head_dim": 10,
    "vocab_size": 64,
}

LLAMA3_CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "attention_bias": True,
    "head_dim": 12,
    "hidden_act": "silu",
    "hidden_size": 32,
    "initializer_range": 0.02,
    "intermediate_size": 48,
    "max_position_embeddings": 1024,
    "mlp_bias": False,
    "model_type": "llama",
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-5,
    "rope_scaling": {
        "factor": 8.0,
        "high_freq_factor": 4.0,
        "low_freq_factor": 1.0,
        "original_max_position_embeddings": 128,
        "rope_type": "llama3",
    },
    "rope_theta": 500.0,  # so that the six wavelengths fall on all three sides of the two bounds
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "vocab_size": 64,
}


# --- RoPE scaling ---------------------------------------------------------------------------------


def yarn_frequencies(dim, theta, scaling):
    """Pairs that turn often keep their frequency, those that turn seldom are slowed by factor."""

    def pair_that_turns(times):
        length = scaling["original_max_position_embeddings"]
        return dim * math.log(length / (times * 2 * math.pi)) / (2 * math.log(theta))

    low = max(math.floor(pair_that_turns(scaling["beta_fast"])), 0)
    high = min(math.ceil(pair_that_turns(scaling["beta_slow"])), dim - 1)
    plain = rope_frequencies(dim, theta)
    pairs = torch.arange(dim // 2, dtype=torch.float64)
    ramp = ((pairs - low) / max(high - low, 0.001)).clamp(0, 1)
    return plain * (1 - ramp) + plain / scaling["factor"] * ramp


def yarn_mscale(factor, mscale):
    return 0.1 * mscale * math.log(factor) + 1 if factor > 1 else 1.0


def llama3_frequencies(dim, theta, scaling):
    """Short wavelengths keep their frequency, long ones are slowed by factor, a ramp between."""
    plain = rope_frequencies(dim, theta)
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    turns = scaling["original_max_position_embeddings"] * plain / (2 * math.pi)
    smooth = ((turns - low) / (high - low)).clamp(0, 1)
    return (1 - smooth) * plain / scaling["factor"] + smooth * plain


# --- DeepSeek-V2 ----------------------------------------------------------------------------------


class YarnLatentAttention(LatentAttention):
    """MLA with a query rank and YaRN: cos and sin keep amplitude mscale / mscale_all_dim = 1, the
    softmax scale gets the square of mscale_all_dim's amplitude."""

    def __init__(self, c):
        super().__init__(c)
        scaling = c["rope_scaling"]
        assert scaling["mscale"] == scaling["mscale_all_dim"]
        self.frequencies = yarn_frequencies(self.rope, c["rope_theta"], scaling)
        self.scale *= yarn_mscale(scaling["factor"], scaling["mscale_all_dim"]) ** 2
        del self.q_proj
        self.q_a_proj = linear(c["hidden_size"], c["q_lora_rank"])
        self.q_a_layernorm = RMSNorm(c["q_lora_rank"], c["rms_norm_eps"])
        self.q_b_proj = linear(c["q_lora_rank"], self.heads * (self.nope + self.rope))

    def query(self, x):
        return self.q_b_proj(self.q_a_layernorm(self.q_a_proj(x)))


class MixtureOfExperts(nn.Module):
    """The shared expert plus the num_experts_per_tok best routed ones, weighted by the softmax over
    all experts, which greedy routing without norm_topk_prob does not normalise again."""

    def __init__(self, c):
        super().__init__()
        width = c["moe_intermediate_size"]
        self.top, self.factor = c["num_experts_per_tok"], c["routed_scaling_factor"]
        self.gate = linear(c["hidden_size"], c["n_routed_experts"])
        expert = c | {"intermediate_size": width}
        self.experts = nn.ModuleList(SwiGLU(expert) for _ in range(c["n_routed_experts"]))
        self.shared_experts = SwiGLU(c | {"intermediate_size": width * c["n_shared_experts"]})
        self.closest_call = math.inf  # least lead of a chosen expert over one left out

    def forward(self, x):
        p = self.gate(x).softmax(-1)
        ranked = p.sort(-1, descending=True).values
        lead = ranked[..., self.top - 1] - ranked[..., self.top]
        self.closest_call = min(self.closest_call, lead.min().item())
        weight = p * (p >= ranked[..., self.top - 1 : self.top]) * self.factor
        out = self.shared_experts(x)
        for index, expert in enumerate(self.experts):
            out = out + weight[..., index : index + 1] * expert(x)
        return out


# --- Models and files -----------------------------------------------------------------------------


class UntiedModel(LanguageModel):
    def __init__(self, config):
        super().__init__(config)
        self.lm_head = linear(config["hidden_size"], config["vocab_size"])

    def head(self):
        return self.lm_head.weight


def moe_model():
    model = UntiedModel(MOE_CONFIG)
    for layer in model.model.layers:
        layer.self_attn = YarnLatentAttention(MOE_CONFIG)
    model.model.layers[1].mlp = MixtureOfExperts(MOE_CONFIG)
    return model


def llama3_model():
    model = UntiedModel(LLAMA3_CONFIG)
    for layer in model.model.layers:
        attention = layer.self_attn
        attention.frequencies = llama3_frequencies(
            attention.dim, LLAMA3_CONFIG["rope_theta"], LLAMA3_CONFIG["rope_scaling"])
    return model


@torch.no_grad()
def randomise(model, dtype_of, seed):
    """Random weights that a stored dtype holds exactly: matrices keep the size of what they
    multiply, norms are near one, biases are not small."""
    generator = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        noise = torch.randn(weight.shape, generator=generator)
        if weight.ndim == 2:
            noise *= 1.0 if "embed_tokens" in name else 1.5 * weight.shape[1] ** -0.5
        elif name.endswith("norm.weight"):
            noise = 1 + 0.2 * noise
        else:
            noise *= 0.5
        weight.copy_(noise.to(dtype_of(name)))


def prompt(vocabulary, tokens, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(vocabulary, (tokens,), generator=generator)


def moe_dtype(name):
    return torch.bfloat16 if ".experts." in name else torch.float16


def moe_shard(name):
    first = name.startswith(("model.embed_tokens", "model.layers.0."))
    return f"model-0000{1 if first else 2}-of-00002.safetensors"


def write_moe(directory):
    directory.mkdir(exist_ok=True)
    model = moe_model()
    randomise(model, moe_dtype, seed=2)
    stored = {name: w.to(moe_dtype(name)) for name, w in model.state_dict().items()}
    where = {name: moe_shard(name) for name in stored}
    for shard in sorted(set(where.values())):
        write_safetensors(
            directory / shard, {name: w for name, w in stored.items() if where[name] == shard})
    total = sum(w.numel() * w.element_size() for w in stored.values())
    write_json(directory / "model.safetensors.index.json",
               {"metadata": {"total_size": total}, "weight_map": where})
    write_json(directory / "config.json", MOE_CONFIG)
    write_golden(directory / "golden.safetensors", model, prompt(MOE_CONFIG["vocab_size"], 80, 2))
    lead = model.model.layers[1].mlp.closest_call
    assert lead > 1e-3, f"an expert is chosen by {lead} alone: rounding may choose another"


def write_llama3(directory):
    directory.mkdir(exist_ok=True)
    model = llama3_model()
    randomise(model, lambda name: torch.bfloat16, seed=3)
    write_safetensors(directory / "model.safetensors",
                      {name: w.bfloat16() for name, w in model.state_dict().items()})
    write_json(directory / "config.json", LLAMA3_CONFIG)
    write_golden(
        directory / "golden.safetensors", model, prompt(LLAMA3_CONFIG["vocab_size"], 144, 4))


if __name__ == "__main__":
    torch.set_num_threads(1)
    write_moe(HERE / "moe")
    write_llama3(HERE / "llama3")
