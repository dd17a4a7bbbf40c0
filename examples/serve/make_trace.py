#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The headroom authors
# SPDX-License-Identifier: Apache-2.0
"""Writes trace.json: requests that arrive over time, each the beginning of a verse to go on from.

usage: make_trace.py > trace.json
"""

import json
import random
from pathlib import Path

REQUESTS = 300
SYSTEM = ("And the scribe sat in the gate of the city, and wrote for every man that came unto him "
          "the words which follow:\n")


def beginning(draw, verse):
    """Some words of a verse, 12 to 64 bytes."""
    wanted = draw.randint(12, 64)
    words = verse.split(" ")
    text = words[0]
    for word in words[1:]:
        if len(text) + 1 + len(word) > wanted:
            break
        text += " " + word
    return text


def main():
    draw = random.Random(1)
    heldout = Path(__file__).parent.parent / "tinylm" / "heldout.txt"
    verses = heldout.read_text(encoding="ascii").splitlines()[:-1]  # the last is cut off
    verses = [verse for verse in verses if verse]
    step = 0.0
    requests = []
    for i in range(REQUESTS):
        # Busy and quiet hours in turn, and within them whenever it pleases.
        step += draw.expovariate(1.0 if i // 50 % 2 == 0 else 0.4)
        requests.append({
            "step": int(step),
            "prompt": beginning(draw, draw.choice(verses)),
            "tokens": min(80, 8 + int(draw.expovariate(1 / 28))),
            "seed": draw.getrandbits(16),
        })
    lines = ",\n".join("  " + json.dumps(request) for request in requests)
    print(f'{{"system": {json.dumps(SYSTEM)},\n "temperature": 0.5,\n "requests": [\n{lines}\n]}}')


if __name__ == "__main__":
    main()
