// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/codec.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/packet.hpp>
#include <headroom/detail/packet_bits.hpp>
#include <headroom/detail/packet_codes.hpp>
#include <headroom/detail/packet_end.hpp>
#include <headroom/detail/packet_stored.hpp>
#include <headroom/detail/row_range.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

namespace headroom::inline HEADROOM_ISA {

/// Numbers quantised to 8 bits, in blocks along the width that share a scale:
///
///   x ~ scale * n,  scale = max |x| / 127 over the block,  n an integer from -127 to 127
///
/// A number errs by at most max |x| / 254, to which float rounding adds 2e-7 of max |x|; a block
/// below 1.5e-36 rounds to 0. A block that holds a NaN or an infinity is all NaN. A row is its
/// numbers, then its scales as floats: dim + 4 * blocks bytes.
///
/// \tparam block_size  numbers of a block; Eigen::Dynamic for all of the row
template <int block_size>
struct int8_codec {
  static_assert(block_size > 0 || block_size == Eigen::Dynamic,
                "int8_codec<block_size>: block_size must be at least 1 or Eigen::Dynamic");

  using Storage = std::int8_t;
  /// Numbers that share a scale; Eigen::Dynamic for all of a row.
  static constexpr int numbers_of_block = block_size;

  /// Blocks of a row.
  static constexpr Index blocks(Index dim) {
    return block_size > 0 ? (dim + block_size - 1) / block_size : 1;
  }
  static constexpr Index storage_size(Index dim) {
    return dim + blocks(dim) * static_cast<Index>(sizeof(float));
  }

  template <class In>
  static void encode(const In* row, Storage* stored, Index dim) {
    for_each_block(dim, [&](Index block, Index begin, Index end) {
      const auto range = detail::row_range::of(row + begin, end - begin);
      const float scale = range.finite ? std::min(range.largest() / 127, largest_scale)
                                       : std::numeric_limits<float>::quiet_NaN();
      // A block of subnormals has no inverse of a scale, and rounds to 0.
      if (scale >= std::numeric_limits<float>::min())
        round(row + begin, stored + begin, end - begin, 127 / range.largest());
      else
        std::fill(stored + begin, stored + end, Storage(0));
      std::memcpy(scale_at(stored, dim, block), &scale, sizeof(float));
    });
  }

  template <class Out>
  static void decode(const Storage* stored, Out* row, Index dim) {
    for_each_block(dim, [&](Index block, Index begin, Index end) {
      float scale;
      std::memcpy(&scale, scale_at(stored, dim, block), sizeof(float));
      const detail::packet scales = detail::broadcast(scale);
      Index d = begin;
      const Index whole = begin + (end - begin) / detail::lanes * detail::lanes;
      for (; d < whole; d += detail::lanes)
        detail::store(row + d, detail::multiply(detail::load(stored + d), scales));
      for (; d < end; ++d) row[d] = static_cast<Out>(scale * static_cast<float>(stored[d]));
    });
  }

  /// A stored row as micro-kernels read it, widened in registers.
  struct packet_row {
    static constexpr int numbers_of_block = block_size;

    const Storage* numbers;
    const Storage* scales;
    Index begin;  // of a row from a column on: that column

    detail::packet load(Index d) const {
      return detail::multiply(detail::load(numbers_at(d)), detail::broadcast(factor_at(d)));
    }
    // Of a packet at the end of a row.
    detail::packet load_first(Index d, Index count) const {
      return detail::multiply(detail::load_first(numbers_at(d), count),
                              detail::broadcast(factor_at(d)));
    }
    float operator[](Index d) const { return factor_at(d) * static_cast<float>(*numbers_at(d)); }
    packet_row from(Index column) const { return {numbers, scales, begin + column}; }

    const Storage* numbers_at(Index d) const { return numbers + begin + d; }
    float factor_at(Index d) const {
      float number;
      // Unsigned, a division by a power of two is a shift and no more.
      const std::size_t column = static_cast<std::size_t>(begin + d);
      const std::size_t block = block_size > 0 ? column / std::max(1, block_size) : 0;
      std::memcpy(&number, scales + block * sizeof(float), sizeof(float));
      return number;
    }
  };
  /// A stored row for kernels that read each once, in place of decode.
  static packet_row read(const Storage* stored,
                         Index dim) requires(block_size == Eigen::Dynamic ||
                                             block_size % detail::lanes == 0) {
    return {stored, stored + dim, 0};
  }

  /// The same in two parts, where a row has one scale.
  static const Storage* read_numbers(const Storage* stored,
                                     Index) requires(block_size == Eigen::Dynamic) {
    return stored;
  }
  static float factor(const Storage* stored, Index dim) requires(block_size == Eigen::Dynamic) {
    float scale;
    std::memcpy(&scale, scale_at(stored, dim, 0), sizeof(float));
    return scale;
  }

 private:
  // Of which 127 still are a float: a 127th of the largest is rounded up.
  static constexpr float largest_scale = 0x1.020406p121f;

  template <class In>
  static void round(const In* row, Storage* stored, Index count, float inverse) {
    const Index whole = count / detail::lanes * detail::lanes;
    for (Index d = 0; d < whole; d += detail::lanes)
      detail::store_rounded(stored + d,
                            detail::multiply(detail::load(row + d), detail::broadcast(inverse)));
    for (Index d = whole; d < count; ++d)
      stored[d] = static_cast<Storage>(std::nearbyint(static_cast<float>(row[d]) * inverse));
  }

  template <class F>
  static void for_each_block(Index dim, const F& f) {
    const Index size = block_size > 0 ? block_size : dim;
    for (Index begin = 0, block = 0; begin < dim; begin += size, ++block)
      f(block, begin, std::min(begin + size, dim));
  }

  template <class Byte>
  static Byte* scale_at(Byte* stored, Index dim, Index block) {
    return stored + dim + block * static_cast<Index>(sizeof(float));
  }
};

/// 8 bits, with a scale for every 32 numbers: 9 bits a number.
using int8_blocks = int8_codec<32>;

/// 8 bits, with one scale for a token's key or value head.
using int8_rows = int8_codec<Eigen::Dynamic>;

/// Whole numbers from -127 to 127, a byte each and nothing beside: for numbers over scales that are
/// kept elsewhere, one for each channel (see scaled_cache) or one for all.
///
/// A number of at most 127 errs by at most 1/2. What is larger is clipped to 127, infinity as well,
/// and a NaN becomes 0: nothing in a row could tell of it.
///
/// \source the layout of ONNX Runtime's GroupQueryAttention with PER_CHANNEL or PER_TENSOR scales
struct saturating_int8 {
  using Storage = std::int8_t;
  static constexpr bool saturates = true;  ///< what is too large for it is clipped

  static constexpr Index storage_size(Index dim) { return dim; }

  template <class In>
  static void encode(const In* row, Storage* stored, Index dim) {
    const detail::packet most = detail::broadcast(127.f), least = detail::broadcast(-127.f);
    const Index whole = dim / detail::lanes * detail::lanes;
    for (Index d = 0; d < whole; d += detail::lanes) {
      const detail::packet numbers = detail::zero_where_nan(detail::load(row + d));
      detail::store_rounded(stored + d, detail::maximum(detail::minimum(numbers, most), least));
    }
    for (Index d = whole; d < dim; ++d) {
      const float x = static_cast<float>(row[d]);
      stored[d] = std::isnan(x)
                      ? Storage(0)
                      : static_cast<Storage>(std::nearbyint(std::clamp(x, -127.f, 127.f)));
    }
  }

  template <class Out>
  static void decode(const Storage* stored, Out* row, Index dim) {
    std::transform(stored, stored + dim, row, [](Storage n) { return static_cast<Out>(n); });
  }

  /// A stored row as micro-kernels read it, widened in registers.
  struct packet_row {
    const Storage* numbers;

    detail::packet load(Index d) const { return detail::load(numbers + d); }
    float operator[](Index d) const { return static_cast<float>(numbers[d]); }
    packet_row from(Index column) const { return {numbers + column}; }
  };
  /// A stored row for kernels that read each once, in place of decode.
  static packet_row read(const Storage* stored, Index) { return {stored}; }

  /// The same as they lie.
  static const Storage* read_numbers(const Storage* stored, Index) { return stored; }
};

}  // namespace headroom::inline HEADROOM_ISA
