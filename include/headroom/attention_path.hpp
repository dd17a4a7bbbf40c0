// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>

namespace headroom::inline HEADROOM_ISA {

/// What multiplies in a call of attention.
enum class attention_kernel {
  none,            ///< there is no query: nothing is written
  dot_products,    ///< few rows of a group: every key and value is read once, as it is stored
  bfloat16_dots,   ///< the same; queries and weights are rounded to bfloat16, weights of at most 80
                   ///< keys to 16 bits
  int16_dots,      ///< the same over whole numbers of 8 bits; queries and weights are rounded to 16
  outer_products,  ///< blocks of rows in float
  bfloat16_pairs,  ///< blocks of rows; the same rounding, the 80 keys counted from the first to the
                   ///< last that rows multiplied together see
  eigen_products   ///< blocks of rows on Eigen's products: double, and what has no micro-kernel
};

/// How a call of attention is computed: by its types and sizes and the instruction set that the
/// file is compiled for, never by threads or by other calls.
struct attention_path {
  /// That of every full block of rows; the last block may be short and take a kernel for few rows.
  attention_kernel kernel;

  /// Parts that the keys are cut into, each with a softmax of its own that is merged; 1 if they are
  /// not cut, 0 if there is no query.
  Index splits;

  /// Work items handed to an executor other than serial: so many threads find work at most. Serial
  /// may be handed fewer.
  Index work_items;

  /// Whether keys or values are first decoded into memory, a tile at a time: for blocks of rows,
  /// all that has a codec, and many rows share it; for few rows, what their kernels cannot widen in
  /// registers, such as int4_codec<16> with AVX-512 and codecs of your own, at two to three times
  /// the cost.
  bool decodes = false;

  friend bool operator==(const attention_path&, const attention_path&) = default;
};

}  // namespace headroom::inline HEADROOM_ISA
