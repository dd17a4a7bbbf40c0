// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/packet.hpp>

#include <cstdint>
#include <type_traits>
#include <utility>

// What products multiply: floats, or pairs of numbers of 16 bits. Two numbers that are neighbours
// in the depth of a product then share a lane, and each lane adds both of their products. Some
// processors have one instruction for that; packet_bfloat16.hpp and packet_int16.hpp have it, and
// twins of it on packets of floats, which are no faster than floats, so that only tests use them.

namespace headroom::inline HEADROOM_ISA::detail {

/// An operand of a product: a float, or a pair.
template <class Operand>
inline constexpr bool is_pair = !std::is_same_v<Operand, float>;

/// Numbers of the depth of a product in one operand.
template <class Operand>
inline constexpr Index depth_of = is_pair<Operand> ? 2 : 1;

template <class Operand>
struct operand_number {
  using type = decltype(Operand::first);
};
template <>
struct operand_number<float> {
  using type = float;
};

/// What an operand is made of.
template <class Operand>
using number_of = typename operand_number<Operand>::type;

/// Whether that is whole numbers. They have a unit beside them, and sums are to be multiplied by
/// it.
template <class Operand>
inline constexpr bool is_integer = std::is_same_v<number_of<Operand>, std::int16_t>;

/// A packet of operands.
template <class Operand>
using packet_of = decltype(load(std::declval<const Operand*>()));

/// What their products are summed in: floats, unless told.
template <class Operand>
struct sums_of_products {
  using type = packet;
};
template <class Operand>
using sum_packet = typename sums_of_products<Operand>::type;

/// A packet of pairs, widened.
struct widened_pairs {
  packet first, second;
};

inline packet multiply_add(const widened_pairs& a, const widened_pairs& b, const packet& c) {
  return multiply_add(a.second, b.second, multiply_add(a.first, b.first, c));
}
inline void keep(widened_pairs&) {}

// Sums of floats are what they are; those of whole numbers are converted.
inline packet as_floats(const packet& sums) {
  return sums;
}

#if defined(EIGEN_VECTORIZE_AVX2)
/// Keeps pairs in a register, as keep() of a packet does.
inline void keep(__m256i& bits) {
  __m256i kept = bits;
  asm("" : "+x"(kept));
  bits = kept;
}
#endif

#if defined(EIGEN_VECTORIZE_AVX512)
inline void keep(__m512i& bits) {
  __m512i kept = bits;
  asm("" : "+v"(kept));
  bits = kept;
}

/// Numbers of 16 bits of two rows, pair by pair.
HEADROOM_ALWAYS_INLINE inline __m512i interleave(__m256i first, __m256i second) {
  return _mm512_or_si512(_mm512_cvtepu16_epi32(first),
                         _mm512_slli_epi32(_mm512_cvtepu16_epi32(second), 16));
}

/// The same of twice as many: those of the low halves take the place of the first, and of the high.
HEADROOM_ALWAYS_INLINE inline void interleave(__m512i& first, __m512i& second) {
  const __m512i i = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i low =
      _mm512_or_si512(_mm512_set1_epi32(32 << 16), _mm512_or_si512(i, _mm512_slli_epi32(i, 16)));
  const __m512i high = _mm512_or_si512(low, _mm512_set1_epi32(16 << 16 | 16));
  keep(first);
  keep(second);
  const __m512i of_low = _mm512_permutex2var_epi16(first, low, second);
  second = _mm512_permutex2var_epi16(first, high, second);
  first = of_low;
}
#endif

}  // namespace headroom::inline HEADROOM_ISA::detail
