// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/codec.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/packet.hpp>
#include <headroom/detail/packet_codes.hpp>
#include <headroom/detail/packet_stored.hpp>
#include <headroom/detail/row_range.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

namespace headroom::inline HEADROOM_ISA {

namespace detail {

/// The number nearest to x that fp8 e4m3 has, ties to even, as its code: a sign, four bits of
/// exponent (of bias 7), three of fraction. There is no infinity: what is larger than 448 becomes
/// that, and S.1111.111 is NaN.
inline std::uint8_t e4m3_of(float x) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t sign = bits >> 24 & 0x80u;
  const float size = std::abs(x);
  if (std::isnan(x)) return static_cast<std::uint8_t>(sign | 0x7fu);
  // Below the smallest normal number, steps are of one size; above it, half a step and a carry
  // round the fraction, and the exponent moves from one bias to the other.
  std::uint32_t code = 0x7e;
  if (size < 0x1p-6f)
    code = static_cast<std::uint32_t>(std::nearbyint(size * 0x1p9f));
  else if (size < 464)
    code = (((bits & 0x7fffffffu) + 0x7ffffu + (bits >> 20 & 1u)) >> 20) - (120u << 3);
  return static_cast<std::uint8_t>(sign | code);
}

/// The number of a code.
inline float e4m3_number(std::uint8_t code) {
  const int exponent = code >> 3 & 15, fraction = code & 7;
  float size = std::ldexp(static_cast<float>(exponent > 0 ? 8 + fraction : fraction),
                          std::max(exponent, 1) - 10);
  if ((code & 0x7f) == 0x7f) size = std::numeric_limits<float>::quiet_NaN();
  return code < 0x80 ? size : -size;
}

}  // namespace detail

/// Numbers as 8-bit floats, fp8 e4m3, with a power of two for all of a row, that is for a token's
/// key or value head:
///
///   x ~ scale * f,  scale a power of two, max |x| / scale from 224 to 448,  f a number of e4m3
///
/// The scale uses the range of e4m3, 2^-9 to 448, where the row lies; being a power of two it
/// rounds nothing, so that numbers that were e4m3 already come back as they were. Beside int8_rows
/// small numbers keep their precision next to large ones, and large ones have less.
///
/// A number errs by at most |x| / 17, or by 4.4e-6 of max |x| where that is more, or by 1e-40. A
/// number beyond 2.97e38 becomes that. A row that holds a NaN or an infinity, which a double beyond
/// the floats is too, is all NaN. A row is its codes, then 256 times its scale as a float: dim + 4
/// bytes.
///
/// \source Micikevicius et al., arXiv 2209.05433; OCP 8-bit floating point specification, E4M3
struct fp8_codec {
  using Storage = std::uint8_t;

  static constexpr Index storage_size(Index dim) { return dim + static_cast<Index>(sizeof(float)); }

  template <class In>
  static void encode(const In* row, Storage* stored, Index dim) {
    const auto range = detail::row_range::of(row, dim);
    const int exponent = exponent_for(range.finite ? range.largest() : 0.f);
    // Over the scale in two steps: a float has no room for the inverse of the smallest.
    const float first = std::ldexp(1.f, -(exponent / 2));
    const float second = std::ldexp(1.f, exponent / 2 - exponent);
    const detail::packet firsts = detail::broadcast(first), seconds = detail::broadcast(second);
    const Index whole = dim / detail::lanes * detail::lanes;
    for (Index d = 0; d < whole; d += detail::lanes) {
      const detail::packet numbers = detail::multiply(detail::load(row + d), firsts);
      detail::store_e4m3(stored + d, detail::multiply(numbers, seconds));
    }
    for (Index d = whole; d < dim; ++d)
      stored[d] = detail::e4m3_of(static_cast<float>(row[d]) * first * second);
    const float factor =
        range.finite ? std::ldexp(256.f, exponent) : std::numeric_limits<float>::quiet_NaN();
    std::memcpy(stored + dim, &factor, sizeof(float));
  }

  template <class Out>
  static void decode(const Storage* stored, Out* row, Index dim) {
    const packet_row from = read(stored, dim);
    Index d = 0;
    for (const Index whole = dim / detail::lanes * detail::lanes; d < whole; d += detail::lanes)
      detail::store(row + d, from.load(d));
    if (d == dim) return;
    float last[detail::lanes];
    detail::store(last, from.load_first(d, dim - d));
    std::copy_n(last, dim - d, row + d);
  }

  /// The numbers of a stored row, to be multiplied by its factor, as micro-kernels read them,
  /// widened in registers.
  struct number_row {
    const Storage* codes;

    detail::packet load(Index d) const { return detail::load_e4m3(codes + d); }
    // Of a packet at the end of a row.
    detail::packet load_first(Index d, Index count) const {
      return detail::load_first_e4m3(codes + d, count);
    }
    float operator[](Index d) const { return detail::e4m3_number(codes[d]) / 256; }
    number_row from(Index column) const { return {codes + column}; }
  };

  /// The same times the factor.
  struct packet_row {
    const Storage* codes;
    float factor;

    detail::packet load(Index d) const {
      return detail::multiply(detail::load_e4m3(codes + d), detail::broadcast(factor));
    }
    detail::packet load_first(Index d, Index count) const {
      return detail::multiply(number_row{codes}.load_first(d, count), detail::broadcast(factor));
    }
    float operator[](Index d) const { return detail::e4m3_number(codes[d]) / 256 * factor; }
    packet_row from(Index column) const { return {codes + column, factor}; }
  };
  /// A stored row for kernels that read each once, in place of decode.
  static packet_row read(const Storage* stored, Index dim) { return {stored, factor(stored, dim)}; }

  /// The same in two parts.
  static number_row read_numbers(const Storage* stored, Index) { return {stored}; }
  static float factor(const Storage* stored, Index dim) {
    float factor;
    std::memcpy(&factor, stored + dim, sizeof(float));
    return factor;
  }

 private:
  // Of the smallest power of two that leaves at most 448 of the largest number, within what its
  // multiple of 256 has room for.
  static int exponent_for(float largest) {
    int exponent;
    const float fraction = std::frexp(largest, &exponent);  // of [0.5, 1)
    exponent -= fraction <= 448 / 512.f ? 9 : 8;
    return largest > 0 ? std::clamp(exponent, -134, 119) : -134;
  }
};

}  // namespace headroom::inline HEADROOM_ISA
