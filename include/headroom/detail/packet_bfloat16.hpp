// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/packet.hpp>

#include <concepts>
#include <cstdint>
#include <type_traits>
#include <utility>

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

/// The numbers of two rows, number by number: lane i of packet p becomes pair p * lanes + i.
template <int packets>
void interleave(const Eigen::bfloat16* first, const Eigen::bfloat16* second,
                widened_pairs (&pairs)[packets]) {
  for (int p = 0; p < packets; ++p) pairs[p] = {load(first + p * lanes), load(second + p * lanes)};
}

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

template <int packets>
HEADROOM_ALWAYS_INLINE inline void interleave(const Eigen::bfloat16* first,
                                              const Eigen::bfloat16* second,
                                              dot_pairs (&pairs)[packets]) {
  if constexpr (packets == 1) {
    const auto bits = [](const Eigen::bfloat16* from) HEADROOM_ALWAYS_INLINE {
      return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
    };
    pairs[0] = {_mm512_or_si512(bits(first), _mm512_slli_epi32(bits(second), 16))};
  } else {
    static_assert(packets % 2 == 0);
    // Numbers i and 32 + i of the two rows together: the low halves of all pairs, and the high.
    const __m512i i = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i low =
        _mm512_or_si512(_mm512_set1_epi32(32 << 16), _mm512_or_si512(i, _mm512_slli_epi32(i, 16)));
    const __m512i high = _mm512_or_si512(low, _mm512_set1_epi32(16 << 16 | 16));
    unroll<packets / 2>([&](auto p) HEADROOM_ALWAYS_INLINE {
      dot_pairs a{_mm512_loadu_si512(first + 2 * p * lanes)};
      dot_pairs b{_mm512_loadu_si512(second + 2 * p * lanes)};
      keep(a);
      keep(b);
      pairs[2 * p] = {_mm512_permutex2var_epi16(a.bits, low, b.bits)};
      pairs[2 * p + 1] = {_mm512_permutex2var_epi16(a.bits, high, b.bits)};
    });
  }
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

/// What an operand is made of.
template <class Operand>
using number_of = std::conditional_t<is_pair<Operand>, Eigen::bfloat16, float>;

/// A packet of operands.
template <class Operand>
using packet_of = decltype(load(std::declval<const Operand*>()));

}  // namespace headroom::inline HEADROOM_ISA::detail
