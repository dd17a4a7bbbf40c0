// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <headroom/page_stock.hpp>
#include <iterator>
#include <memory>
#include <string>

#include "config.hpp"
#include "error.hpp"
#include "packed_rows.hpp"
#include "row_blocks.hpp"
#include "weights.hpp"

namespace serve {

/// How a layer's pool is made.
struct pool_config {
  std::string dtype;  ///< of what is stored: "F32", "F16", "BF16", or "I8" where stores_int8
  Index bytes;        ///< as many pages as fit
  Index page_tokens;
};

/// Widths of latents that "I8" is compiled for, since the compiler must know where those end and
/// rotary keys in 16 bits begin: those of tinylm, and DeepSeek's.
inline constexpr int int8_latent_ranks[] = {16, 48, 512};

/// Whether a pool can store "I8" for this model.
inline bool stores_int8(const generate::model_config& config) {
  return !config.latent || std::find(std::begin(int8_latent_ranks), std::end(int8_latent_ranks),
                                     config.latent->rank) != std::end(int8_latent_ranks);
}

/// The attention of one layer, and the pool of pages that its sequences share. Sequences have
/// numbers, which the caller gives.
class paged_block {
 public:
  virtual ~paged_block() = default;

  /// A new sequence: empty, or the tokens of another, on the same pages.
  virtual void open(Index sequence) = 0;
  virtual void fork(Index from, Index to) = 0;

  /// Gives up a sequence's pages.
  virtual void close(Index sequence) = 0;

  /// Adds the rows' tokens to their sequences.
  ///
  /// \param x    [rows, hidden]
  /// \param out  [rows, hidden], written
  virtual void operator()(const Matrix& x, const packed_rows& rows, Matrix& out) = 0;

  virtual const headroom::page_stock& pool() const = 0;
  virtual Index pool_bytes() const = 0;
};

/// \param name  of the attention in the checkpoint, such as model.layers.0.self_attn
/// \throws generate::model_error if the checkpoint does not fit the configuration, or the dtype
///         cannot be stored
std::unique_ptr<paged_block> make_grouped_paged_block(generate::weight_reader& weights,
                                                      const std::string& name,
                                                      const generate::model_config& config,
                                                      const pool_config& pool,
                                                      const row_blocks& blocks);
std::unique_ptr<paged_block> make_latent_paged_block(generate::weight_reader& weights,
                                                     const std::string& name,
                                                     const generate::model_config& config,
                                                     const pool_config& pool,
                                                     const row_blocks& blocks);

/// How many pages a pool has, of which each takes so many bytes.
/// \throws generate::model_error if not one fits
inline Index pages_in(const pool_config& pool, Index page_bytes) {
  if (pool.bytes < page_bytes)
    generate::fail("a layer's pool of ", pool.bytes, " bytes has no room for a page of ",
                   page_bytes);
  return pool.bytes / page_bytes;
}

}  // namespace serve
