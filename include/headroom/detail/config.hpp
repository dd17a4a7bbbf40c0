// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#if __cplusplus < 202002L
#error headroom is written in C++20: compile with -std=c++20
#endif

#include <Eigen/Core>

#if defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__
#error headroom: -ffast-math and -Ofast take infinities and NaN to be impossible, and here hidden \
keys are infinities and no NaN may be lost: add -fno-finite-math-only behind them
#endif

// Every name of the library lives in an inline namespace called after the instruction set that the
// file is compiled for. Two files compiled for different CPUs then link into one program and each
// keeps its own code; without it the linker would keep one copy of every inline function and the
// older CPU might meet the newer one's instructions. It covers headroom's names only: functions of
// Eigen's that are not inlined are still merged.
//
// Told apart are the levels of x86-64, with what AVX-512 may have beside it, NEON and SVE. Files of
// one program that differ in other options, such as -mf16c or -msse4.1 alone, are not.
#if defined(HEADROOM_EIGEN_PRODUCTS)
#define HEADROOM_ISA eigen_products  // see detail/matmul.hpp
#elif defined(EIGEN_DONT_VECTORIZE)
#define HEADROOM_ISA isa_scalar
#elif defined(__AVX512BF16__) && defined(__AMX_BF16__) && defined(__AVX512VNNI__)
#define HEADROOM_ISA isa_avx512_amx  // see detail/packet_bfloat16.hpp
#elif defined(__AVX512BF16__) && defined(__AMX_BF16__)
#define HEADROOM_ISA isa_avx512_amx_without_vnni
#elif defined(__AVX512BF16__) && defined(__AVX512VNNI__)
#define HEADROOM_ISA isa_avx512_bf16
#elif defined(__AVX512BF16__)
#define HEADROOM_ISA isa_avx512_bf16_without_vnni
#elif defined(__AVX512VNNI__) && defined(__AVX512F__)
#define HEADROOM_ISA isa_avx512_vnni  // see detail/packet_int16.hpp
#elif defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#define HEADROOM_ISA isa_avx512
#elif defined(__AVX512F__)
#define HEADROOM_ISA isa_avx512f  // see detail/packet_end.hpp
#elif defined(__AVX2__) && defined(__FMA__)
#define HEADROOM_ISA isa_avx2
#elif defined(__AVX2__)
#define HEADROOM_ISA isa_avx2_without_fma
#elif defined(__AVX__)
#define HEADROOM_ISA isa_avx
#elif defined(__SSE4_2__)
#define HEADROOM_ISA isa_sse4
#elif defined(__ARM_FEATURE_SVE)
#define HEADROOM_ISA isa_sve
#elif defined(__ARM_NEON)
#define HEADROOM_ISA isa_neon
#else
#define HEADROOM_ISA isa_generic
#endif

namespace headroom::inline HEADROOM_ISA {

/// Sizes, positions and strides, everywhere: signed, as in Eigen.
using Index = Eigen::Index;

namespace detail {

/// How many parts of `size` a count has, the last of which may be smaller.
constexpr Index parts(Index count, Index size) {
  return count / size + (count % size != 0);
}

}  // namespace detail

}  // namespace headroom::inline HEADROOM_ISA
