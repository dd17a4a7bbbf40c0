#!/usr/bin/python3
# SPDX-FileCopyrightText: 2026 The headroom authors
# SPDX-License-Identifier: Apache-2.0
"""Trains the four small language models that examples/generate runs.

Users never need this: the weights it makes are committed beside it. To make them again (about an
hour on one core) on Debian or Ubuntu:

    apt-get install python3-torch python3-numpy libopenblas0-pthread bible-kjv bible-kjv-text
    python3 train.py all

The parts can also be run one by one, two at a time: `train mha`, `train mla`, `train gqa`,
`train mqa`, then `uptrain mean first random` (they start from mha), then `export`.

The models are byte-level (vocabulary 256) decoders of the Llama architecture, one width, four
attentions: mha, gqa and mqa with Llama's tensor names, mla with DeepSeek-V2's. The uptrained ones
follow the recipe of the GQA paper (Ainslie et al., 2023, arXiv 2305.13245): make a GQA model from
the MHA checkpoint's K and V heads, then train it as before for 5 % of the steps.
"""

import argparse
import datetime
import json
import math
import pathlib
import re
import subprocess
import time

import numpy as np
import torch
from torch.nn import functional as F

from model import LanguageModel, write_golden, write_json, write_safetensors

HERE = pathlib.Path(__file__).resolve().parent
CONTEXT = 256  # bytes per training sequence and per held-out window
HELDOUT_BYTES = 16384
GOLDEN_PROMPT = b"And it came to pass in those days, that the king said unto them,"
PROTOCOL = """
    heldout.txt in windows of 256 bytes that do not overlap, each on its own from position 0; every
    byte of a window but its first is predicted from the bytes before it in the window; the mean of
    -log2 p over these 64 * 255 predictions. Weights as stored (float16), arithmetic in float32.
    The conversions average the stored weights in float32 and do not round again."""
UPTRAIN_FRACTION = 0.05
KV_HEADS = {"mha": 8, "gqa": 2, "mqa": 1}
VARIANTS = (*KV_HEADS, "mla")
METHODS = ("mean", "first", "random")


# --- Configurations, in the Hugging Face layout ---------------------------------------------------


def base_config():
    return {
        "attention_bias": False,
        "attention_dropout": 0.0,
        "hidden_act": "silu",
        "hidden_size": 128,
        "initializer_range": 0.02,
        "intermediate_size": 256,
        "max_position_embeddings": CONTEXT,
        "num_attention_heads": 8,
        "num_hidden_layers": 4,
        "rope_scaling": None,
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
        "torch_dtype": "float16",
        "vocab_size": 256,
    }


def llama_config(kv_heads):
    return base_config() | {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "head_dim": 16,
        "num_key_value_heads": kv_heads,
        "rms_norm_eps": 1e-5,
    }


def deepseek_config():
    config = base_config()
    return config | {
        "architectures": ["DeepseekV2ForCausalLM"],
        "model_type": "deepseek_v2",
        "first_k_dense_replace": config["num_hidden_layers"],  # every MLP is dense
        "kv_lora_rank": 48,
        "moe_layer_freq": 1,
        "n_routed_experts": None,
        "n_shared_experts": None,
        "num_key_value_heads": 8,
        "q_lora_rank": None,
        "qk_nope_head_dim": 16,
        "qk_rope_head_dim": 16,
        "rms_norm_eps": 1e-6,
        "v_head_dim": 16,
    }


def variant_config(variant):
    return deepseek_config() if variant == "mla" else llama_config(KV_HEADS[variant])


# --- Text -----------------------------------------------------------------------------------------


def read_bible():
    """The King James Version as Debian's bible-kjv prints it: one verse a line, no references,
    an empty line before each chapter. Returns the text and where 1 Samuel begins in it."""
    printed = subprocess.run(
        ["bible", "-f", "gen1:1-rev22:21"], check=True, capture_output=True, text=True).stdout
    lines, heldout_at = [], None
    for line in printed.splitlines():
        book, _, verse, words = re.fullmatch(
            r"(\d?[A-Za-z]+)(\d+):(\d+) (.*)", line.strip()).groups()
        if verse == "1" and lines:
            lines.append("")
        if book == "1Sm" and heldout_at is None:
            heldout_at = sum(len(text) + 1 for text in lines)
        lines.append(words.strip())
    return ("\n".join(lines) + "\n").encode("ascii"), heldout_at


def load_text(path):
    """(training bytes, held-out bytes): the held-out ones are cut from 1 Samuel 1:1 on, or, in a
    text of the user's own, from the middle."""
    if path is None:
        text, at = read_bible()
    else:
        text = pathlib.Path(path).read_bytes()
        at = len(text) // 2
    heldout = text[at : at + HELDOUT_BYTES]
    return (to_tensor(text[:at]), to_tensor(text[at + HELDOUT_BYTES :])), heldout


def to_tensor(data):
    return torch.from_numpy(np.frombuffer(data, np.uint8).copy())


def random_windows(parts, batch, generator):
    """[batch, CONTEXT + 1] bytes from random places, none of them across the held-out cut."""
    places = [len(part) - CONTEXT for part in parts]
    starts = torch.randint(sum(places), (batch,), generator=generator).tolist()
    rows = [parts[0][s : s + CONTEXT + 1] if s < places[0]
            else parts[1][s - places[0] : s - places[0] + CONTEXT + 1] for s in starts]
    return torch.stack(rows).long()


@torch.no_grad()
def bits_per_byte(model, heldout):
    """The mean of -log2 p, as PROTOCOL says."""
    windows = to_tensor(heldout).long().view(-1, CONTEXT)
    nats = 0.0
    for rows in windows.split(8):
        log_p = model(rows[:, :-1]).log_softmax(-1)
        nats -= log_p.gather(-1, rows[:, 1:, None]).double().sum().item()
    return nats / math.log(2) / windows[:, 1:].numel()


# --- Training -------------------------------------------------------------------------------------


def learning_rate(step, steps, peak):
    """Linear warm-up over the first 5 % (at least 10 steps), then a cosine to 2 % of the peak."""
    warmup = max(10, steps // 20)
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return peak * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))


def make_optimizer(model):
    matrices = [p for p in model.parameters() if p.ndim == 2]
    vectors = [p for p in model.parameters() if p.ndim != 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, betas=(0.9, 0.98))


def fit(name, model, parts, heldout, steps, peak, args):
    generator = torch.Generator().manual_seed(args.seed)
    optimizer = make_optimizer(model)
    started = time.monotonic()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, peak)
        rows = random_windows(parts, args.batch, generator)
        logits = model(rows[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 20 == 0:
            print(f"{name} step {step}/{steps} train {loss.item() / math.log(2):.3f} bits/byte "
                  f"{time.monotonic() - started:.0f} s", flush=True)
        if step % 500 == 499:
            print(f"{name} step {step} held out {bits_per_byte(model, heldout):.4f}", flush=True)
    print(f"{name} done: held out {bits_per_byte(model, heldout):.4f} bits/byte", flush=True)


def train(variant, args):
    parts, heldout = load_text(args.text)
    torch.manual_seed(args.seed)
    model = LanguageModel(variant_config(variant))
    fit(variant, model, parts, heldout, args.steps, args.peak_lr, args)
    torch.save({"weights": model.state_dict(), "steps": args.steps}, args.work / f"{variant}.pt")


# --- The GQA paper's recipe -----------------------------------------------------------------------


def random_heads(config, kv_heads, seed):
    """One KV head of each group of the MHA model, per layer."""
    per_group = config["num_key_value_heads"] // kv_heads
    rng = np.random.default_rng(seed)
    return [[group * per_group + int(rng.integers(per_group)) for group in range(kv_heads)]
            for _ in range(config["num_hidden_layers"])]


def merge_kv_heads(weight, kv_heads, dim, method, selection):
    """K or V projection [heads * dim, hidden] -> [kv_heads * dim, hidden].

    `selection` names the head to keep of each group, for the random method."""
    heads = weight.view(-1, dim, weight.shape[1])
    groups = heads.unflatten(0, (kv_heads, -1))
    if method == "mean":
        merged = groups.mean(1)
    elif method == "first":
        merged = groups[:, 0]
    else:
        merged = heads[selection]
    return merged.flatten(0, 1).contiguous()


def mha_to_gqa(weights, method, seed):
    """The MHA model's weights -> (config, weights) of a GQA model that has not been uptrained."""
    mha, config = variant_config("mha"), variant_config("gqa")
    kv_heads, selection = config["num_key_value_heads"], None
    config["headroom_kv_head_method"] = method
    if method == "random":
        selection = random_heads(mha, kv_heads, seed)
        config["headroom_kv_head_selection"] = selection
    converted = dict(weights)
    for layer in range(mha["num_hidden_layers"]):
        for name in ("k_proj", "v_proj"):
            key = f"model.layers.{layer}.self_attn.{name}.weight"
            converted[key] = merge_kv_heads(
                weights[key], kv_heads, mha["head_dim"], method, selection and selection[layer])
    return config, converted


def uptrain(method, args):
    parts, heldout = load_text(args.text)
    checkpoint = torch.load(args.work / "mha.pt")
    steps = round(UPTRAIN_FRACTION * checkpoint["steps"])
    config, weights = mha_to_gqa(checkpoint["weights"], method, args.seed)
    model = load_model(config, weights)
    name = f"gqa_uptrained_{method}"
    fit(name, model, parts, heldout, steps, args.peak_lr, args)
    torch.save({"weights": model.state_dict(), "steps": steps}, args.work / f"{name}.pt")


def load_model(config, weights):
    model = LanguageModel(config)
    model.load_state_dict(weights)
    return model


# --- Export ---------------------------------------------------------------------------------------


def round_to_half(weights):
    return {name: weight.half().float() for name, weight in weights.items()}


def export_model(name, config, weights, args):
    """Writes a model directory; returns the model with its weights rounded as they are stored."""
    directory = args.out / name
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / "config.json", dict(sorted(config.items())))
    write_safetensors(
        directory / "model.safetensors", {key: weight.half() for key, weight in weights.items()})
    model = load_model(config, round_to_half(weights))
    write_golden(directory / "golden.safetensors", model, to_tensor(GOLDEN_PROMPT).long())
    return model


def trained_models(work, seed):
    """(name, config, weights, steps) of every model that is committed."""
    for variant in VARIANTS:
        checkpoint = torch.load(work / f"{variant}.pt")
        yield variant, variant_config(variant), checkpoint["weights"], checkpoint["steps"]
    mha = torch.load(work / "mha.pt")["weights"]
    for method in METHODS:
        name = f"gqa_uptrained_{method}"
        checkpoint = torch.load(work / f"{name}.pt")
        config, _ = mha_to_gqa(mha, method, seed)
        yield name, config, checkpoint["weights"], checkpoint["steps"]


def export(args):
    _, heldout = load_text(args.text)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "heldout.txt").write_bytes(heldout)
    results = {"date": datetime.date.today().isoformat(), "protocol": " ".join(PROTOCOL.split()),
               "batch": args.batch, "context": CONTEXT, "models": {},
               "converted_without_uptraining": {}}
    for name, config, weights, steps in trained_models(args.work, args.seed):
        model = export_model(name, config, weights, args)
        results["models"][name] = {
            "bits_per_byte": round(bits_per_byte(model, heldout), 5),
            "parameters": sum(p.numel() for p in model.parameters()), "steps": steps}
    mha = round_to_half(torch.load(args.work / "mha.pt")["weights"])
    for method in METHODS:
        model = load_model(*mha_to_gqa(mha, method, args.seed))
        results["converted_without_uptraining"][method] = {
            "bits_per_byte": round(bits_per_byte(model, heldout), 5)}
    write_json(args.out / "results.json", results)
    print(json.dumps(results, indent=2))


@torch.no_grad()
def sample(model, prompt, count, temperature, seed):
    generator = torch.Generator().manual_seed(seed)
    tokens = to_tensor(prompt).long()
    for _ in range(count):
        p = (model(tokens[None, -CONTEXT:])[0, -1] / temperature).softmax(-1)
        tokens = torch.cat((tokens, torch.multinomial(p, 1, generator=generator)))
    return bytes(tokens.tolist())


def sample_all(args):
    for name, config, weights, _ in trained_models(args.work, args.seed):
        text = sample(load_model(config, weights), GOLDEN_PROMPT, 200, 0.7, args.seed)
        print(f"== {name}\n{text.decode('ascii', 'replace')}\n")


# --- Command line ---------------------------------------------------------------------------------


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["all", "train", "uptrain", "export", "sample"])
    parser.add_argument("names", nargs="*", metavar="name",
                        help="train: mha gqa mqa mla; uptrain: mean first random (default: all)")
    parser.add_argument("--text", help="a text file to train on (default: the output of `bible`)")
    parser.add_argument("--work", type=pathlib.Path, default="tinylm-checkpoints",
                        help="where the full-precision checkpoints are (default: %(default)s)")
    parser.add_argument("--out", type=pathlib.Path, default=HERE,
                        help="export: where the model directories go (default: beside this file)")
    parser.add_argument("--steps", type=int, default=2400, help="training steps (default: 2400)")
    parser.add_argument("--batch", type=int, default=8, help="sequences a step (default: 8)")
    parser.add_argument("--peak-lr", type=float, default=3e-3, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=20260101, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=1, help="default: 1, which reproduces")
    args = parser.parse_intermixed_args()
    known = {"train": VARIANTS, "uptrain": METHODS}.get(args.command, ())
    if unknown := set(args.names) - set(known):
        parser.error(f"{args.command} does not take {' '.join(sorted(unknown))}")
    return args


def main():
    args = parse_arguments()
    torch.set_num_threads(args.threads)
    args.work.mkdir(parents=True, exist_ok=True)
    if args.command in ("all", "train"):
        for variant in args.names or VARIANTS:
            train(variant, args)
    if args.command in ("all", "uptrain"):
        for method in args.names or METHODS:
            uptrain(method, args)
    if args.command in ("all", "export"):
        export(args)
    if args.command == "sample":
        sample_all(args)


if __name__ == "__main__":
    main()
