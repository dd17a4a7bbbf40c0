// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/packet.hpp>

#include <concepts>
#include <cstdint>
#include <type_traits>

// Products of bfloat16, summed in float: two numbers that are neighbours in the depth of a product
// share a lane, and each lane adds both of their products. With AVX512-BF16 that is one
// instruction, on some processors twice as fast as multiply-adds in float. Its generic twin does
// the same on packets of floats; it is no faster than floats, so only tests use it.

namespace headroom::inline HEADROOM_ISA::detail {

/// Two bfloat16 side by side, multiplied as widened floats.
struct widened_pair {
  Eigen::bfloat16 first, second;
};

/// A packet of them, widened.
struct widened_pairs {
  packet first, second;
};

inline widened_pairs load(const widened_pair* from) {
  // A pair's first number is the low half of its 32 bits.
  const packet both = load(reinterpret_cast<const float*>(from));
  return {low_half_as_float(both), high_half_as_float(both)};
}
inline widened_pairs broadcast(widened_pair pair) {
  return {broadcast(static_cast<float>(pair.first)), broadcast(static_cast<float>(pair.second))};
}
inline packet multiply_add(const widened_pairs& a, const widened_pairs& b, const packet& c) {
  return multiply_add(a.second, b.second, multiply_add(a.first, b.first, c));
}
inline void keep(widened_pairs&) {}

/// Rounds to the nearest bfloat16; lane i becomes pair i.
inline void store_pairs(widened_pair* to, const packet& first, const packet& second) {
  Eigen::bfloat16 numbers[2][lanes];
  store(numbers[0], first);
  store(numbers[1], second);
  for (int i = 0; i < lanes; ++i) to[i] = {numbers[0][i], numbers[1][i]};
}

#ifdef __AVX512BF16__

/// Two bfloat16 side by side, multiplied by the instruction for it.
struct dot_pair {
  Eigen::bfloat16 first, second;
};

struct dot_pairs {
  __m512i bits;
};

inline dot_pairs load(const dot_pair* from) {
  return {_mm512_loadu_si512(from)};
}
inline dot_pairs broadcast(dot_pair pair) {
  return {_mm512_set1_epi32(Eigen::numext::bit_cast<std::int32_t>(pair))};
}
inline packet multiply_add(const dot_pairs& a, const dot_pairs& b, const packet& c) {
  return _mm512_dpbf16_ps(c, reinterpret_cast<__m512bh>(a.bits),
                          reinterpret_cast<__m512bh>(b.bits));
}
inline void keep(dot_pairs& pairs) {
  asm("" : "+v"(pairs.bits));
}
inline void store_pairs(dot_pair* to, const packet& first, const packet& second) {
  const auto bits = [](const packet& numbers) {
    return _mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(numbers)));
  };
  _mm512_storeu_si512(to, _mm512_or_si512(bits(first), _mm512_slli_epi32(bits(second), 16)));
}

using bfloat16_pair = dot_pair;
#else
using bfloat16_pair = widened_pair;
#endif

/// Whether dot products of bfloat16 are faster than multiply-adds in float. Processors that have
/// AMX as well do half as many of these instructions in a second: Sapphire Rapids computes 85
/// GFLOP/s with them and 167 in float.
#if defined(__AVX512BF16__) && !defined(__AMX_BF16__)
inline constexpr bool has_fast_bfloat16_dots = true;
#else
inline constexpr bool has_fast_bfloat16_dots = false;
#endif

/// An operand of a product: a float, or a pair of bfloat16.
template <class Operand>
inline constexpr bool is_pair = !std::same_as<Operand, float>;

/// Numbers of the depth of a product in one operand.
template <class Operand>
inline constexpr Index depth_of = is_pair<Operand> ? 2 : 1;

}  // namespace headroom::inline HEADROOM_ISA::detail
