// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/operand.hpp>
#include <headroom/detail/packet.hpp>
#include <headroom/detail/packet_stored.hpp>

#include <cstdint>

// Products of pairs of bfloat16, summed in float. With AVX512-BF16 that is one instruction, on some
// processors twice as fast as multiply-adds in float.

namespace headroom::inline HEADROOM_ISA::detail {

/// Two bfloat16 side by side, multiplied as widened floats.
struct widened_pair {
  Eigen::bfloat16 first, second;
};

inline widened_pairs load(const widened_pair* from) {
  // A pair's first number is the low half of its 32 bits.
  const packet both = load(reinterpret_cast<const float*>(from));
  return {low_half_as_float(both), high_half_as_float(both)};
}
inline widened_pairs broadcast(widened_pair pair) {
  return {broadcast(static_cast<float>(pair.first)), broadcast(static_cast<float>(pair.second))};
}

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

#if defined(__AVX512BF16__) && defined(EIGEN_VECTORIZE_AVX512)

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
  keep(pairs.bits);
}
inline void store_pairs(dot_pair* to, const packet& first, const packet& second) {
  const auto bits = [](const packet& numbers) {
    return reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(numbers));
  };
  _mm512_storeu_si512(to, interleave(bits(first), bits(second)));
}

template <int packets>
HEADROOM_ALWAYS_INLINE inline void interleave(const Eigen::bfloat16* first,
                                              const Eigen::bfloat16* second,
                                              dot_pairs (&pairs)[packets]) {
  if constexpr (packets == 1) {
    pairs[0] = {interleave(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(first)),
                           _mm256_loadu_si256(reinterpret_cast<const __m256i*>(second)))};
  } else {
    static_assert(packets % 2 == 0);
    HEADROOM_UNROLL for (int p = 0; p < packets / 2; ++p) {
      __m512i a = _mm512_loadu_si512(first + 2 * p * lanes);
      __m512i b = _mm512_loadu_si512(second + 2 * p * lanes);
      interleave(a, b);
      pairs[2 * p] = {a};
      pairs[2 * p + 1] = {b};
    }
  }
}

using bfloat16_pair = dot_pair;
#else
using bfloat16_pair = widened_pair;
#endif

/// What rounding two packets to pairs took from them, as pairs: both together are 16 bits of a
/// number, not 8.
template <class Pair>
void store_residuals(Pair* to, const Pair* pairs, const packet& first, const packet& second) {
  const packet both = load(reinterpret_cast<const float*>(pairs));
  store_pairs(to, subtract(first, low_half_as_float(both)),
              subtract(second, high_half_as_float(both)));
}

/// Of up to so many keys, weights rounded to pairs are multiplied together with their residuals: a
/// row's error is largest where few weights make it up, and twice the products cost little there.
/// Not where a value is infinite, for a residual may be 0.
inline constexpr Index most_keys_with_residuals = 80;

/// Whether dot products of bfloat16 are faster than multiply-adds in float. Processors that have
/// AMX as well do half as many of these instructions in a second: Sapphire Rapids computes 85
/// GFLOP/s with them and 167 in float.
#if defined(__AVX512BF16__) && defined(EIGEN_VECTORIZE_AVX512) && !defined(__AMX_BF16__)
inline constexpr bool has_fast_bfloat16_dots = true;
#else
inline constexpr bool has_fast_bfloat16_dots = false;
#endif

}  // namespace headroom::inline HEADROOM_ISA::detail
