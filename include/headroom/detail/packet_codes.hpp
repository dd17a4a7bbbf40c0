// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/packet.hpp>
#include <headroom/detail/packet_end.hpp>
#include <headroom/detail/packet_stored.hpp>

#include <bit>
#include <cstdint>
#include <cstring>

// Numbers that are stored as codes of 8 bits and fewer, as packets of floats.

namespace headroom::inline HEADROOM_ISA::detail {

/// Of as many bytes as a packet has lanes four bits each, from bit `first` on: 0 to 15.
template <int first>
packet load_nibbles(const std::uint8_t* from) {
  static_assert(first == 0 || first == 4);
#if defined(EIGEN_VECTORIZE_AVX512)
  const __m512i bytes =
      _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  return _mm512_cvtepi32_ps(first == 0 ? _mm512_and_si512(bytes, _mm512_set1_epi32(15))
                                       : _mm512_srli_epi32(bytes, 4));
#elif defined(EIGEN_VECTORIZE_AVX2)
  const __m256i bytes =
      _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
  return _mm256_cvtepi32_ps(first == 0 ? _mm256_and_si256(bytes, _mm256_set1_epi32(15))
                                       : _mm256_srli_epi32(bytes, 4));
#elif defined(EIGEN_VECTORIZE_SSE) && !defined(EIGEN_VECTORIZE_AVX)
  const __m128i zero = _mm_setzero_si128();
  const __m128i bytes = _mm_unpacklo_epi16(_mm_unpacklo_epi8(load_4_bytes(from), zero), zero);
  return _mm_cvtepi32_ps(first == 0 ? _mm_and_si128(bytes, _mm_set1_epi32(15))
                                    : _mm_srli_epi32(bytes, 4));
#elif defined(EIGEN_VECTORIZE_NEON) && EIGEN_ARCH_ARM64
  const uint32x4_t bytes =
      vmovl_u16(vget_low_u16(vmovl_u8(vreinterpret_u8_s8(load_4_bytes(from)))));
  return vcvtq_f32_u32(first == 0 ? vandq_u32(bytes, vdupq_n_u32(15)) : vshrq_n_u32(bytes, 4));
#else
  float numbers[lanes];
  for (int i = 0; i < lanes; ++i) numbers[i] = static_cast<float>(from[i] >> first & 15);
  return load(numbers);
#endif
}

#if defined(__F16C__) && defined(EIGEN_VECTORIZE_AVX512)
// The sign, extended, comes to stand in two bits; one of them is the exponent's.
inline packet widen_e4m3(__m128i codes) {
  const __m256i bits = _mm256_slli_epi16(_mm256_cvtepi8_epi16(codes), 7);
  return _mm512_cvtph_ps(_mm256_and_si256(bits, _mm256_set1_epi16(-16512)));
}
#endif

/// As many codes of fp8 e4m3 as a packet has lanes, as the 256th parts of their numbers: those are
/// halves of the same bits, but for their place. The codes of NaN are 480 / 256.
inline packet load_e4m3(const std::uint8_t* from) {
#if defined(__F16C__) && defined(EIGEN_VECTORIZE_AVX512)
  return widen_e4m3(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
#elif defined(__F16C__) && defined(EIGEN_VECTORIZE_AVX2)
  const __m128i codes = _mm_cvtepi8_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
  return _mm256_cvtph_ps(_mm_and_si128(_mm_slli_epi16(codes, 7), _mm_set1_epi16(-16512)));
#elif defined(EIGEN_VECTORIZE_NEON) && EIGEN_ARCH_ARM64
  const int16x4_t codes = vshl_n_s16(vget_low_s16(vmovl_s8(load_4_bytes(from))), 7);
  return vcvt_f32_f16(vreinterpret_f16_s16(vand_s16(codes, vdup_n_s16(-16512))));
#else
  // Floats of the same bits are smaller by 2^120, and may be subnormal.
  float numbers[lanes];
  for (int i = 0; i < lanes; ++i)
    numbers[i] = std::bit_cast<float>((from[i] & 0x80u) << 24 | (from[i] & 0x7fu) << 20);
  return multiply(load(numbers), broadcast(0x1p112f));
#endif
}

/// The first `count` of these, and 0 in the other lanes, as of load_first.
inline packet load_first_e4m3(const std::uint8_t* from, Index count) {
#if defined(__F16C__) && defined(EIGEN_VECTORIZE_AVX512) && defined(__AVX512BW__) && \
    defined(__AVX512VL__)
  return widen_e4m3(_mm_maskz_loadu_epi8(first_lanes(count), from));
#else
  std::uint8_t codes[lanes] = {};
  for (Index i = 0; i < count; ++i) codes[i] = from[i];
  return load_e4m3(codes);
#endif
}

/// The low 8 bits of each lane.
inline void store_low_bytes(std::uint8_t* to, const packet& from) {
#if defined(EIGEN_VECTORIZE_AVX512)
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtepi32_epi8(_mm512_castps_si512(from)));
#elif defined(EIGEN_VECTORIZE_AVX2)
  // To the first four bytes of each half.
  const __m256i bytes = _mm256_shuffle_epi8(
      _mm256_castps_si256(from), _mm256_broadcastsi128_si256(_mm_setr_epi8(
                                     0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1)));
  _mm_storel_epi64(
      reinterpret_cast<__m128i*>(to),
      _mm_unpacklo_epi32(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1)));
#elif defined(EIGEN_VECTORIZE_SSE) && !defined(EIGEN_VECTORIZE_AVX)
  const __m128i bytes = _mm_and_si128(_mm_castps_si128(from), _mm_set1_epi32(255));
  const __m128i halves = _mm_packs_epi32(bytes, bytes);
  const std::int32_t four = _mm_cvtsi128_si32(_mm_packus_epi16(halves, halves));
  std::memcpy(to, &four, sizeof four);
#elif defined(EIGEN_VECTORIZE_NEON) && EIGEN_ARCH_ARM64
  const uint16x4_t halves = vmovn_u32(vreinterpretq_u32_f32(from));
  const uint8x8_t bytes = vmovn_u16(vcombine_u16(halves, halves));
  std::memcpy(to, &bytes, 4);
#else
  float numbers[lanes];
  store(numbers, from);
  for (int i = 0; i < lanes; ++i)
    to[i] = static_cast<std::uint8_t>(std::bit_cast<std::uint32_t>(numbers[i]));
#endif
}

/// Rounds to the nearest whole numbers, ties to even, of at most 127 each: 1.5 * 2^23 and one of
/// these leave no bits for a fraction, and the lowest are the number's.
inline void store_rounded(std::int8_t* to, const packet& from) {
  store_low_bytes(reinterpret_cast<std::uint8_t*>(to), add(from, broadcast(0x1.8p23f)));
}

/// Rounds likewise, to whole numbers from 0 to 15: those of `low` to the low, those of `high` to
/// the high four bits of a byte.
inline void store_nibbles(std::uint8_t* to, const packet& low, const packet& high) {
  const packet magic = broadcast(0x1.8p23f);
  const packet whole = as_written(subtract(as_written(add(high, magic)), magic));
  store_low_bytes(to, multiply_add(whole, broadcast(16.f), as_written(add(low, magic))));
}

/// The codes of the numbers of fp8 e4m3 that are nearest, ties to even, and at most 448; of what is
/// no number, any.
///
/// Added to a number's power of two times 1.5 * 2^20, or to that of the smallest normal number, it
/// keeps the bits that a code has room for. Times 2^-120 these are the code, but below the smallest
/// normal number, where codes count steps: there a bit is set for as long as it takes, since
/// floats that small are slow, or 0.
inline void store_e4m3(std::uint8_t* to, const packet& from) {
  constexpr float least_normal = 0x1p-6f;
  const packet least = broadcast(least_normal);
  const packet size = minimum(absolute(from), broadcast(448.f));
  const packet power = maximum(masked(size, 0x7f800000u), least);
  const packet magic = multiply(power, broadcast(0x1.8p20f));
  const packet rounded = as_written(subtract(as_written(add(size, magic)), magic));
  const packet raised =
      add(rounded, where_less(rounded, least, std::bit_cast<std::uint32_t>(least_normal)));
  const packet code =
      without(multiply(raised, broadcast(0x1p-120f)), where_less(rounded, least, 0x00800000u));
  const packet sign = shift_bits_right<4>(masked(from, 0x80000000u));
  store_low_bytes(to, shift_bits_right<20>(either(code, sign)));
}

}  // namespace headroom::inline HEADROOM_ISA::detail
