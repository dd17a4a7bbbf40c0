// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/machine_limits.hpp"

// The instruction that multiplies pairs of bfloat16 and adds them to a float, where the CPU has it.
#ifdef __AVX512BF16__
#include <immintrin.h>

namespace headroom_bench {

template <std::size_t... I>
void add_dots(sums& acc, __m512bh a, __m512bh b, std::index_sequence<I...>) {
  ((acc[I] = _mm512_dpbf16_ps(acc[I], a, b)), ...);
}

/// Dot products of bfloat16 in registers, a few ms of them. Returns their flops.
inline double bfloat16_dots() {
  constexpr Eigen::Index rounds = 1 << 20;
  constexpr double flops_of_one = 16 * 4;  // 16 sums, each of two multiply-adds
  sums acc;
  for (std::size_t i = 0; i < chains; ++i) acc[i] = lanes{} + static_cast<float>(i);
  __m512 halves = _mm512_set1_ps(0.5f);
  benchmark::DoNotOptimize(halves);
  const __m512bh factor = _mm512_cvtne2ps_pbh(halves, halves);
  sums local = acc;
  for (Eigen::Index round = 0; round < rounds; ++round)
    add_dots(local, factor, factor, std::make_index_sequence<chains>());
  acc = local;
  benchmark::DoNotOptimize(acc);
  return flops_of_one * static_cast<double>(rounds) * chains;
}

}  // namespace headroom_bench
#endif
