// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/operand.hpp>
#include <headroom/detail/packet.hpp>
#include <headroom/detail/packet_stored.hpp>

#include <cmath>
#include <cstdint>

// Products of pairs of whole numbers of 16 bits, summed in 32 bits: for keys and values that are
// whole numbers of 8 bits, which are widened by fewer instructions than to floats. To multiply and
// add is one instruction with AVX512-VNNI, two with AVX2.

namespace headroom::inline HEADROOM_ISA::detail {

/// Two whole numbers side by side, multiplied as floats.
struct widened_int16_pair {
  std::int16_t first, second;
};

inline widened_pairs load(const widened_int16_pair* from) {
  float numbers[2][lanes];
  for (int i = 0; i < lanes; ++i) {
    numbers[0][i] = from[i].first;
    numbers[1][i] = from[i].second;
  }
  return {load(numbers[0]), load(numbers[1])};
}
inline widened_pairs broadcast(widened_int16_pair pair) {
  return {broadcast(static_cast<float>(pair.first)), broadcast(static_cast<float>(pair.second))};
}

/// Numbers of a row, neighbours in pairs.
inline void load_pairs(const std::int8_t* from, widened_pairs& pairs) {
  widened_int16_pair numbers[lanes];
  for (int i = 0; i < lanes; ++i) numbers[i] = {from[2 * i], from[2 * i + 1]};
  pairs = load(numbers);
}

/// The numbers of two rows, number by number: lane i of packet p becomes pair p * lanes + i.
template <int packets>
void interleave(const std::int8_t* first, const std::int8_t* second,
                widened_pairs (&pairs)[packets]) {
  for (int p = 0; p < packets; ++p) pairs[p] = {load(first + p * lanes), load(second + p * lanes)};
}

/// Rounds to the nearest whole number; lane i becomes pair i.
inline void store_pairs(widened_int16_pair* to, const packet& first, const packet& second) {
  float numbers[2][lanes];
  store(numbers[0], first);
  store(numbers[1], second);
  for (int i = 0; i < lanes; ++i)
    to[i] = {static_cast<std::int16_t>(std::nearbyint(numbers[0][i])),
             static_cast<std::int16_t>(std::nearbyint(numbers[1][i]))};
}

/// Rounds to the nearest whole numbers.
inline void store_rounded(std::int16_t* to, const packet& from) {
#if defined(EIGEN_VECTORIZE_AVX512)
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                      _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(from)));
#elif defined(EIGEN_VECTORIZE_AVX2)
  const __m256i numbers = _mm256_cvtps_epi32(from);
  _mm_storeu_si128(
      reinterpret_cast<__m128i*>(to),
      _mm_packs_epi32(_mm256_castsi256_si128(numbers), _mm256_extracti128_si256(numbers, 1)));
#else
  float numbers[lanes];
  store(numbers, from);
  for (int i = 0; i < lanes; ++i) to[i] = static_cast<std::int16_t>(std::nearbyint(numbers[i]));
#endif
}

#if defined(EIGEN_VECTORIZE_AVX2) && (defined(__AVX512VNNI__) || !defined(EIGEN_VECTORIZE_AVX512))

/// Two whole numbers side by side, multiplied by the instruction for it.
struct dot_int16_pair {
  std::int16_t first, second;
};

#if defined(EIGEN_VECTORIZE_AVX512)
using integer_bits = __m512i;
#else
using integer_bits = __m256i;
#endif

struct dot_int16_pairs {
  integer_bits bits;
};

/// Sums of their products.
struct int32_sums {
  integer_bits bits;
};

inline void keep(dot_int16_pairs& pairs) {
  keep(pairs.bits);
}

#if defined(EIGEN_VECTORIZE_AVX512)

inline dot_int16_pairs load(const dot_int16_pair* from) {
  return {_mm512_loadu_si512(from)};
}
inline dot_int16_pairs broadcast(dot_int16_pair pair) {
  return {_mm512_set1_epi32(Eigen::numext::bit_cast<std::int32_t>(pair))};
}
inline int32_sums multiply_add(const dot_int16_pairs& a, const dot_int16_pairs& b,
                               const int32_sums& c) {
  return {_mm512_dpwssd_epi32(c.bits, a.bits, b.bits)};
}
inline packet as_floats(const int32_sums& sums) {
  return _mm512_cvtepi32_ps(sums.bits);
}
inline void load_pairs(const std::int8_t* from, dot_int16_pairs& pairs) {
  pairs.bits = _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
inline void store_pairs(dot_int16_pair* to, const packet& first, const packet& second) {
  _mm512_storeu_si512(to,
                      _mm512_mask_blend_epi16(0xAAAAAAAA, _mm512_cvtps_epi32(first),
                                              _mm512_slli_epi32(_mm512_cvtps_epi32(second), 16)));
}

template <int packets>
HEADROOM_ALWAYS_INLINE inline void interleave(const std::int8_t* first, const std::int8_t* second,
                                              dot_int16_pairs (&pairs)[packets]) {
  if constexpr (packets == 1) {
    const auto widened = [](const std::int8_t* from) HEADROOM_ALWAYS_INLINE {
      return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
    };
    pairs[0] = {interleave(widened(first), widened(second))};
  } else {
    static_assert(packets % 2 == 0);
    HEADROOM_UNROLL for (int p = 0; p < packets / 2; ++p) {
      dot_int16_pairs a, b;
      load_pairs(first + 2 * p * lanes, a);
      load_pairs(second + 2 * p * lanes, b);
      interleave(a.bits, b.bits);
      pairs[2 * p] = a;
      pairs[2 * p + 1] = b;
    }
  }
}

#else

inline dot_int16_pairs load(const dot_int16_pair* from) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from))};
}
inline dot_int16_pairs broadcast(dot_int16_pair pair) {
  return {_mm256_set1_epi32(Eigen::numext::bit_cast<std::int32_t>(pair))};
}
inline int32_sums multiply_add(const dot_int16_pairs& a, const dot_int16_pairs& b,
                               const int32_sums& c) {
  // Kept, or GCC multiplies all numbers of a tile before it adds, and sums go through memory.
  int32_sums sum = {_mm256_add_epi32(c.bits, _mm256_madd_epi16(a.bits, b.bits))};
  keep(sum.bits);
  return sum;
}
inline packet as_floats(const int32_sums& sums) {
  return _mm256_cvtepi32_ps(sums.bits);
}
inline void load_pairs(const std::int8_t* from, dot_int16_pairs& pairs) {
  pairs.bits = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}
inline void store_pairs(dot_int16_pair* to, const packet& first, const packet& second) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                      _mm256_blend_epi16(_mm256_cvtps_epi32(first),
                                         _mm256_slli_epi32(_mm256_cvtps_epi32(second), 16), 0xAA));
}

// Bytes become neighbours before they are widened.
template <int packets>
HEADROOM_ALWAYS_INLINE inline void interleave(const std::int8_t* first, const std::int8_t* second,
                                              dot_int16_pairs (&pairs)[packets]) {
  if constexpr (packets == 1) {
    const __m128i a = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(first));
    const __m128i b = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(second));
    pairs[0].bits = _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(a, b));
  } else {
    static_assert(packets % 2 == 0);
    HEADROOM_UNROLL for (int p = 0; p < packets; p += 2) {
      const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(first + p * lanes));
      const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(second + p * lanes));
      pairs[p].bits = _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(a, b));
      pairs[p + 1].bits = _mm256_cvtepi8_epi16(_mm_unpackhi_epi8(a, b));
    }
  }
}

#endif

template <>
struct sums_of_products<dot_int16_pair> {
  using type = int32_sums;
};

using int16_pair = dot_int16_pair;
inline constexpr bool has_fast_int16_dots = true;
#else
using int16_pair = widened_int16_pair;
inline constexpr bool has_fast_int16_dots = false;
#endif

/// The largest whole number that queries and weights are rounded to.
inline constexpr float most_int16 = 32767;

/// Numbers of the depth of a product of such by whole numbers of 8 bits, none above 127, that
/// 32 bits have room for in each lane: 512 * 32767 * 127 < 2^31.
inline constexpr Index most_int16_depth = 512 * lanes;

}  // namespace headroom::inline HEADROOM_ISA::detail
