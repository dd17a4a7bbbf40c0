// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/codec.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/packet.hpp>
#include <headroom/detail/packet_codes.hpp>
#include <headroom/detail/packet_end.hpp>
#include <headroom/detail/packet_stored.hpp>
#include <headroom/detail/row_range.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

namespace headroom::inline HEADROOM_ISA {

/// Numbers quantised to 4 bits, in blocks along the width that share a scale and a minimum:
///
///   x ~ minimum + scale * n,  scale = (max - minimum) / 15 over the block,  n from 0 to 15
///
/// With only 16 steps none is to be wasted: from the minimum up they cover a block wherever it
/// lies, and of normal numbers they are finer by a fifth than steps around 0. Both are bfloat16:
/// half the bytes of floats, and, unlike half, of their range; the minimum is rounded down and the
/// scale up, so that the steps still cover the block. A block is the two, then its first numbers in
/// the low and its last in the high halves of block_size / 2 bytes: 5 bits a number in blocks of
/// 32. The last block of a row is as long as the others.
///
/// A number errs by at most half a step, at most (max - min + |min| / 128) / 29.7 + 2^-133, to
/// which float rounding adds 2e-7 of max |x|. A block that holds a NaN, an infinity or a number
/// beyond 2^126 is all NaN.
///
/// \tparam block_size  numbers of a block, even
/// \source steps from a minimum, for keys and values: KIVI, arXiv 2402.02750, section 3.1
template <int block_size>
struct int4_codec {
  static_assert(block_size > 0 && block_size % 2 == 0,
                "int4_codec<block_size>: block_size must be even and at least 2");

  using Storage = std::uint8_t;

  /// Blocks of a row.
  static constexpr Index blocks(Index dim) { return (dim + block_size - 1) / block_size; }
  static constexpr Index storage_size(Index dim) { return blocks(dim) * block_bytes; }

  template <class In>
  static void encode(const In* row, Storage* stored, Index dim) {
    for (Index begin = 0; begin < dim; begin += block_size, stored += block_bytes) {
      const int count = static_cast<int>(std::min<Index>(block_size, dim - begin));
      float numbers[block_size];
      for (int i = 0; i < count; ++i) numbers[i] = static_cast<float>(row[begin + i]);
      std::fill(numbers + count, numbers + block_size, static_cast<float>(row[begin]));
      encode_block(numbers, stored);
    }
  }

  template <class Out>
  static void decode(const Storage* stored, Out* row, Index dim) {
    Index d = 0;
    if constexpr (fills_packets) {
      const packet_row from = read(stored, dim);
      for (const Index whole = dim / detail::lanes * detail::lanes; d < whole; d += detail::lanes)
        detail::store(row + d, from.load(d));
      if (d == dim) return;
      float last[detail::lanes];
      detail::store(last, from.load(d));
      std::copy_n(last, dim - d, row + d);
    } else {
      for (; d + block_size <= dim; d += block_size, stored += block_bytes)
        decode_block(stored, row + d);
      for (Index i = 0; i < dim - d; ++i) row[d + i] = static_cast<Out>(number(stored, i));
    }
  }

  /// A stored row as micro-kernels read it, widened in registers.
  struct packet_row {
    const Storage* stored;
    Index begin;  // of a row from a column on: that column

    detail::packet load(Index d) const {
      // Unsigned, a division by a power of two is a shift and no more.
      const std::size_t column = static_cast<std::size_t>(begin + d);
      const Storage* const block = stored + column / block_size * block_bytes;
      const std::size_t i = column % block_size;
      const Storage* const bytes = block + step_bytes + i % half_block;
      const detail::packet steps = detail::broadcast(std::bit_cast<float>(step_bits(block)));
      return detail::multiply_add(
          i < half_block ? detail::load_nibbles<0>(bytes) : detail::load_nibbles<4>(bytes),
          detail::low_half_as_float(steps), detail::high_half_as_float(steps));
    }
    // Of a packet at the end of a row; its block goes on.
    detail::packet load_first(Index d, Index count) const {
      return detail::first_of(load(d), count);
    }
    float operator[](Index d) const { return number(stored, begin + d); }
    packet_row from(Index column) const { return {stored, begin + column}; }
  };
  /// A stored row for kernels that read each once, in place of decode.
  static packet_row read(const Storage* stored,
                         Index) requires(block_size / 2 % detail::lanes == 0) {
    return {stored, 0};
  }

 private:
  static constexpr int half_block = block_size / 2;
  static constexpr int step_bytes = 4;
  static constexpr int block_bytes = step_bytes + half_block;
  static constexpr bool fills_packets = half_block % detail::lanes == 0;

  // The scale in the low and the minimum in the high half.
  static std::uint32_t step_bits(const Storage* block) {
    std::uint32_t bits;
    std::memcpy(&bits, block, step_bytes);
    return bits;
  }

  // Of a block too short for packets of the kernels: compilers make of it what they can.
  template <class Out>
  static void decode_block(const Storage* block, Out* row) {
    const std::uint32_t bits = step_bits(block);
    const float scale = std::bit_cast<float>(bits << 16);
    const float minimum = std::bit_cast<float>(bits & 0xffff0000u);
    for (int i = 0; i < half_block; ++i) {
      const int both = block[step_bytes + i];
      row[i] = static_cast<Out>(scale * static_cast<float>(both & 15) + minimum);
      row[half_block + i] = static_cast<Out>(scale * static_cast<float>(both >> 4) + minimum);
    }
  }

  static float number(const Storage* stored, Index d) {
    const Storage* const block = stored + d / block_size * block_bytes;
    const int i = static_cast<int>(d % block_size);
    const int n = block[step_bytes + i % half_block] >> (i < half_block ? 0 : 4) & 15;
    const std::uint32_t bits = step_bits(block);
    return std::bit_cast<float>(bits << 16) * static_cast<float>(n) +
           std::bit_cast<float>(bits & 0xffff0000u);
  }

  // A float's first 16 bits, its magnitude rounded up where there are others.
  static float away_from_zero(float x) {
    return std::bit_cast<float>((std::bit_cast<std::uint32_t>(x) + 0xffffu) & 0xffff0000u);
  }
  static float towards_zero(float x) {
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(x) & 0xffff0000u);
  }

  static void encode_block(const float* numbers, Storage* block) {
    const auto [least, most, finite] = detail::row_range::of(numbers, block_size);
    float minimum = std::numeric_limits<float>::quiet_NaN(), scale = minimum;
    // Of numbers twice as large, 15 steps may be more than a float.
    if (finite && -0x1p126f <= least && most <= 0x1p126f) {
      minimum = least < 0 ? away_from_zero(least) : towards_zero(least);
      // In double no difference of floats overflows.
      scale = away_from_zero(static_cast<float>((double(most) - double(minimum)) / 15));
    }
    const std::uint32_t bits =
        std::bit_cast<std::uint32_t>(scale) >> 16 | std::bit_cast<std::uint32_t>(minimum);
    std::memcpy(block, &bits, step_bytes);
    if (scale > 0)
      count_steps(numbers, minimum, scale, block + step_bytes);
    else
      std::fill_n(block + step_bytes, half_block, Storage(0));
  }

  static void count_steps(const float* numbers, float minimum, float scale, Storage* bytes) {
    // Differences of halves do not overflow, and of small scales, so raised, there is an inverse.
    const float unit = scale < 0x1p-100f ? 0x1p24f : 0.5f;
    const float inverse = static_cast<float>(1 / (double(scale) * unit));
    if constexpr (fills_packets) {
      using namespace detail;
      const auto steps = [&](const float* from) HEADROOM_ALWAYS_INLINE {
        return multiply(subtract(multiply(load(from), broadcast(unit)), broadcast(unit * minimum)),
                        broadcast(inverse));
      };
      for (int i = 0; i < half_block; i += lanes)
        store_nibbles(bytes + i, steps(numbers + i), steps(numbers + half_block + i));
    } else {
      const auto steps = [&](float x) {
        return static_cast<int>(std::nearbyint((unit * x - unit * minimum) * inverse));
      };
      for (int i = 0; i < half_block; ++i)
        bytes[i] = static_cast<Storage>(steps(numbers[i]) | steps(numbers[half_block + i]) << 4);
    }
  }
};

/// 4 bits, with a scale and a minimum for every 32 numbers: 5 bits a number.
using int4_blocks = int4_codec<32>;

}  // namespace headroom::inline HEADROOM_ISA
