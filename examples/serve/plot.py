#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The headroom authors
# SPDX-License-Identifier: Apache-2.0
"""Draws how full the pool was, and how long requests waited, from what serve --json writes.

usage: plot.py FIGURES.json OUT.svg
"""

import json
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
COLORS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7"]
LIMIT = "#8c8c8c"
POINTS = 120  # of a line: more would not be seen


def pool_use(ways, axes):
    """Bytes held at each step; the most of a few steps where there are many."""
    for way, color in zip(ways, COLORS):
        if way["name"] == "unbatched":
            continue  # the same steps and pages as shared
        moments = way["moments"]
        stride = max(1, len(moments) // POINTS)
        few = [moments[i:i + stride] for i in range(0, len(moments), stride)]
        axes.plot([part[0]["step"] for part in few],
                  [max(moment["bytes"] for moment in part) / 1024 for part in few],
                  color=color, linewidth=1.5, label=way["name"])
    axes.axhline(ways[0]["pool_bytes"] / 1024, color=LIMIT, linewidth=1, linestyle="--",
                 label="the pool")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("step")
    axes.set_title("Pages held, KiB")
    axes.grid(axis="y")
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1))


def latency(ways, key, title, axes):
    """From the median to the 99th percentile of each way to serve; the 95th is marked, too."""
    for place, (way, color) in enumerate(zip(ways, COLORS)):
        values = [way[key][rank] for rank in ("p50", "p95", "p99")]
        axes.plot(values, [place] * 3, color=color, linewidth=2, marker="|", markersize=12)
        numbers = ", ".join(f"{value:,.0f}" if value >= 10 else f"{value:.1f}" for value in values)
        axes.annotate(numbers, (values[-1], place),
                      xytext=(8, -4), textcoords="offset points", fontsize=10)
    axes.set_yticks(range(len(ways)), [way["name"] for way in ways])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.margins(x=0.3, y=0.2)
    axes.tick_params(left=False)
    axes.grid(axis="x")
    axes.set_title(title)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    ways = json.loads(Path(sys.argv[1]).read_text())
    figure = plt.figure(figsize=(9, 5.6), layout="constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=[3, 2])
    pool_use(ways, figure.add_subplot(grid[0, :]))
    latency(ways, "first_token_ms", "To the first token, ms: p50, p95, p99",
            figure.add_subplot(grid[1, 0]))
    latency(ways, "pause_ms", "From token to token, ms", figure.add_subplot(grid[1, 1]))
    figure.savefig(sys.argv[2], metadata={"Date": None})


if __name__ == "__main__":
    main()
