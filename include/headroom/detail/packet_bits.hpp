// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>

#include <bit>
#include <concepts>
#include <cstdint>

// Packets of floats as the bits that they are, lane by lane: of any of Eigen's packets, or of a
// float, which is a packet where there are no others.

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wignored-attributes"
#endif

namespace headroom::inline HEADROOM_ISA::detail {

template <int count, class P>
P shift_bits_left(const P& x) {
  using namespace Eigen::internal;
  if constexpr (std::same_as<P, float>) {
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(x) << count);
  } else {
    using bits = typename unpacket_traits<P>::integer_packet;
    return preinterpret<P>(plogical_shift_left<count>(preinterpret<bits>(x)));
  }
}

template <int count, class P>
P shift_bits_right(const P& x) {
  using namespace Eigen::internal;
  if constexpr (std::same_as<P, float>) {
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(x) >> count);
  } else {
    using bits = typename unpacket_traits<P>::integer_packet;
    return preinterpret<P>(plogical_shift_right<count>(preinterpret<bits>(x)));
  }
}

/// Those of `bits` that x has.
template <class P>
P masked(const P& x, std::uint32_t bits) {
  if constexpr (std::same_as<P, float>)
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(x) & bits);
  else
    return Eigen::internal::pand(x, Eigen::internal::pset1<P>(std::bit_cast<float>(bits)));
}

/// Those that a has, or b.
template <class P>
P either(const P& a, const P& b) {
  if constexpr (std::same_as<P, float>)
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(a) | std::bit_cast<std::uint32_t>(b));
  else
    return Eigen::internal::por(a, b);
}

/// Those of a that b has not.
template <class P>
P without(const P& a, const P& b) {
  if constexpr (std::same_as<P, float>)
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(a) & ~std::bit_cast<std::uint32_t>(b));
  else
    return Eigen::internal::pandnot(a, b);
}

/// `bits` where a is less than b, and none elsewhere.
template <class P>
P where_less(const P& a, const P& b, std::uint32_t bits) {
  if constexpr (std::same_as<P, float>)
    return std::bit_cast<float>(a < b ? bits : 0u);
  else
    return masked(Eigen::internal::pcmp_lt(a, b), bits);
}

/// x, and 0 where it is NaN.
template <class P>
P zero_where_nan(const P& x) {
  if constexpr (std::same_as<P, float>)
    return x == x ? x : 0.f;
  else
    return Eigen::internal::pand(x, Eigen::internal::pcmp_eq(x, x));
}

}  // namespace headroom::inline HEADROOM_ISA::detail

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
