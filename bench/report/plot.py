#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The headroom authors
# SPDX-License-Identifier: Apache-2.0
"""Draws roofline.svg, context.svg and cache.svg from what the benchmarks write.

usage: plot.py OUT_DIR CACHE_BYTES.json BENCHMARK.json...
"""

import json
import statistics
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "headroom"  # the same input gives the same file
import matplotlib.pyplot as plt  # noqa: E402

COLORS = {"prefill": "tab:blue", "decode": "tab:orange", "projection": "tab:green"}
MARKERS = {"float": "o", "half": "s", "bfloat16": "^", "naive": "x"}


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


def roofline(cases, path):
    """GFLOP/s against flops per byte. The limits are those of one thread, as measured around each
    case, so that points and limits belong to the same minutes."""
    cases = [case for case in cases if case["parts"][0] in COLORS and "peak%" in case]
    peak = statistics.median(case["peak_GFLOP/s"] for case in cases)
    bandwidth = statistics.median(case["read_GB/s"] for case in cases)
    figure, axes = plt.subplots(figsize=(8, 5))
    intensities = [case["GFLOP/s"] / case["GB/s"] for case in cases]
    axes.set_ylim(min(case["GFLOP/s"] for case in cases) / 2, 2 * peak)
    ends = [min(intensities) / 2, peak / bandwidth, 2 * max(intensities + [peak / bandwidth])]
    axes.plot(ends, [min(peak, bandwidth * x) for x in ends], color="black", linewidth=1)
    axes.annotate(f"{peak:.0f} GFLOP/s, multiply-adds", (ends[2], 1.05 * peak), ha="right")
    axes.annotate(f"{bandwidth:.0f} GB/s, reading", (ends[0], 1.3 * bandwidth * ends[0]))
    for case, x in zip(cases, intensities):
        kind, scalar = case["parts"][0], scalar_of(case["parts"])
        axes.plot(x, case["GFLOP/s"], MARKERS[scalar], color=COLORS[kind], fillstyle="none")
    key = {"linestyle": "", "fillstyle": "none"}
    handles = [plt.Line2D([], [], marker="o", color=c, label=k, **key) for k, c in COLORS.items()]
    handles += [plt.Line2D([], [], marker=m, color="gray", label=s, **key) for s, m in MARKERS.items()]
    axes.legend(handles=handles, loc="lower right", fontsize="small")
    axes.set(xscale="log", yscale="log", xlabel="flops per byte", ylabel="GFLOP/s")
    axes.set_title("One thread against its two limits")
    axes.grid(alpha=0.3)
    save(figure, path)


def context(cases, path):
    """Time of one token of decode against the context, and the time of only reading its cache."""
    names = {
        "gqa": "GQA, 32 heads, 8 groups, width 128",
        "mla": "MLA, 16 heads, latents of 512 + 64",
    }
    figure, axes = plt.subplots(figsize=(8, 5))
    for (kind, label), color in zip(names.items(), ("tab:orange", "tab:purple")):
        points = sorted(
            (int(case["parts"][2]), case["ns/token"] * 1e-6, case["read%"] / 100)
            for case in cases
            if case["parts"][:2] == ["context", kind]
        )
        tokens, times, fractions = zip(*points)
        axes.plot(tokens, times, "o-", color=color, label=label)
        reading = [time * fraction for time, fraction in zip(times, fractions)]
        axes.plot(tokens, reading, ":", color=color, label="reading it at the speed of memory")
    axes.set_xscale("log", base=2)
    axes.set_xticks(tokens, [f"{count // 1024}k" if count % 1024 == 0 else count for count in tokens])
    axes.set(yscale="log", xlabel="tokens in the cache", ylabel="ms per token, one layer")
    axes.set_title("Decode, cache in bfloat16, one thread")
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)
    save(figure, path)


def cache(bytes_of, path):
    figure, axes = plt.subplots(figsize=(8, 2.5))
    bars = axes.barh(list(bytes_of), list(bytes_of.values()), color="tab:orange")
    axes.bar_label(bars, padding=4)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set(xlabel="bytes per token and layer, in 16 bits")
    axes.set_title("What a cache keeps, width 128")
    save(figure, path)


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    cases = read_cases(sys.argv[3:])
    roofline(cases, out / "roofline.svg")
    context(cases, out / "context.svg")
    cache(json.loads(Path(sys.argv[2]).read_text()), out / "cache.svg")


if __name__ == "__main__":
    main()
