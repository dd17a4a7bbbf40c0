// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/packet_bits.hpp>

// The SIMD vocabulary of the micro-kernels, in Eigen's packets: with packet_bits.hpp,
// packet_stored.hpp and packet_end.hpp the only files that name Eigen::internal. Whatever the
// instruction set, AVX-512, AVX2, SSE, NEON or none (a packet is then one float), the kernels are
// written once.

#if defined(__GNUC__)
#define HEADROOM_ALWAYS_INLINE __attribute__((always_inline))
#define HEADROOM_NEVER_INLINE __attribute__((noinline))
#else
#define HEADROOM_ALWAYS_INLINE
#define HEADROOM_NEVER_INLINE
#endif

// Before a loop over packets whose count the compiler knows: unrolled whole, so that arrays of
// packets stay in registers wherever a compiler optimises for speed or size. A fold over an index
// sequence does the same, but then every index is a function to compile.
#if defined(__GNUC__)
#define HEADROOM_UNROLL _Pragma("GCC unroll 64")
#else
#define HEADROOM_UNROLL
#endif

// A packet as a template argument loses its alignment attribute, which GCC remarks on; nothing here
// stores packets through such an argument.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wignored-attributes"
#endif

namespace headroom::inline HEADROOM_ISA::detail {

using packet = Eigen::internal::packet_traits<float>::type;

/// Floats in a packet.
inline constexpr int lanes = Eigen::internal::unpacket_traits<packet>::size;

/// Packets that fit the register file.
inline constexpr int registers = EIGEN_ARCH_DEFAULT_NUMBER_OF_REGISTERS;

inline packet load(const float* from) {
  return Eigen::internal::ploadu<packet>(from);
}
inline void store(float* to, const packet& p) {
  Eigen::internal::pstoreu(to, p);
}
inline packet broadcast(float number) {
  return Eigen::internal::pset1<packet>(number);
}
inline packet multiply_add(const packet& a, const packet& b, const packet& c) {
  return Eigen::internal::pmadd(a, b, c);
}
inline packet add(const packet& a, const packet& b) {
  return Eigen::internal::padd(a, b);
}
inline packet subtract(const packet& a, const packet& b) {
  return Eigen::internal::psub(a, b);
}
inline packet multiply(const packet& a, const packet& b) {
  return Eigen::internal::pmul(a, b);
}
inline packet divide(const packet& a, const packet& b) {
  return Eigen::internal::pdiv(a, b);
}
/// The larger, lane by lane; whether a NaN stays is up to the instruction set.
inline packet maximum(const packet& a, const packet& b) {
  return Eigen::internal::pmax(a, b);
}
/// The smaller; as to a NaN, see above.
inline packet minimum(const packet& a, const packet& b) {
  return Eigen::internal::pmin(a, b);
}
inline packet absolute(const packet& a) {
  return Eigen::internal::pabs(a);
}
/// Whether some lane of a is less than that of b.
inline bool any_less(const packet& a, const packet& b) {
  return Eigen::internal::predux_any(Eigen::internal::pcmp_lt(a, b));
}

inline packet tanh(const packet& a) {
  return Eigen::internal::ptanh(a);
}

/// Keeps a packet in a register: a compiler that takes registers to be scarce would rather load it
/// again at each use, and loads are what the kernels have to spare least. It is a copy that the
/// compiler may not see through: an array whose packets were operands themselves would be memory.
inline void keep(packet& p) {
  packet kept = p;
#if defined(__AVX512F__)
  asm("" : "+v"(kept));
#elif defined(__x86_64__)
  asm("" : "+x"(kept));
#elif defined(__aarch64__)
  asm("" : "+w"(kept));
#endif
  p = kept;
}

/// Keeps a number that stands in all lanes. NEON multiplies by any lane of a packet: to have it in
/// all of them would be an instruction more.
template <class Packet>
HEADROOM_ALWAYS_INLINE inline void keep_broadcast([[maybe_unused]] Packet& p) {
#if !defined(__aarch64__)
  keep(p);
#endif
}

/// A sum that is there to be rounded: -fassociative-math, of which clang does not tell, must not
/// cancel it against others.
inline packet as_written(packet sum) {
#if defined(__ASSOCIATIVE_MATH__) || defined(__clang__)
  keep(sum);
#endif
  return sum;
}

/// Keeps a pointer in a register: addresses are then it and a constant, where a compiler would
/// rather hold each address in a register of its own.
template <class T>
void keep(T*& p) {
#if defined(__GNUC__)
  asm("" : "+r"(p));
#endif
}

/// Numbers that fill a packet if each stands in it `times` times, a power of two.
inline packet load_repeated(const float* from, Index times) {
  if (times == 1) return load(from);
  if (times >= lanes) return broadcast(from[0]);
  if constexpr (lanes >= 4) {
    if (times == 2) return Eigen::internal::ploaddup<packet>(from);
    if (times == 4) return Eigen::internal::ploadquad<packet>(from);
  }
#if defined(EIGEN_VECTORIZE_AVX512)
  if (times == 8) return _mm512_mask_blend_ps(0xFF00, broadcast(from[0]), broadcast(from[1]));
#endif
  float numbers[lanes];
  for (Index i = 0; i < lanes; ++i) numbers[i] = from[i / times];
  return load(numbers);
}

/// Lane i is what stood `by` lanes after it, around the end.
inline packet rotate(const packet& a, Index by) {
#if defined(EIGEN_VECTORIZE_AVX512)
  const __m512i i = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  return _mm512_permutexvar_ps(_mm512_add_epi32(i, _mm512_set1_epi32(static_cast<int>(by))), a);
#elif defined(EIGEN_VECTORIZE_AVX2)
  const __m256i i = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_permutevar8x32_ps(a, _mm256_add_epi32(i, _mm256_set1_epi32(static_cast<int>(by))));
#else
  float twice[2 * lanes];
  store(twice, a);
  store(twice + lanes, a);
  return load(twice + by);
#endif
}

inline float sum_of(const packet& a) {
  return Eigen::internal::predux(a);
}
inline float least_of(const packet& a) {
  return Eigen::internal::predux_min(a);
}
inline float largest_of(const packet& a) {
  return Eigen::internal::predux_max(a);
}

using square = Eigen::internal::PacketBlock<packet, lanes>;

/// Transposes lanes x lanes numbers: packet i gets lane i of every packet.
inline void transpose(square& packets) {
  Eigen::internal::ptranspose(packets);
}

/// The sum of each packet's lanes, in order.
inline packet sums_of(square& packets) {
  transpose(packets);
  packet sum = packets.packet[0];
  HEADROOM_UNROLL for (int i = 1; i < lanes; ++i) sum = add(sum, packets.packet[i]);
  return sum;
}

/// Of each lane's 32 bits the low or the high half as the high half of a float: a bfloat16,
/// widened.
inline packet low_half_as_float(const packet& x) {
  return shift_bits_left<16>(x);
}
inline packet high_half_as_float(const packet& x) {
  return masked(x, 0xffff0000u);
}

/// 2^x for x < 127. Maximal relative error 2e-7 (below 2 ulp) from -126 on; 0 for x <= -127, minus
/// infinity included.
///
/// x = n + f with n whole and |f| <= 1/2: adding 1.5 * 2^23 rounds x to n in the low bits of the
/// sum, and with 127 on top these bits are the exponent of 2^n. 2^f is a minimax polynomial.
inline packet power_of_2(const packet& x) {
  const packet magic = broadcast(12582912.f + 127.f);
  const packet clamped = maximum(x, broadcast(-127.f));
  const packet shifted = as_written(add(clamped, magic));
  const packet f = subtract(clamped, as_written(subtract(shifted, magic)));
  packet power = broadcast(1.53458118e-4f);
  power = multiply_add(power, f, broadcast(1.33999309e-3f));
  power = multiply_add(power, f, broadcast(9.61848907e-3f));
  power = multiply_add(power, f, broadcast(5.55032864e-2f));
  power = multiply_add(power, f, broadcast(2.40226462e-1f));
  power = multiply_add(power, f, broadcast(6.93147182e-1f));
  power = multiply_add(power, f, broadcast(1.f));
  return multiply(power, shift_bits_left<23>(shifted));
}

}  // namespace headroom::inline HEADROOM_ISA::detail

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
