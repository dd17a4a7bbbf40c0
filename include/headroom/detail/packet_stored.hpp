// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/packet.hpp>

#include <cstdint>
#include <cstring>
#include <limits>

// Numbers as they are stored, in 16 bits or 8, as packets of floats. What an instruction set does
// in a few steps, and Eigen one by one, has functions of its own here; the two templates are what
// they do.

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wignored-attributes"
#endif

namespace headroom::inline HEADROOM_ISA::detail {

// Eigen's packet that holds as many Numbers as a packet has lanes, and whether it is cast in one
// step.
template <class Number>
using stored_packet = typename Eigen::internal::find_best_packet<Number, lanes>::type;
template <class From, class To>
inline constexpr bool casts = [] {
  using traits = Eigen::internal::type_casting_traits<From, To>;
  return traits::VectorizedCast && int(traits::SrcCoeffRatio) == 1 &&
         int(traits::TgtCoeffRatio) == 1;
}();
template <class Number>
inline constexpr bool fills_lanes =
    int(Eigen::internal::unpacket_traits<stored_packet<Number>>::size) == lanes;

/// As many stored numbers as a packet has lanes, widened to float: exact.
template <class Number>
packet load(const Number* from) {
  if constexpr (casts<Number, float> && fills_lanes<Number>) {
    return Eigen::internal::pcast<stored_packet<Number>, packet>(
        Eigen::internal::ploadu<stored_packet<Number>>(from));
  } else {
    float numbers[lanes];
    for (int i = 0; i < lanes; ++i) numbers[i] = static_cast<float>(from[i]);
    return load(numbers);
  }
}

/// Stores a packet as Numbers, rounded to nearest.
template <class Number>
void store(Number* to, const packet& p) {
  if constexpr (casts<float, Number> && fills_lanes<Number>) {
    Eigen::internal::pstoreu(to, Eigen::internal::pcast<packet, stored_packet<Number>>(p));
  } else {
    float numbers[lanes];
    store(numbers, p);
    for (int i = 0; i < lanes; ++i) to[i] = static_cast<Number>(numbers[i]);
  }
}

#if defined(EIGEN_VECTORIZE_AVX512)

inline packet load(const Eigen::half* from) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
inline void store(Eigen::half* to, const packet& p) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                      _mm512_cvtps_ph(p, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
inline packet load(const std::int8_t* from) {
  return _mm512_cvtepi32_ps(
      _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
}

#elif defined(EIGEN_VECTORIZE_AVX)

#if defined(__F16C__)
inline packet load(const Eigen::half* from) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}
inline void store(Eigen::half* to, const packet& p) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_cvtps_ph(p, _MM_FROUND_TO_NEAREST_INT));
}
#endif
#if defined(EIGEN_VECTORIZE_AVX2)
inline packet load(const std::int8_t* from) {
  return _mm256_cvtepi32_ps(
      _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from))));
}
#endif

#elif defined(EIGEN_VECTORIZE_SSE)

// Four numbers of 16 bits, each as the high half of 32.
inline __m128i load_high_halves(const void* from) {
  return _mm_unpacklo_epi16(_mm_setzero_si128(),
                            _mm_loadl_epi64(static_cast<const __m128i*>(from)));
}
// The high halves of what becomes numbers of 16 bits.
inline void store_high_halves(void* to, __m128i bits) {
  const __m128i halves = _mm_srai_epi32(bits, 16);
  _mm_storel_epi64(static_cast<__m128i*>(to), _mm_packs_epi32(halves, halves));
}

inline packet load(const Eigen::bfloat16* from) {
  return _mm_castsi128_ps(load_high_halves(from));
}
inline void store(Eigen::bfloat16* to, const packet& p) {
  const __m128i bits = _mm_castps_si128(p), nan = _mm_castps_si128(_mm_cmpunord_ps(p, p));
  // Half of the last place that stays, and one less where that place is even.
  const __m128i odd = _mm_and_si128(_mm_srli_epi32(bits, 16), _mm_set1_epi32(1));
  const __m128i half = _mm_add_epi32(odd, _mm_set1_epi32(0x7fff));
  const __m128i rounded = _mm_add_epi32(bits, _mm_andnot_si128(nan, half));
  store_high_halves(to, _mm_or_si128(rounded, _mm_and_si128(nan, _mm_set1_epi32(0x00400000))));
}

// A half's exponent and fraction come to stand where a float's do, and 127 - 15 is added to the
// exponent, once more to that of infinities. Subnormal numbers get the leading 1 that they lack,
// and then lose it by a subtraction: multiplied, they would be subnormal floats, which are slow.
inline packet load(const Eigen::half* from) {
  const __m128i bits = _mm_srai_epi32(load_high_halves(from), 3);
  const __m128i sign = _mm_and_si128(bits, _mm_set1_epi32(std::numeric_limits<int>::min()));
  const __m128i size = _mm_and_si128(bits, _mm_set1_epi32(0x0fffe000));
  const __m128i bias = _mm_set1_epi32((127 - 15) << 23), one = _mm_set1_epi32(1 << 23);
  const __m128i infinite = _mm_cmpgt_epi32(size, _mm_set1_epi32((31 << 23) - 1));
  const __m128i subnormal = _mm_cmpgt_epi32(one, size);
  const __m128i number = _mm_add_epi32(_mm_add_epi32(size, bias), _mm_and_si128(infinite, bias));
  const packet exact =
      _mm_sub_ps(_mm_castsi128_ps(_mm_add_epi32(number, _mm_and_si128(subnormal, one))),
                 _mm_castsi128_ps(_mm_and_si128(subnormal, _mm_add_epi32(bias, one))));
  return _mm_or_ps(exact, _mm_castsi128_ps(sign));
}
inline void store(Eigen::half* to, const packet& p) {
  const __m128i bits = _mm_castps_si128(p), nan = _mm_castps_si128(_mm_cmpunord_ps(p, p));
  const __m128i sign = _mm_and_si128(bits, _mm_set1_epi32(std::numeric_limits<int>::min()));
  const __m128i size = _mm_xor_si128(bits, sign);
  const auto where = [](__m128i condition, __m128i then, __m128i otherwise) {
    return _mm_or_si128(_mm_and_si128(condition, then), _mm_andnot_si128(condition, otherwise));
  };
  // Ties to even, as above; what is too large becomes infinity by the carry, or below.
  const __m128i odd = _mm_and_si128(_mm_srli_epi32(size, 13), _mm_set1_epi32(1));
  const __m128i half = _mm_add_epi32(odd, _mm_set1_epi32(0xfff - ((127 - 15) << 23)));
  const __m128i normal = _mm_slli_epi32(_mm_srli_epi32(_mm_add_epi32(size, half), 13), 16);
  // The last place of 0.5 is that of subnormal halves.
  const __m128i magic = _mm_castps_si128(_mm_set1_ps(0.5f));
  const __m128i sum = _mm_castps_si128(_mm_add_ps(_mm_castsi128_ps(size), _mm_set1_ps(0.5f)));
  const __m128i subnormal = _mm_slli_epi32(_mm_sub_epi32(sum, magic), 16);
  const __m128i infinite =
      _mm_or_si128(_mm_set1_epi32(0x7c000000), _mm_and_si128(nan, _mm_set1_epi32(0x02000000)));
  const __m128i is_small = _mm_cmpgt_epi32(_mm_set1_epi32((127 - 14) << 23), size);
  const __m128i is_large = _mm_cmpgt_epi32(size, _mm_set1_epi32(((127 + 16) << 23) - 1));
  store_high_halves(
      to, _mm_or_si128(sign, where(is_large, infinite, where(is_small, subnormal, normal))));
}

// Bytes, whatever they are.
inline __m128i load_4_bytes(const void* from) {
  std::int32_t bits;
  std::memcpy(&bits, from, sizeof bits);
  return _mm_cvtsi32_si128(bits);
}
inline packet load(const std::int8_t* from) {
  const __m128i bytes = load_4_bytes(from);
  const __m128i halves = _mm_unpacklo_epi8(bytes, bytes);
  return _mm_cvtepi32_ps(_mm_srai_epi32(_mm_unpacklo_epi16(halves, halves), 24));
}

#elif defined(EIGEN_VECTORIZE_NEON) && EIGEN_ARCH_ARM64

// Four numbers of 16 bits, whatever they are.
inline uint16x4_t load_16_bits(const void* from) {
  uint16x4_t bits;
  std::memcpy(&bits, from, sizeof bits);
  return bits;
}
inline void store_16_bits(void* to, uint16x4_t bits) {
  std::memcpy(to, &bits, sizeof bits);
}

inline packet load(const Eigen::half* from) {
  return vcvt_f32_f16(vreinterpret_f16_u16(load_16_bits(from)));
}
inline void store(Eigen::half* to, const packet& p) {
  store_16_bits(to, vreinterpret_u16_f16(vcvt_f16_f32(p)));
}
inline packet load(const Eigen::bfloat16* from) {
  return vreinterpretq_f32_u32(vshlq_n_u32(vmovl_u16(load_16_bits(from)), 16));
}
inline void store(Eigen::bfloat16* to, const packet& p) {
  const uint32x4_t bits = vreinterpretq_u32_f32(p), number = vceqq_f32(p, p);
  // Half of the last place that stays, and less by one where that place is even.
  const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
  const uint32x4_t half = vandq_u32(number, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
  const uint32x4_t quiet = vbicq_u32(vdupq_n_u32(0x00400000), number);
  store_16_bits(to, vshrn_n_u32(vorrq_u32(vaddq_u32(bits, half), quiet), 16));
}
// Bytes, whatever they are, twice.
inline int8x8_t load_4_bytes(const void* from) {
  std::int32_t bits;
  std::memcpy(&bits, from, sizeof bits);
  return vreinterpret_s8_s32(vdup_n_s32(bits));
}
inline packet load(const std::int8_t* from) {
  return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(load_4_bytes(from)))));
}

#endif

}  // namespace headroom::inline HEADROOM_ISA::detail

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
