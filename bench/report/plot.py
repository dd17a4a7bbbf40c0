#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The headroom authors
# SPDX-License-Identifier: Apache-2.0
"""Draws roofline.svg, context.svg, cache.svg and peers.svg from what the benchmarks write.

usage: plot.py OUT_DIR CACHE_BYTES.json BENCHMARK.json...
"""

import json
import statistics
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({
    "svg.hashsalt": "headroom",  # the same input gives the same file
    "svg.fonttype": "none",  # text stays text: small files, sharp at any size
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica", "Arial", "DejaVu Sans"],
    "font.size": 11,
    "axes.titlesize": 13,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8c8c8c",
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "legend.frameon": False,
    "legend.fontsize": 10,
})
import matplotlib.pyplot as plt  # noqa: E402

# Colours that people who see few of them tell apart (Okabe and Ito, 2008).
COLORS = {"prefill": "#0072b2", "decode": "#d55e00", "chunk": "#009e73", "projection": "#cc79a7"}
MARKERS = {"float": "o", "half": "s", "bfloat16": "^", "naive": "x"}
LIMIT = "#404040"


def read_cases(paths):
    """The cases of all files, each with its name in parts: smoke/ and long/ only say when to run."""
    cases = []
    for path in paths:
        for case in json.loads(Path(path).read_text())["benchmarks"]:
            if case.get("run_type") == "aggregate":
                continue
            parts = [part for part in case["name"].split("/") if ":" not in part]
            case["parts"] = [part for part in parts if part not in ("smoke", "long")]
            cases.append(case)
    return cases


def save(figure, path):
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)
    print(path)


def scalar_of(parts):
    if any("naive" in part or part == "eigen" for part in parts):
        return "naive"
    return next((part for part in parts if part in MARKERS), "float")


def in_words(count):
    """A power of two as it is spoken of: 4096 is 4k."""
    for unit, size in (("M", 1024**2), ("k", 1024)):
        if count % size == 0:
            return f"{count // size}{unit}"
    return str(count)


def roofline(cases, path):
    """GFLOP/s against flops per byte. The limits are those of one thread, as measured around each
    case, so that points and limits belong to the same minutes. Those of double are others."""
    dots = [case["GFLOP/s"] for case in cases
            if case["parts"][:2] == ["dot", "bfloat16"] and case["threads"] == 1]
    cases = [case for case in cases
             if case["parts"][0] in COLORS and "peak%" in case and "double" not in case["parts"]]
    peak = statistics.median(case["peak_GFLOP/s"] for case in cases)
    bandwidth = statistics.median(case["read_GB/s"] for case in cases)
    figure, axes = plt.subplots(figsize=(8, 5))
    intensities = [case["GFLOP/s"] / case["GB/s"] for case in cases]
    ridge = peak / bandwidth
    ends = [min(intensities + [ridge]) / 2, ridge, 2 * max(intensities + [ridge])]
    axes.set_xlim(ends[0], ends[2])
    axes.set_ylim(min(case["GFLOP/s"] for case in cases) / 2, 2 * max([peak, *dots]))
    axes.plot(ends, [min(peak, bandwidth * x) for x in ends], color=LIMIT, linewidth=1.5)
    axes.annotate(f"multiply-adds: {peak:.0f} GFLOP/s", (ends[2], 1.1 * peak), ha="right", color=LIMIT)
    if dots and dots[0] > peak:
        axes.hlines(dots[0], dots[0] / bandwidth, ends[2], color=LIMIT, linewidth=1, linestyle="--")
        axes.annotate(f"dot products of bfloat16: {dots[0]:.0f}", (ends[2], 1.1 * dots[0]),
                      ha="right", color=LIMIT)
    axes.annotate(f"reading: {bandwidth:.0f} GB/s", (1.1 * ends[0], 0.6 * peak), color=LIMIT)
    for case, x in zip(cases, intensities):
        kind, scalar = case["parts"][0], scalar_of(case["parts"])
        color = "#a0a0a0" if scalar == "naive" else COLORS[kind]
        axes.plot(x, case["GFLOP/s"], MARKERS[scalar], color=color, alpha=0.75, markersize=6)
    present = {case["parts"][0] for case in cases}
    handles = [
        plt.Line2D([], [], linestyle="", marker="o", color=color, label=kind)
        for kind, color in COLORS.items()
        if kind in present
    ]
    handles += [
        plt.Line2D([], [], linestyle="", marker=marker, color="#a0a0a0", label=scalar)
        for scalar, marker in MARKERS.items()
    ]
    axes.legend(handles=handles, loc="lower right", ncol=2)
    axes.set(xscale="log", yscale="log", xlabel="flops per byte", ylabel="GFLOP/s")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_title("One thread against its two limits")
    axes.grid()
    save(figure, path)


def context(cases, path):
    """Time of one token of decode against the context, and the time of only reading its cache."""
    names = {
        "gqa": "GQA, 32 heads, 8 groups, width 128",
        "mla": "MLA, 16 heads, latents of 512 + 64",
    }
    figure, axes = plt.subplots(figsize=(8, 5))
    for (kind, label), color in zip(names.items(), (COLORS["decode"], COLORS["prefill"])):
        points = sorted(
            (int(case["parts"][2]), case["ns/token"] * 1e-6, case["bound%"] / 100)
            for case in cases
            if case["parts"][:2] == ["context", kind]
        )
        tokens, times, fractions = zip(*points)
        bounds = [time * fraction for time, fraction in zip(times, fractions)]
        axes.plot(tokens, times, "o-", color=color, label=label)
        axes.plot(tokens, bounds, ":", color=color, label="what memory and arithmetic in float take")
    axes.set_xscale("log", base=2)
    axes.set_xticks(tokens, [in_words(count) for count in tokens])
    axes.set(yscale="log", xlabel="tokens in the cache", ylabel="ms per token, one layer")
    axes.set_xticks([], minor=True)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_title("Decode, cache in bfloat16, one thread")
    axes.legend()
    axes.grid()
    save(figure, path)


def peers(cases, path):
    """The time of each peer over the library's, a row for each case of grouped-query attention."""
    names = {
        "onnxruntime_gqa": ("ONNX Runtime, GroupQueryAttention", "o", COLORS["prefill"]),
        "onnxruntime_attention": ("ONNX Runtime, Attention", "s", "#56b4e9"),
        "ggml": ("ggml, flash attention", "D", COLORS["decode"]),
        "openblas_naive": ("OpenBLAS, naive", "^", "#a0a0a0"),
        "eigen_naive": ("Eigen, naive", "v", "#a0a0a0"),
    }
    rows = {}
    for case in cases:
        if case["parts"][0] != "peers" or case["parts"][2] != "gqa":
            continue
        kind, scalar, size, peer = (case["parts"][i] for i in (1, 3, 4, 5))
        q_len, kv_len = map(int, size.split("x"))
        over = f"prefill {q_len}" if kind == "prefill" else f"{kind} over {kv_len}"
        row = rows.setdefault((kind != "prefill", list(MARKERS).index(scalar), kv_len), {})
        row["label"] = f"{over}, {scalar}"
        row[peer] = case["peer/headroom"]
    if not rows:
        return
    figure, axes = plt.subplots(figsize=(8, 0.8 + 0.42 * len(rows)))
    ordered = [row for _, row in sorted(rows.items())]
    for peer, (label, marker, color) in names.items():
        points = [(row[peer], y) for y, row in enumerate(ordered) if peer in row]
        if points:
            axes.plot(*zip(*points), marker, color=color, label=label, markersize=7)
    axes.axvline(1, color=LIMIT, linewidth=1.5)
    axes.set_yticks(range(len(ordered)), [row["label"] for row in ordered])
    axes.invert_yaxis()
    axes.set_xscale("log", base=2)
    axes.set_xticks([1, 2, 4, 8], ["headroom", "2 x", "4 x", "8 x"])
    axes.tick_params(left=False)
    axes.minorticks_off()
    axes.grid()
    axes.set_title("Time of other libraries, 32 heads, 8 groups, width 128")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -1.2 / (1 + len(rows))), ncol=3)
    save(figure, path)


def cache(bytes_of, path):
    """What a token leaves in a cache, for each kind of attention."""
    figure, axes = plt.subplots(figsize=(8, 2.5))
    bars = axes.barh(list(bytes_of), list(bytes_of.values()), color=COLORS["prefill"], height=0.6)
    axes.bar_label(bars, [f"{count:,} bytes" for count in bytes_of.values()], padding=5)
    axes.invert_yaxis()
    axes.margins(x=0.16)
    axes.tick_params(left=False, bottom=False, labelbottom=False)
    axes.spines[["bottom", "left"]].set_visible(False)
    axes.set_title("What a cache keeps per token and layer, 16 bits, width 128")
    save(figure, path)


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    cases = read_cases(sys.argv[3:])
    roofline(cases, out / "roofline.svg")
    context(cases, out / "context.svg")
    peers(cases, out / "peers.svg")
    cache(json.loads(Path(sys.argv[2]).read_text()), out / "cache.svg")


if __name__ == "__main__":
    main()
