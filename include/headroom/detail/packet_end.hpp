// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/packet.hpp>
#include <headroom/detail/packet_stored.hpp>

#include <cstdint>
#include <type_traits>

// Rows whose last numbers fill no packet. What is behind them is another row, or no memory at all:
// it is neither read nor written.

namespace headroom::inline HEADROOM_ISA::detail {

#if defined(EIGEN_VECTORIZE_AVX)
// The first lanes of a packet.
inline auto first_lanes(Index count) {
  using mask = std::conditional_t<(lanes > 8), std::uint16_t, std::uint8_t>;
  return static_cast<mask>((1u << count) - 1);
}
#endif

/// Of as many numbers as a packet has lanes the first `count`, widened to float, and 0 in the other
/// lanes. What is behind them is not read.
template <class Number>
packet load_first(const Number* from, Index count) {
  Number numbers[lanes] = {};
  for (Index i = 0; i < count; ++i) numbers[i] = from[i];
  return load(numbers);
}
/// The first `count` numbers of a packet, and 0 in the other lanes.
inline packet first_of(const packet& p, Index count) {
#if defined(EIGEN_VECTORIZE_AVX512)
  return _mm512_maskz_mov_ps(first_lanes(count), p);
#else
  float numbers[lanes];
  store(numbers, p);
  for (Index i = count; i < lanes; ++i) numbers[i] = 0;
  return load(numbers);
#endif
}
/// Stores the first `count` numbers of a packet; what is behind them is not written.
inline void store_first(float* to, const packet& p, Index count) {
#if defined(EIGEN_VECTORIZE_AVX)
  Eigen::internal::pstoreu(to, p, first_lanes(count));
#else
  float numbers[lanes];
  store(numbers, p);
  for (Index i = 0; i < count; ++i) to[i] = numbers[i];
#endif
}
#if defined(EIGEN_VECTORIZE_AVX)
inline packet load_first(const float* from, Index count) {
  return Eigen::internal::ploadu<packet>(from, first_lanes(count));
}
#endif
#if defined(EIGEN_VECTORIZE_AVX512) && defined(__AVX512BW__) && defined(__AVX512VL__)
inline packet load_first(const Eigen::half* from, Index count) {
  return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first_lanes(count), from));
}
inline packet load_first(const Eigen::bfloat16* from, Index count) {
  const __m256i numbers = _mm256_maskz_loadu_epi16(first_lanes(count), from);
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(numbers), 16));
}
inline packet load_first(const std::int8_t* from, Index count) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(first_lanes(count), from)));
}
#endif

}  // namespace headroom::inline HEADROOM_ISA::detail
