# SPDX-FileCopyrightText: 2026 The headroom authors
# SPDX-License-Identifier: Apache-2.0
"""Writes fp8.hpp: what fp8 e4m3 is, for tests/fp8_codec.cpp.

    python3 tests/golden/fp8.py > tests/golden/fp8.hpp

Written apart from the library: numbers from the formula of the specification (OCP 8-bit floating
point, E4M3) as exact fractions, and rounding as a search for the nearest of all numbers.
"""
from fractions import Fraction


def number(code):
    exponent, fraction = code >> 3 & 15, code & 7
    if exponent == 0:
        return Fraction(fraction, 8) * Fraction(1, 2**6)
    return (1 + Fraction(fraction, 8)) * Fraction(2) ** (exponent - 7)


CODES = range(0x7F)  # without a sign, and without NaN


def nearest(x):
    """The code of the nearest number, the even one of two; a larger x becomes the largest."""
    return min(CODES, key=lambda code: (abs(number(code) - x), code % 2))


def literal(x):
    return repr(float(x)) + "f"


def lines(items):
    text = ""
    for i in range(0, len(items), 4):
        text += "    " + ", ".join(items[i : i + 4]) + ",\n"
    return text


# Each number, each tie between two, and what lies a little to either side of the tie.
roundings = []
for code in CODES:
    roundings.append((number(code), code))
    tie = (number(code) + (number(code + 1))) / 2
    for x in (tie * (1 - Fraction(1, 2**18)), tie, tie * (1 + Fraction(1, 2**18))):
        roundings.append((x, nearest(x)))

print("// SPDX-FileCopyrightText: 2026 The headroom authors")
print("// SPDX-License-Identifier: Apache-2.0")
print("// Written by fp8.py, not by hand.")
print("#pragma once")
print()
print("// clang-format off")
print("namespace golden::fp8 {")
print()
print("/// The numbers of fp8 e4m3 from code 0 to 0x7e; code 0x7f is NaN, and 0x80 is the sign.")
print("inline constexpr float numbers[] = {")
print(lines([literal(number(code)) for code in CODES]), end="")
print("};")
print()
print("struct rounding {")
print("  float number;")
print("  int code;")
print("};")
print()
print("/// Numbers and the codes that they round to.")
print("inline constexpr rounding roundings[] = {")
print(lines(["{%s, %d}" % (literal(x), code) for x, code in roundings]), end="")
print("};")
print()
print("}  // namespace golden::fp8")
