// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/codec.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/line_shape.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/detail/tile.hpp>

#include <algorithm>

namespace headroom::inline HEADROOM_ISA::detail {

/// What kernels make of a stored row of a codec: its numbers, and these without the factor that
/// they share. Types of their own: all caches and masks then have the kernels of a codec in common.
template <packet_codec Codec>
struct as_decoded {
  Index dim;
  HEADROOM_ALWAYS_INLINE auto operator()(const typename Codec::Storage* row) const {
    return Codec::read(row, dim);
  }
};
template <packet_codec Codec>
struct numbers_alone {
  Index dim;
  HEADROOM_ALWAYS_INLINE auto operator()(const typename Codec::Storage* row) const {
    return Codec::read_numbers(row, dim);
  }
};

/// The stored rows of a line as kernels read them: where they lie, if they are numbers or widen
/// themselves, or decoded. The factor that a row's numbers share is not read with each of them; it
/// is for the row's scores, or weights.
///
/// \tparam splits_blocks  whether the factors of blocks are told apart, too: kernels then read the
///                        numbers of a row alone
template <codec Codec, bool splits_blocks = false>
class line_reader {
  static constexpr bool factors_of_blocks = splits_blocks && block_integer_codec<Codec>;

 public:
  using Storage = typename Codec::Storage;
  /// Of numbers that share a factor, whose count the compiler knows.
  static constexpr int most_packets = [] {
    if constexpr (factors_of_blocks)
      return Codec::numbers_of_block / lanes;
    else
      return registers;
  }();
  static constexpr bool has_factors = factored_codec<Codec> || factors_of_blocks;
  /// Whether rows are decoded into memory, as neither numbers nor what widens itself.
  static constexpr bool decodes = !packet_codec<Codec> && !reads_in_place<reads_packets, Codec>;

  line_reader(const line_shape& shape, Index row_dim, scratch& memory)
      : shape_(shape),
        dim_(row_dim),
        decoded_(memory.take<float>(decodes ? shape.pairs() * row_dim : 0)),
        decoded_rows_(memory.take<const float*>(decodes ? shape.pairs() : 0)) {}

  /// Calls use(rows, reader) with the first `count` stored rows of each group; reader gives a row's
  /// numbers without their factor.
  template <class Use>
  void read(const Storage* const* stored, Index count, const Use& use) const {
    if constexpr (factored_codec<Codec> || integer_codec<Codec>) {
      use(stored, numbers_alone<Codec>{dim_});
    } else if constexpr (packet_codec<Codec>) {
      use(stored, as_decoded<Codec>{dim_});
    } else if constexpr (!decodes) {
      use(stored, as_stored());
    } else {
      for (Index g = 0; g < shape_.groups; ++g)
        for (Index j = g * shape_.keys; j < g * shape_.keys + count; ++j) {
          Codec::decode(stored[j], decoded_ + j * dim_, dim_);
          decoded_rows_[j] = decoded_ + j * dim_;
        }
      use(static_cast<const float* const*>(decoded_rows_), as_stored());
    }
  }

  /// A reader of the numbers with their factor.
  template <class Reader>
  auto with_factors(const Reader& reader) const {
    if constexpr (has_factors)
      return as_decoded<Codec>{dim_};
    else
      return reader;
  }

  /// Numbers of a row that share a factor, from its first on.
  Index columns() const {
    if constexpr (factors_of_blocks)
      return Codec::numbers_of_block;
    else
      return dim_;
  }

  /// Factors of a group.
  Index factors() const {
    return has_factors ? (dim_ + columns() - 1) / columns() * shape_.keys : 0;
  }

  /// The factors of the rows of a group as read, [dim / columns, shape.keys]; 0 beyond the first
  /// `count`.
  void read_factors(const Storage* const* rows, Index count, float* factors) const
      requires(has_factors) {
    for (Index column = 0; column < dim_; column += columns(), factors += shape_.keys) {
      for (Index j = 0; j < count; ++j)
        if constexpr (factors_of_blocks)
          factors[j] = Codec::read(rows[j], dim_).factor_at(column);
        else
          factors[j] = Codec::factor(rows[j], dim_);
      std::fill(factors + count, factors + shape_.keys, 0.f);
    }
  }

 private:
  line_shape shape_;
  Index dim_;
  float* decoded_;
  const float** decoded_rows_;
};

}  // namespace headroom::inline HEADROOM_ISA::detail
