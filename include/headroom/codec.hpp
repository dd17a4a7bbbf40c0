// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/packet.hpp>
#include <headroom/detail/packet_stored.hpp>

#include <concepts>
#include <cstdint>
#include <type_traits>

namespace headroom::inline HEADROOM_ISA {

/// How a stored row of numbers becomes numbers to compute with. Keys and values each have their
/// own codec; a kernel knows only this interface:
///
///   Storage                            element type of a stored row
///   storage_size(dim)                  Storage elements that hold a row of `dim` numbers, 1 or
///                                      more (of rotary keys 0, too), an Index exactly, as `dim` is
///   encode(const In* row, Storage* stored, dim)      In is what is appended: float, double, or
///                                      16 bits, Eigen::half or Eigen::bfloat16
///   decode(const Storage* stored, Out* row, dim)     Out is float or double
///
/// encode and decode are templates over In and Out. The concept tries float alone; appending or
/// computing in another scalar asks for that one. Tiles of keys are decoded row by row: a loop that
/// the compiler vectorises (GCC 12 does with -O3) decides how fast a codec of your own is.
///
/// Rows are encoded by the thread that appends them, and decoded by the executor's threads, several
/// at once: no member writes what is shared. Where encode throws, append adds no token and passes
/// it on; what decode throws is left to the executor, see parallel.hpp.
template <class C>
concept codec = requires(const typename C::Storage* stored, typename C::Storage* target,
                         const float* row, float* out, Index dim) {
  { C::storage_size(dim) } -> std::same_as<Index>;
  C::encode(row, target, dim);
  C::decode(stored, out, dim);
};

namespace detail {

// Bytes of a stored row of `dim` numbers.
template <codec C>
constexpr Index row_bytes(Index dim) {
  return C::storage_size(dim) * static_cast<Index>(sizeof(typename C::Storage));
}

// A codec may also say how packets are read: then kernels that read each row once widen it in
// registers. read(stored, dim) gives a row with load(d), the packet at d, row[d], a number, and
// from(column), the row from there on.
template <class C>
concept packet_codec = codec<C> && requires(const typename C::Storage* stored, Index dim) {
  C::read(stored, dim).load(dim);
  { C::read(stored, dim)[dim] } -> std::convertible_to<float>;
  C::read(stored, dim).from(dim).load(dim);
};

// A row that is numbers times one factor may say so. Kernels then read the numbers, and the factor
// goes to the score of the key, or to the weight of the value, instead of each number.
template <class C>
concept factored_codec = packet_codec<C> && requires(const typename C::Storage* stored, Index dim) {
  C::read_numbers(stored, dim)[dim];
  { C::factor(stored, dim) } -> std::same_as<float>;
};

// These numbers may be whole, a byte each, with or without a factor.
template <class C>
concept integer_codec = packet_codec<C> && requires(const typename C::Storage* stored, Index dim) {
  { C::read_numbers(stored, dim) } -> std::same_as<const std::int8_t*>;
};

// Or whole numbers of which blocks along the width have a factor each. A row as read tells where
// its numbers lie and what those from d on, to the end of a block, are to be multiplied by.
template <class Row>
concept block_integer_row = Row::numbers_of_block % (2 * lanes) == 0 &&
                            requires(const Row& row, Index d) {
  { row.numbers_at(d) } -> std::same_as<const std::int8_t*>;
  { row.factor_at(d) } -> std::same_as<float>;
};
template <class C>
concept block_integer_codec = packet_codec<C> &&
    requires(const typename C::Storage* stored, Index dim) {
  { C::read(stored, dim) } -> block_integer_row;
};

template <class C>
concept whole_number_codec = integer_codec<C> || block_integer_codec<C>;

}  // namespace detail

/// Numbers stored one by one as `Scalar_`: float, double, Eigen::half or Eigen::bfloat16.
/// Converting rounds to nearest, a double on its way to 16 bits to float first; widening is exact.
/// A subnormal float (below 2^-126) may become 0 in bfloat16, where the processor has it so.
template <class Scalar_>
struct scalar_codec {
  using Storage = Scalar_;

  static constexpr Index storage_size(Index dim) { return dim; }

  template <class In>
  static void encode(const In* row, Storage* stored, Index dim) {
    convert(row, stored, dim);
  }

  template <class Out>
  static void decode(const Storage* stored, Out* row, Index dim) {
    convert(stored, row, dim);
  }

 private:
  template <class From, class To>
  static void convert(const From* from, To* to, Index dim) {
    Index i = 0;
    if constexpr (!std::same_as<From, double> && !std::same_as<To, double>)
      for (const Index whole = dim / detail::lanes * detail::lanes; i < whole; i += detail::lanes)
        detail::store(to + i, detail::load(from + i));
    for (; i < dim; ++i) to[i] = static_cast<To>(from[i]);
  }
};

namespace detail {

// What a cache's first or last parameter names: a codec, or a scalar stored one by one. Anything
// else is refused by a sentence, and float in its place keeps that the only error.
template <class Stored>
struct codec_of : std::conditional<codec<Stored>, Stored, scalar_codec<float>> {};
template <storage_scalar Stored>
struct codec_of<Stored> : std::type_identity<scalar_codec<Stored>> {};

template <class Stored>
inline constexpr bool is_storable = storage_scalar<Stored> || codec<Stored>;

}  // namespace detail

}  // namespace headroom::inline HEADROOM_ISA
