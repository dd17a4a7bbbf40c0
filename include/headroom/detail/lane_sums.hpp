// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/packet.hpp>

namespace headroom::inline HEADROOM_ISA::detail {

/// Lane i is the sum of the lanes of packet i. Dot products end in it: at width 128 a score is 8
/// multiply-adds, so that shuffles count, and so does a call, which sends all packets to memory.
HEADROOM_ALWAYS_INLINE inline packet lane_sums(square& packets) {
#if defined(EIGEN_VECTORIZE_AVX512)
  // Packets are joined in pairs, and each join adds half of the lanes to the other half: 30
  // shuffles and blends, where a transposition takes 64. Quads are the 128-bit parts of a packet.
  packet* const p = packets.packet;
  HEADROOM_UNROLL for (int i = 0; i < 8; ++i) {  // quads [a a b b]
    const packet a = p[2 * i], b = p[2 * i + 1];
    p[i] = add(_mm512_mask_blend_ps(0xCCCC, a, b), _mm512_shuffle_ps(a, b, 0x4E));
  }
  HEADROOM_UNROLL for (int i = 0; i < 4; ++i) {  // quads [a b c d]
    const packet a = p[2 * i], b = p[2 * i + 1];
    p[i] = add(_mm512_shuffle_ps(a, b, 0x88), _mm512_shuffle_ps(a, b, 0xDD));
  }
  HEADROOM_UNROLL for (int i = 0; i < 2; ++i) {
    const packet a = p[2 * i], b = p[2 * i + 1];
    p[i] = add(_mm512_mask_blend_ps(0xFF00, a, b), _mm512_shuffle_f32x4(a, b, 0x4E));
  }
  return add(_mm512_shuffle_f32x4(p[0], p[1], 0x88), _mm512_shuffle_f32x4(p[0], p[1], 0xDD));
#elif defined(EIGEN_VECTORIZE_AVX)
  packet* const p = packets.packet;
  HEADROOM_UNROLL for (int i = 0; i < 4; ++i) {  // quads [a a b b]
    const packet a = p[2 * i], b = p[2 * i + 1];
    p[i] = add(_mm256_blend_ps(a, b, 0xCC), _mm256_shuffle_ps(a, b, 0x4E));
  }
  HEADROOM_UNROLL for (int i = 0; i < 2; ++i) {  // quads [a b c d]
    const packet a = p[2 * i], b = p[2 * i + 1];
    p[i] = add(_mm256_shuffle_ps(a, b, 0x88), _mm256_shuffle_ps(a, b, 0xDD));
  }
  return add(_mm256_blend_ps(p[0], p[1], 0xF0), _mm256_permute2f128_ps(p[0], p[1], 0x21));
#else
  return sums_of(packets);
#endif
}

/// The same of one packet, added in the same order: a score has the same bits wherever its key
/// lies.
HEADROOM_ALWAYS_INLINE inline float lane_sum(packet a) {
#if defined(EIGEN_VECTORIZE_AVX512)
  a = add(a, _mm512_shuffle_ps(a, a, 0x4E));
  a = add(a, _mm512_shuffle_ps(a, a, 0xB1));
  a = add(a, _mm512_shuffle_f32x4(a, a, 0x4E));
  return _mm512_cvtss_f32(add(a, _mm512_shuffle_f32x4(a, a, 0xB1)));
#elif defined(EIGEN_VECTORIZE_AVX)
  a = add(a, _mm256_shuffle_ps(a, a, 0x4E));
  a = add(a, _mm256_shuffle_ps(a, a, 0xB1));
  return _mm256_cvtss_f32(add(a, _mm256_permute2f128_ps(a, a, 0x01)));
#else
  float numbers[lanes];
  store(numbers, a);
  float sum = numbers[0];
  for (int i = 1; i < lanes; ++i) sum += numbers[i];
  return sum;
#endif
}

}  // namespace headroom::inline HEADROOM_ISA::detail
