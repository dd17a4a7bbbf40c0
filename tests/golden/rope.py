# SPDX-FileCopyrightText: 2026 The headroom authors
# SPDX-License-Identifier: Apache-2.0
"""Writes rope.hpp: rotary frequencies and rotations in float64, for tests/rope*.cpp.

    python3 tests/golden/rope.py > tests/golden/rope.hpp

Written apart from the library: frequencies as whole arrays with `where` and wavelengths, rotation as
a product of complex numbers.
"""
import numpy as np


def plain(r, base):
    return 1.0 / base ** (np.arange(0, r, 2) / r)


def linear(r, base, factor):
    return plain(r, base) / factor


def ntk(r, base, factor):
    return plain(r, base * factor ** (r / (r - 2)))


def yarn(r, base, factor, original_length, truncate=True, beta_fast=32, beta_slow=1):
    def correction(turns):
        return r * np.log(original_length / (turns * 2 * np.pi)) / (2 * np.log(base))

    low, high = correction(beta_fast), correction(beta_slow)
    if truncate:
        low, high = np.floor(low), np.ceil(high)
    low, high = max(low, 0), min(high, r - 1)
    if low == high:
        high += 0.001
    keep = 1 - np.clip((np.arange(r // 2) - low) / (high - low), 0, 1)
    return plain(r, base) / factor * (1 - keep) + plain(r, base) * keep


def llama3(r, base, factor, original_length, low, high):
    theta = plain(r, base)
    wavelength = 2 * np.pi / theta
    smooth = (original_length / wavelength - low) / (high - low)
    blended = (1 - smooth) * theta / factor + smooth * theta
    scaled = np.where(wavelength > original_length / low, theta / factor, theta)
    between = (wavelength <= original_length / low) & (wavelength >= original_length / high)
    return np.where(between, blended, scaled)


def rotate(x, positions, theta, interleaved, amplitude):
    """x [tokens, heads, dim]; the first 2 * len(theta) channels turn."""
    return rotate_by(x, np.outer(positions, theta), interleaved, amplitude)


def rotate_by(x, angles, interleaved, amplitude):
    """angles [tokens, pairs]"""
    pairs = angles.shape[1]
    r = 2 * pairs
    out = x.copy()
    first = x[..., 0:r:2] if interleaved else x[..., :pairs]
    second = x[..., 1:r:2] if interleaved else x[..., pairs:r]
    turn = amplitude * np.exp(1j * angles)[:, None, :]
    turned = (first + 1j * second) * turn
    if interleaved:
        out[..., 0:r:2], out[..., 1:r:2] = turned.real, turned.imag
    else:
        out[..., :pairs], out[..., pairs:r] = turned.real, turned.imag
    return out


def sections(positions, theta, pairs_of_axis):
    """Qwen2-VL: all angles of each axis [axes, tokens, pairs], of which sections are put together."""
    angles = positions.T[:, :, None] * theta
    ends = np.cumsum(pairs_of_axis)
    parts = np.split(angles, ends[:-1], axis=-1)
    return np.concatenate([part[axis] for axis, part in enumerate(parts)], axis=-1)


def interleaved_sections(positions, theta, pairs_of_axis):
    """Qwen3-VL: the angles of the first axis, among which strides are those of the others."""
    angles = positions.T[:, :, None] * theta
    result = angles[0].copy()
    axes = len(pairs_of_axis)
    for axis in range(1, axes):
        stride = slice(axis, axes * pairs_of_axis[axis], axes)
        result[:, stride] = angles[axis][:, stride]
    return result


def each_axis(positions, theta):
    """Vision encoders: the angles of one axis after those of another."""
    return np.concatenate([np.outer(p, theta) for p in positions.T], axis=-1)


def write(name, values):
    values = np.asarray(values, dtype=np.float64).ravel()
    print(f"inline constexpr double {name}[] = {{")
    for i in range(0, len(values), 4):
        print("    " + ", ".join(repr(float(v)) for v in values[i:i + 4]) + ",")
    print("};\n")


def main():
    print("// SPDX-FileCopyrightText: 2026 The headroom authors")
    print("// SPDX-License-Identifier: Apache-2.0")
    print("// Written by rope.py, not by hand.")
    print("#pragma once\n\n// clang-format off\nnamespace golden::rope {\n")

    r = 32
    write("plain_1e4", plain(r, 1e4))
    write("linear_4", linear(r, 1e4, 4))
    write("ntk_8", ntk(r, 1e4, 8))
    write("yarn_40", yarn(r, 1e4, 40, 4096))
    write("yarn_32_untruncated", yarn(r, 150000, 32, 4096, truncate=False))
    write("yarn_short", yarn(r, 1e4, 4, 64))  # the ramp would begin before the first pair
    write("yarn_long", yarn(r, 1e4, 4, 65536))  # and would end after the last one
    write("llama3_8", llama3(r, 500000, 8, 8192, 1, 4))
    factors = 1 + np.arange(r // 2) / 8
    write("per_pair", plain(r, 1e4) / factors)

    rng = np.random.default_rng(20260101)
    x = rng.standard_normal((3, 2, 12)).astype(np.float32).astype(np.float64)
    positions = np.array([0, 7, 100003])
    write("x", x)
    write("half_full", rotate(x, positions, plain(12, 1e4), False, 1.0))
    write("interleaved_full", rotate(x, positions, plain(12, 1e4), True, 1.0))
    write("half_yarn_partial", rotate(x, positions, yarn(8, 1e4, 40, 4096), False, 1.25))
    write("interleaved_yarn_partial", rotate(x, positions, yarn(8, 1e4, 40, 4096), True, 1.25))

    places = np.array([[5, 0, 0], [5, 1, 3], [40, 17, 9]])  # time, height, width
    theta = plain(12, 1e4)
    write("three_axes", rotate_by(x, sections(places, theta, [2, 3, 1]), False, 1.25))
    write("three_axes_interleaved",
          rotate_by(x, interleaved_sections(places, theta, [3, 2, 1]), True, 1.0))
    write("two_axes", rotate_by(x, each_axis(places[:, 1:], plain(6, 1e4)), False, 1.0))
    print("}  // namespace golden::rope")


if __name__ == "__main__":
    main()
